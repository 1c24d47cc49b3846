//! In: any bytes as a Dockerfile. Out: nothing. Never: a panic, a hang, an error whose excerpt cannot be drawn.

use crossdock_dockerfile::check::findings_of_file;
use crossdock_dockerfile::{CheckConfig, Dockerfile, detect_syntax, excerpt};

/// Reads a Dockerfile, its findings, the excerpt of its error.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = detect_syntax(&text);
    match Dockerfile::from_bytes(bytes) {
        Ok(file) => drop(findings_of_file(&file, &CheckConfig::default())),
        Err(error) => {
            let blamed: Vec<_> = error.lines.into_iter().collect();
            let shown = excerpt::render("Dockerfile", &text, &blamed);
            assert!(blamed.is_empty() || shown.is_some());
        }
    }
}
