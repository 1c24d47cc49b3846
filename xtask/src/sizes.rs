//! In: Rust sources, the list of exceptions. Out: files above the wall, functions above their limit. Never: an exception that is not in the list.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::Breach;
use crate::source::Source;

/// Lines of a file, tests apart: the wall.
const FILE_LINES_MAX: usize = 900;
/// Lines of a function, signature and braces included.
const FUNCTION_LINES_MAX: usize = 70;

/// The exceptions of `xtask/tidy-allow.txt`: `FILE` or `FILE FUNCTION`, one a line.
pub fn allowed(root: &Path) -> HashSet<String> {
    let text = fs::read_to_string(root.join("xtask/tidy-allow.txt")).unwrap_or_default();
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Checks every file and function.
pub fn check(sources: &[Source], allowed: &HashSet<String>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in sources {
        let name = source
            .path
            .to_string_lossy()
            .split_once("/crates/")
            .map_or_else(String::new, |(_, tail)| format!("crates/{tail}"));
        let lines = source.code_lines();
        if lines > FILE_LINES_MAX && !allowed.contains(&name) {
            breaches.push(Breach::new(
                &source.path,
                lines,
                format!("{lines} lines of code, the wall is {FILE_LINES_MAX}: find the seam"),
            ));
        }
        if source.is_test() {
            continue;
        }
        for (function, line, length) in functions(&source.text) {
            if length > FUNCTION_LINES_MAX && !allowed.contains(&format!("{name} {function}")) {
                breaches.push(Breach::new(
                    &source.path,
                    line,
                    format!("function {function} has {length} lines, at most {FUNCTION_LINES_MAX}"),
                ));
            }
        }
    }
    breaches
}

/// Name, first line and length of every function in front of the test module. Relies on rustfmt: a function ends at
/// the first `}` with the indentation of its `fn` line.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let words: Vec<&str> = code.split(' ').collect();
        let Some(position) = words.iter().position(|word| *word == "fn") else { continue };
        let is_signature = words[..position].iter().all(|word| {
            matches!(*word, "pub" | "const" | "unsafe" | "async" | "extern")
                || word.starts_with("pub(")
                || word.starts_with('"')
        });
        if !is_signature {
            continue;
        }
        let Some(name) = words.get(position + 1) else { continue };
        let name = name.split(['(', '<']).next().unwrap_or_default().to_owned();
        // A signature without a body, and a function on one line, have no length to speak of.
        let opening = lines[at..].iter().map(|line| line.trim_end()).find(|line| line.ends_with(['{', ';', '}']));
        if !opening.is_some_and(|line| line.ends_with('{')) {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let end = lines[at..]
            .iter()
            .position(|line| line.strip_prefix(indent).is_some_and(|rest| rest == "}" || rest == ";"));
        if let Some(length) = end {
            found.push((name, at + 1, length + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_by_their_indentation() {
        let text = "pub fn a() {\n    x();\n}\n\nimpl B {\n    fn b(&self) -> u8 {\n        1\n    }\n}\n";
        let found = functions(text);
        assert_eq!(found, [("a".to_owned(), 1, 3), ("b".to_owned(), 6, 3)]);
    }
}
