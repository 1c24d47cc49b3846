//! In: `info`, `version`. Out: facts of this program and machine. Never: a change.

use crate::args::faces::FormatArgs;
use crate::error::{CliError, result};
use crate::face::Session;

/// `info`
pub fn info(_session: &Session, _args: &FormatArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "info".to_owned(), why: "it comes with the next version" })
}

/// `version`
pub fn version(_session: &Session, _args: &FormatArgs) -> Result<(), CliError> {
    result(&format!("crossdock {}", env!("CARGO_PKG_VERSION")));
    Ok(())
}
