//! In: any text behind `COPY` and `ADD`. Out: nothing. Never: a panic, a hang, a source that matches otherwise than it is written.

use crossdock_dockerfile::ignore::Patterns;
use crossdock_dockerfile::{Command, Dockerfile, SourcesAndDest};
use crossdock_snapshot::glob;

/// Reads the sources, and asks each what it takes.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for keyword in ["COPY", "ADD", "ONBUILD COPY"] {
        let Ok(file) = Dockerfile::parse(&format!("FROM a\n{keyword} {text}")) else { continue };
        for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
            match &instruction.command {
                Command::Copy(copy) => match_all(&copy.paths, &copy.exclude),
                Command::Add(add) => match_all(&add.paths, &add.exclude),
                _ => {}
            }
        }
    }
}

fn match_all(paths: &SourcesAndDest, exclude: &[String]) {
    assert!(!paths.sources.is_empty() || !paths.files.is_empty(), "nothing is copied");
    if let Ok(patterns) = Patterns::from_list(exclude) {
        let _ = paths.sources.iter().filter(|source| patterns.is_ignored(source.as_bytes())).count();
    }
    for source in paths.sources.iter().map(String::as_bytes) {
        let is_plain = !glob::has_wildcards(source) && !source.contains(&b'\\');
        for name in [source, b"a", b"a.go", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"] {
            let Ok(does_match) = glob::matches(source, name) else { continue };
            assert!(!is_plain || does_match == (source == name), "{source:?} and {name:?}");
        }
    }
}
