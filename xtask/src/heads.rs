//! In: Rust sources. Out: files whose head does not say In, Out and Never; files whose name says nothing. Never: taste.

use crate::Breach;
use crate::source::Source;

const EMPTY_NAMES: [&str; 8] = ["util", "utils", "common", "core", "helper", "helpers", "manager", "misc"];

/// Checks every file.
pub fn check(sources: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in sources {
        let head: String = source
            .text
            .lines()
            .take_while(|line| line.starts_with("//!") || line.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        if !source.is_test() && !["In:", "Out:", "Never:"].iter().all(|word| head.contains(word)) {
            breaches.push(Breach::new(&source.path, 1, "the head does not say `//! In: … Out: … Never: …`"));
        }
        for part in source.path.components() {
            let part = part.as_os_str().to_string_lossy();
            let stem = part.strip_suffix(".rs").unwrap_or(&part);
            if EMPTY_NAMES.contains(&stem) {
                breaches.push(Breach::new(&source.path, 1, format!("{stem} is a name that says nothing")));
            }
        }
    }
    breaches
}
