//! In: any text behind `RUN`, `COPY` and `ONBUILD RUN`. Out: nothing. Never: a panic, a heredoc whose content holds its own end.

use crossdock_dockerfile::{Command, Dockerfile};

/// Reads the heredocs of an instruction.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for keyword in ["RUN", "COPY", "ONBUILD RUN"] {
        let Ok(file) = Dockerfile::parse(&format!("FROM a\n{keyword} {text}")) else { continue };
        for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
            if let Command::Run(run) = &instruction.command {
                for heredoc in &run.heredocs {
                    let ends = heredoc.content.lines().any(|line| line.trim_end_matches('\r') == heredoc.name);
                    assert!(!ends || heredoc.name.is_empty());
                }
            }
        }
    }
}
