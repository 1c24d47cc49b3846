//! In: the repository's root. Out: its Rust sources with their text. Never: build output, test data.

use std::fs;
use std::path::{Path, PathBuf};

/// A Rust file.
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

impl Source {
    /// Whether the file holds nothing but tests.
    pub fn is_test(&self) -> bool {
        self.path.components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            part == "tests"
                || part == "tests.rs"
                || part == "benches"
                || part == "fuzz_targets"
                || part.ends_with("_tests.rs")
        })
    }

    /// The lines in front of an in-file test module.
    pub fn code_lines(&self) -> usize {
        self.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
    }
}

/// Every Rust file under `crates` and `xtask`, sorted.
pub fn all(root: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in ["crates", "xtask"] {
        collect(&root.join(folder), &mut sources);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn collect(dir: &Path, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != "testdata" && name != "corpus" {
                collect(&path, sources);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && let Ok(text) = fs::read_to_string(&path)
        {
            sources.push(Source { path, text });
        }
    }
}
