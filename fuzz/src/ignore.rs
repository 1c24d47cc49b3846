//! In: any bytes as an ignore file, a line of them as a path. Out: nothing. Never: a panic, a hang, a subtree passed over that holds something shown.

use crossdock_dockerfile::ignore::{DirMatches, Patterns};

/// Reads an ignore file and asks for a path in each of the ways a context does.
pub fn run(bytes: &[u8]) {
    let (path, file) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    let Ok(patterns) = Patterns::parse(file) else { return };
    assert_eq!(patterns.is_ignored(path), patterns.hiding(path).is_some());
    let mut matches = DirMatches::default();
    for end in path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()]) {
        matches = patterns.walk(&matches, &path[..end]).below;
    }
    if patterns.hides_all_below(path, &matches) {
        for name in ["a", "a/b", ".git", "x.go"] {
            let below = [path, b"/", name.as_bytes()].concat();
            assert!(patterns.is_ignored(below));
        }
    }
    // What is passed on as a list means the same.
    let again = Patterns::from_list(patterns.texts()).expect("a cleaned pattern is a pattern");
    assert_eq!(again.is_ignored(path), patterns.is_ignored(path));
}
