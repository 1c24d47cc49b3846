//! In: `testdata/source/<case>/words`. Out: `testdata/source/<case>/found` beside it: what each word means, compared or, with UPDATE=1, written. Never: git run, a name resolved.

#![allow(clippy::unwrap_used, reason = "a test crate: clippy sees only functions marked as tests")]

use std::fmt::Write as _;
use std::path::Path;

use crossdock_llb::{GitUrl, git_url, source};
use proptest::strategy::Strategy as _;

/// Fewer cases than this mean that the folder was not found.
const CASES_MIN: usize = 6;

fn describe(word: &str) -> String {
    match git_url::parse(word) {
        Err(error) => format!("error {error}"),
        Ok(None) if git_url::is_http(word) => "web".to_owned(),
        Ok(None) => "path".to_owned(),
        Ok(Some(git)) => of_git(&git),
    }
}

fn of_git(git: &GitUrl) -> String {
    let op = source::git(git);
    let mut out = op.identifier;
    for (name, value) in op.attrs {
        write!(out, " {name}={value}").unwrap();
    }
    if git.is_short_form {
        out.push_str(" (contexts only)");
    }
    out
}

#[test]
fn words_mean_what_is_written_beside_them() {
    let update = std::env::var_os("UPDATE").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/source");
    let mut cases: Vec<_> = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let words = fs_err::read_to_string(case.join("words")).unwrap();
        let found: String = words.lines().map(|word| format!("{word}\n    {}\n", describe(word))).collect();
        let path = case.join("found");
        if update {
            fs_err::write(path, found).unwrap();
        } else if fs_err::read_to_string(&path).unwrap_or_default() != found {
            wrong.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "UPDATE=1 rewrites them:\n{}", wrong.join("\n"));
}

proptest::proptest! {
    #[test]
    fn no_word_becomes_an_option_or_leaves_its_repository(
        pieces in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::sample::select(vec![
                    "https://", "git://", "ssh://", "file://", "git@", "h.example", "/", ".git", "#", ":", "?", "&", "=", "..", ".", "-", "%2e", "%23",
                    "%3A", "%", "ref", "tag", "branch", "subdir", "github.com/", "main", "@", "%00", "é",
                ]).prop_map(str::to_owned),
                "\\PC{0,3}",
            ],
            0..12,
        )
    ) {
        let word = pieces.concat();
        let _ = git_url::is_remote(&word);
        let _ = crossdock_llb::url::redact(&word);
        if let Ok(Some(git)) = git_url::parse(&word) {
            proptest::prop_assert!(!git.remote.starts_with('-') && !git.reference.starts_with('-'));
            proptest::prop_assert!(!git.subdir.starts_with('/') && git.subdir.split('/').all(|part| part != ".."));
            let op = source::git(&git);
            let fragment = op.identifier.split_once('#').map_or("", |(_, fragment)| fragment);
            let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
            proptest::prop_assert_eq!((reference, subdir), (git.reference.as_str(), git.subdir.as_str()));
        }
    }
}
