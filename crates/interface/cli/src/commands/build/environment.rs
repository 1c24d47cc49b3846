//! In: variables of the environment. Out: what they mean for a build. Never: a variable set.

use crossdock_build::ArchCheck;

use crate::error::{CliError, say};
use crate::face::{Face, Session};

/// Whether the legacy builder is asked for.
const BUILDKIT_VARIABLE: &str = "DOCKER_BUILDKIT";

/// Reads `DOCKER_BUILDKIT` as Docker's client does: `buildx` does not look at it.
///
/// # Errors
/// When it is no boolean.
pub fn check(session: &Session) -> Result<(), CliError> {
    if session.face == Face::Plugin {
        return Ok(());
    }
    match std::env::var(BUILDKIT_VARIABLE).unwrap_or_default().as_str() {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => {
            say(
                "WARNING: DOCKER_BUILDKIT=0 asks for the legacy builder, which is not part of this program; building without it",
            );
            Ok(())
        }
        other => Err(CliError::Usage(format!(
            "{BUILDKIT_VARIABLE} environment variable expects boolean value: strconv.ParseBool: parsing {other:?}: invalid syntax"
        ))),
    }
}

/// What is done about programs for another architecture than their image's.
const ARCH_CHECK_VARIABLE: &str = "CROSSDOCK_ARCH_CHECK";

/// Reads `CROSSDOCK_ARCH_CHECK`.
///
/// # Errors
/// When it is none of its words.
pub fn arch_check() -> Result<ArchCheck, CliError> {
    let word = std::env::var(ARCH_CHECK_VARIABLE).unwrap_or_default();
    ArchCheck::parse(&word)
        .ok_or_else(|| CliError::Usage(format!("{ARCH_CHECK_VARIABLE}={word}: off, warn and fail are its words")))
}
