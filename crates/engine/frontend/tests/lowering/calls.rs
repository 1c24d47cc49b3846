//! In: `testdata/call/<case>/{Dockerfile, options.json}`. Out: the answers beside them (`check.txt`, `check.json`, `outline.*`, `targets.*`), compared or, with UPDATE=1, written. Never: an engine; the bridge is a toy.
//!
//! Cases whose name begins with `oracle-` hold what a real BuildKit answered, and are never rewritten.

use std::path::{Path, PathBuf};

use crossdock_dockerfile::Rule;
use crossdock_frontend::{Call, call};

use crate::cases::options_of;
use crate::toy::ToyBridge;

const CALLS: [(&str, Call); 3] = [("check", Call::Check), ("outline", Call::Outline), ("targets", Call::Targets)];

/// One rule or construct each, at least.
const CASES_MIN: usize = 25;

#[test]
fn every_call_is_answered_as_written_beside_it() {
    let update = std::env::var_os("UPDATE").is_some();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/call");
    let mut cases: Vec<PathBuf> = fs_err::read_dir(dir)
        .expect("the cases are part of the repository")
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let is_oracle = case.file_name().is_some_and(|name| name.to_string_lossy().starts_with("oracle-"));
        for (word, kind) in CALLS {
            let (text, json) = match call(&ToyBridge::new(case), &options_of(case), kind, "Dockerfile") {
                Ok(answer) => {
                    let failure = answer.failure.map_or_else(String::new, |why| format!("ERROR: {why}\n"));
                    (format!("{}{failure}status {}\n", answer.text, answer.status), answer.json + "\n")
                }
                Err(error) => (format!("ERROR: {error}\n"), String::new()),
            };
            for (ending, found) in [("txt", text), ("json", json)] {
                let path = case.join(format!("{word}.{ending}"));
                if update && !is_oracle {
                    fs_err::write(&path, &found).unwrap();
                } else if path.exists() && fs_err::read_to_string(&path).unwrap() != found {
                    wrong.push(format!("{}:\n{found}", path.display()));
                } else if !path.exists() && !is_oracle {
                    wrong.push(format!("{} is missing", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ (UPDATE=1 rewrites them):\n{}", wrong.len(), wrong.join("\n"));
}

/// `JSONArgsRecommended` → `json-args-recommended`.
fn kebab(name: &str) -> String {
    let name = name.replace("JSON", "Json");
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

#[test]
fn every_check_has_a_page_and_a_case_that_finds_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    for rule in Rule::ALL {
        let slug = kebab(rule.name());
        let page = fs_err::read_to_string(root.join(format!("docs/checks/{slug}.md"))).unwrap();
        assert!(page.starts_with(&format!("# {}\n", rule.name())), "docs/checks/{slug}.md");
        let found = fs_err::read_to_string(root.join(format!("testdata/call/{slug}/check.txt"))).unwrap();
        assert!(found.contains(&format!("WARNING: {}", rule.name())), "testdata/call/{slug}");
        assert!(rule.url().is_empty() || rule.url().ends_with(&format!("/{slug}/")), "{slug}");
    }
}
