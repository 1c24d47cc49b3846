//! In: a platform that cannot run here. Out: one message with every place looked at and what to do. Never: a fix that does not work on this kernel.

use std::path::PathBuf;

use crossdock_oci::Platform;

/// A place that did not help, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub place: PathBuf,
    pub why: String,
}

/// Programs of a platform cannot run on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no way to run programs of {platform} on this machine ({host}): {reason}{}. {fix}", tried_text(.tried))]
pub struct NoEmulation {
    pub platform: Platform,
    pub host: Platform,
    pub reason: String,
    pub tried: Vec<Tried>,
    /// What to do, with the command.
    pub fix: String,
}

fn tried_text(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return String::new();
    }
    let places: Vec<String> = tried.iter().map(|place| format!("{} {}", place.place.display(), place.why)).collect();
    format!(" ({})", places.join("; "))
}
