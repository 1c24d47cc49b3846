//! In: what Docker's client asks of a plugin (spec/cli.md §5). Out: metadata, version, aliases. Never: a verb's work.

use std::ffi::OsString;

use crate::error::{CliError, result};
use crate::face::Session;

/// Docker's client calls `docker-buildx [its own flags] buildx …`; alone the word is missing.
pub fn without_own_name(words: &[OsString]) -> Vec<OsString> {
    let mut rest = words.to_vec();
    if rest.get(1).is_some_and(|word| word == "buildx") {
        rest.remove(1);
    }
    rest
}

/// `buildx version`: package, version and revision, as scripts split it.
pub fn version() -> Result<(), CliError> {
    result(&format!("github.com/docker/buildx v{} crossdock", env!("CARGO_PKG_VERSION")));
    Ok(())
}

/// `buildx install`, `buildx uninstall`
pub fn alias(_session: &Session, _on: bool) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "buildx install".to_owned(), why: "it comes with the next version" })
}
