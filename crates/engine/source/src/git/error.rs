//! In: what keeps a git repository from being a source. Out: one error that names the repository, the ref, and the way out. Never: a password of a URL.

use std::io;

/// Why a git repository gave no tree.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("git is needed for {url}, and there is none in $PATH; install it (the package is called git)")]
    NoProgram { url: String },
    #[error("cannot start git for {url}: {source}")]
    Start { url: String, source: io::Error },
    /// Git said no; `message` is its own.
    #[error("git: cannot {action} {url}: {message}{}", advice(.message))]
    Refused { url: String, action: &'static str, message: String },
    #[error("git: ref {reference} not found in {url}{}", known(.branches, .tags, .reference))]
    NoSuchRef { url: String, reference: String, branches: Vec<String>, tags: Vec<String> },
    #[error(
        "git: {url} has no default branch: it is empty, or its HEAD names a branch that is not there; name one behind #"
    )]
    NoDefaultBranch { url: String },
    #[error("git: {url} at {reference} is {got}, but the checksum {want} was asked for")]
    Checksum { url: String, reference: String, want: String, got: String },
    #[error("git: checksum {checksum:?} is no commit: hexadecimal digits are expected")]
    BadChecksum { checksum: String },
    #[error("git: subdirectory {subdir:?} of {url}: {reason}{}", directories(.near))]
    Subdir { url: String, subdir: String, reason: &'static str, near: Vec<String> },
    #[error("git source {identifier}: {reason}")]
    Attribute { identifier: String, reason: &'static str },
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
    #[error("context canceled")]
    Cancelled,
}

/// Most names in one error.
const NAMES_MAX: usize = 12;

fn advice(message: &str) -> &'static str {
    if message.contains("terminal prompts disabled") || message.contains("could not read Username") {
        return "; nothing is asked for during a build: give git a credential helper, a token in the URL, or use ssh";
    }
    if message.contains("Host key verification failed") {
        return "; add the host to ~/.ssh/known_hosts first (ssh-keyscan HOST, and compare its fingerprint)";
    }
    if message.contains("Permission denied (publickey") {
        return "; load a key into your ssh agent (ssh-add) that this host accepts";
    }
    ""
}

fn known(branches: &[String], tags: &[String], reference: &str) -> String {
    if (7..40).contains(&reference.len()) && reference.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return "; a commit must be written with all its digits".to_owned();
    }
    match (branches, tags) {
        ([], []) => "; it has neither branches nor tags".to_owned(),
        (branches, []) => format!("; branches are {}", list(branches)),
        ([], tags) => format!("; tags are {}", list(tags)),
        (branches, tags) => format!("; branches are {}; tags are {}", list(branches), list(tags)),
    }
}

fn directories(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; there are {}", list(names)) }
}

fn list(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(NAMES_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_there_is_instead() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let error = |reference: &str, branches: &[&str], tags: &[&str]| {
            let (url, reference) = ("https://h/r.git".to_owned(), reference.to_owned());
            GitError::NoSuchRef { url, reference, branches: names(branches), tags: names(tags) }.to_string()
        };
        assert_eq!(
            error("x", &["dev", "main"], &["v1"]),
            "git: ref x not found in https://h/r.git; branches are dev, main; tags are v1"
        );
        assert!(error("abcdef0", &["main"], &[]).ends_with("a commit must be written with all its digits"));
        assert!(error("x", &["a"; 20], &[]).ends_with("and 8 more"));
        assert!(error("x", &[], &[]).ends_with("neither branches nor tags"));
    }
}
