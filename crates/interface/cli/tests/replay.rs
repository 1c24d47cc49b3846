//! In: `fuzz/corpus/<target>/*`, and mutations of it from a fixed seed. Out: every fuzz target has met them, with a stable compiler. Never: an input that differs from run to run.

#![allow(clippy::unwrap_used, reason = "a test file: clippy sees only functions marked as tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[path = "../../../../fuzz/src/lib.rs"]
mod fuzz;

/// Mutated inputs for each target.
const MUTATIONS: usize = 2000;
/// Most bytes of a mutated input: longer ones cost time and find nothing else.
const INPUT_BYTES_MAX: usize = 16 << 10;
const SEED: u64 = 0x5eed_c0de;
/// Pieces that parsers care about.
const WORDS: [&[u8]; 32] = [
    b"\n",
    b"\\\n",
    b"\"",
    b"'",
    b"$",
    b"${",
    b"}",
    b":-",
    b"//",
    b"##",
    b"%%",
    b"<<",
    b"EOF",
    b"--",
    b"=",
    b"[",
    b"]",
    b"!",
    b"**",
    b"..",
    b"/",
    b"\0",
    b"\xff",
    b"\xe2\x82\xac",
    b"sha256:",
    b"@",
    b":",
    b",",
    b"null",
    b"-1",
    b"18446744073709551616",
    b"000000000000",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn files(dir: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs_err::read_dir(dir).expect("every target has a corpus").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs_err::read(path).unwrap()).collect()
}

/// The inputs kept for a target; Dockerfiles of other tests serve, too.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut inputs = files(&root().join("fuzz/corpus").join(target));
    if matches!(target, "lex" | "heredoc") {
        let mut cases: Vec<PathBuf> =
            fs_err::read_dir(root().join("testdata/dockerfile")).unwrap().map(|entry| entry.unwrap().path()).collect();
        cases.sort();
        inputs.extend(cases.iter().map(|case| fs_err::read(case.join("Dockerfile")).unwrap()));
    }
    assert!(!inputs.is_empty(), "{target} has no corpus");
    inputs
}

/// splitmix64: the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// One to eight changes of an input.
fn mutate(input: &[u8], others: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(8) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(40)).min(bytes.len());
        match dice.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.next() as u8,
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].repeat(1 + dice.below(20));
                drop(bytes.splice(at..at, again));
            }
            4 => {
                let other = &others[dice.below(others.len())];
                let from = dice.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            5 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, WORDS[dice.below(WORDS.len())].iter().copied())),
        }
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

fn run(target: fuzz::Target, input: &[u8]) {
    let (name, function) = target;
    if catch_unwind(AssertUnwindSafe(|| function(input))).is_err() {
        let path = std::env::temp_dir().join(format!("crossdock-fuzz-{name}"));
        fs_err::write(&path, input).unwrap();
        panic!(
            "{name} fails with the {} bytes kept in {}: a copy belongs into fuzz/corpus/{name}",
            input.len(),
            path.display()
        );
    }
}

fn replay(names: &[&str]) {
    for target in fuzz::TARGETS.into_iter().filter(|(name, _)| names.contains(name)) {
        let inputs = corpus(target.0);
        for input in &inputs {
            run(target, input);
        }
        let mut dice = Dice(SEED);
        for _ in 0..MUTATIONS {
            let input = mutate(&inputs[dice.below(inputs.len())], &inputs, &mut dice);
            run(target, &input);
        }
    }
}

const DOCKERFILE: [&str; 4] = ["lex", "expand", "ignore", "heredoc"];
const LAYERS: [&str; 2] = ["tar_reader", "listing_decode"];
const WORDS_AND_DOCUMENTS: [&str; 8] = [
    "git_url",
    "reference",
    "manifest",
    "image_config",
    "registry_config_toml",
    "www_authenticate",
    "gotemplate",
    "engine_answer",
];

#[test]
fn dockerfiles_and_ignore_files() {
    replay(&DOCKERFILE);
}

#[test]
fn layers_and_listings() {
    replay(&LAYERS);
}

#[test]
fn names_documents_and_headers() {
    replay(&WORDS_AND_DOCUMENTS);
}

#[test]
fn every_target_is_replayed_and_has_its_binary() {
    let replayed = [&DOCKERFILE[..], &LAYERS[..], &WORDS_AND_DOCUMENTS[..]].concat();
    let manifest = fs_err::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for (name, _) in fuzz::TARGETS {
        assert!(replayed.contains(&name), "{name}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        assert!(root().join(format!("fuzz/fuzz_targets/{name}.rs")).exists(), "{name}");
    }
    assert_eq!(replayed.len(), fuzz::TARGETS.len());
}
