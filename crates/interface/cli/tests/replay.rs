//! In: `fuzz/corpus/<target>/*`, and mutations of it from a seed. Out: every fuzz target has met them, with a stable compiler. Never: an input that cannot be made again from the seed, one that runs longer than [`INPUT_SECONDS_MAX`] or in more memory than [`MEMORY_BYTES_MAX`].
//!
//! Without variables every target meets a fixed number of inputs from a fixed seed. `FUZZ_SECONDS` sets a time for each target instead, `FUZZ_TARGETS`
//! names the targets, `FUZZ_SEED` the seed (it is printed). What kills the process leaves no input behind: `FUZZ_KEEP=1` writes each one before it runs.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test file: clippy sees only functions marked as tests"
)]
// The crate of the fuzz targets knows this name, the compiler of this file need not.
#![allow(unexpected_cfgs)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant, SystemTime};

#[path = "../../../../fuzz/src/lib.rs"]
mod fuzz;

/// Mutated inputs for each target.
const MUTATIONS: usize = 2000;
/// Most bytes of a mutated input: longer ones cost time and find nothing else.
const INPUT_BYTES_MAX: usize = 16 << 10;
const SEED: u64 = 0x5eed_c0de;
/// Longest time of one input: more is a hang.
const INPUT_SECONDS_MAX: u64 = 10;
/// Address space of this program: an input that needs more ends it.
const MEMORY_BYTES_MAX: u64 = 2 << 30;
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

/// The input that runs now, and since when.
static RUNNING: Mutex<Option<(Instant, String, Vec<u8>)>> = Mutex::new(None);

/// Sets the limit of memory, and begins to look for inputs that do not end.
fn begin_watch() {
    static BEGIN: Once = Once::new();
    BEGIN.call_once(|| {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let limit = Rlimit { current: Some(MEMORY_BYTES_MAX), maximum: None };
        setrlimit(Resource::As, limit).expect("a process may lower its own limit");
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_millis(500));
                let running = RUNNING.lock().unwrap();
                let Some((since, name, input)) = &*running else { continue };
                if since.elapsed().as_secs() >= INPUT_SECONDS_MAX {
                    eprintln!("{name} runs longer than {INPUT_SECONDS_MAX} s: {}", keep(name, input));
                    std::process::abort();
                }
            }
        });
    });
}

/// Writes an input that fails to a file; says where.
fn keep(name: &str, input: &[u8]) -> String {
    let path = std::env::temp_dir().join(format!("crossdock-fuzz-{name}"));
    fs_err::write(&path, input).unwrap();
    format!("the {} bytes are kept in {}: a copy belongs into fuzz/corpus/{name}", input.len(), path.display())
}

fn run(target: fuzz::Target, input: &[u8], is_watched: bool) {
    let (name, function) = target;
    if is_watched {
        *RUNNING.lock().unwrap() = Some((Instant::now(), name.to_owned(), input.to_vec()));
        if std::env::var_os("FUZZ_KEEP").is_some() {
            keep(name, input);
        }
    }
    let begun = Instant::now();
    let is_good = catch_unwind(AssertUnwindSafe(|| function(input))).is_ok();
    if is_watched {
        *RUNNING.lock().unwrap() = None;
    }
    assert!(is_good, "{name} fails: {}", keep(name, input));
    assert!(begun.elapsed().as_secs() < INPUT_SECONDS_MAX, "{name} takes {:?}: {}", begun.elapsed(), keep(name, input));
}

/// The corpus, then mutations of it until `is_done` (asked with their number) says so. Gives the number of inputs.
fn meet(target: fuzz::Target, seed: u64, is_watched: bool, is_done: &dyn Fn(usize) -> bool) -> usize {
    let inputs = corpus(target.0);
    for input in &inputs {
        run(target, input, is_watched);
    }
    let mut dice = Dice(seed);
    let mut mutated = 0;
    while !is_done(mutated) {
        let input = mutate(&inputs[dice.below(inputs.len())], &inputs, &mut dice);
        run(target, &input, is_watched);
        mutated += 1;
    }
    inputs.len() + mutated
}

fn replay(targets: &[fuzz::Target]) {
    // The run with a time does it all.
    if std::env::var_os("FUZZ_SECONDS").is_some() {
        return;
    }
    for target in targets {
        meet(*target, SEED, false, &|mutated| mutated >= MUTATIONS);
    }
}

fn all() -> Vec<fuzz::Target> {
    [&fuzz::DOCKERFILE[..], &fuzz::LAYERS[..], &fuzz::WORDS[..]].concat()
}

#[test]
fn dockerfiles_and_ignore_files() {
    replay(&fuzz::DOCKERFILE);
}

#[test]
fn layers_and_listings() {
    replay(&fuzz::LAYERS);
}

#[test]
fn names_documents_and_headers() {
    replay(&fuzz::WORDS);
}

/// Does nothing without `FUZZ_SECONDS`.
#[test]
fn each_target_for_a_time() {
    let Ok(seconds) = std::env::var("FUZZ_SECONDS") else { return };
    let time = Duration::from_secs(seconds.parse().expect("FUZZ_SECONDS is a number"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed =
        std::env::var("FUZZ_SEED").map_or(now.as_nanos() as u64, |text| text.parse().expect("FUZZ_SEED is a number"));
    let names = std::env::var("FUZZ_TARGETS").unwrap_or_default();
    begin_watch();
    println!("seed {seed}; at most {INPUT_SECONDS_MAX} s for an input, {} MiB for the process", MEMORY_BYTES_MAX >> 20);
    let mut found = 0;
    for target in all().into_iter().filter(|(name, _)| names.is_empty() || names.split(' ').any(|word| word == *name)) {
        let begun = Instant::now();
        let inputs = meet(target, seed, true, &|_| begun.elapsed() >= time);
        println!("{}: {inputs} executions in {} s", target.0, begun.elapsed().as_secs());
        found += 1;
    }
    assert!(found > 0, "no target is called {names}");
}

#[test]
fn every_target_has_its_binary() {
    let manifest = fs_err::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for (name, _) in all() {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        assert!(root().join(format!("fuzz/fuzz_targets/{name}.rs")).exists(), "{name}");
    }
    let binaries = fs_err::read_dir(root().join("fuzz/fuzz_targets")).unwrap().count();
    assert_eq!(all().len(), binaries, "a target that is not in fuzz/src/lib.rs");
}
