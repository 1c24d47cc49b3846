//! In: `cargo run -p xtask -- tidy` (or `limits`). Out: every breach of the house rules as `file:line: what`, exit 1 when there is one. Never: a fix.
//!
//! The rules that matter are executable: file sizes, file heads, function
//! lengths, the import order of the rooms, names that say nothing, paths in the documents.
#![allow(clippy::print_stdout, reason = "a command line tool prints")]

mod docs;
mod heads;
mod rooms;
mod sizes;
mod source;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One breach of a rule.
pub struct Breach {
    pub file: PathBuf,
    pub line: usize,
    pub what: String,
}

impl Breach {
    /// A breach in a file.
    pub fn new(file: &Path, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }
}

fn main() -> ExitCode {
    let verb = std::env::args().nth(1).unwrap_or_default();
    if verb != "tidy" {
        println!("usage: cargo run -p xtask -- tidy");
        return ExitCode::from(2);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned();
    let sources = source::all(&root);
    let mut breaches = Vec::new();
    breaches.extend(sizes::check(&sources, &sizes::allowed(&root)));
    breaches.extend(heads::check(&sources));
    breaches.extend(rooms::check(&root));
    breaches.extend(docs::check(&root));
    breaches.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    for breach in &breaches {
        let file = breach.file.strip_prefix(&root).unwrap_or(&breach.file);
        println!("{}:{}: {}", file.display(), breach.line, breach.what);
    }
    println!("tidy: {} files, {} breaches", sources.len(), breaches.len());
    if breaches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
