//! In: any bytes as values of WWW-Authenticate, one a line. Out: nothing. Never: a panic, a hang.

// The parser is private to its room; its file needs nothing else of it.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/foundation/registry/src/auth/challenge.rs"]
mod challenge;

/// Chooses among the challenges.
pub fn run(bytes: &[u8]) {
    let chosen = challenge::choose(bytes.split(|byte| *byte == b'\n'));
    if let Some(challenge::Challenge::Bearer { scopes, .. }) = chosen {
        assert!(scopes.iter().all(|scope| !scope.contains(' ')));
    }
}
