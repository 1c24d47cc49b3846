//! In: `install`, `uninstall`. Out: links where Docker's client looks for plugins. Never: a file that is not ours replaced.

use crate::args::faces::InstallArgs;
use crate::error::CliError;
use crate::face::Session;

/// `install`
pub fn install(_session: &Session, _args: &InstallArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "install".to_owned(), why: "it comes with the next version" })
}

/// `uninstall`
pub fn uninstall(_session: &Session, _args: &InstallArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "uninstall".to_owned(), why: "it comes with the next version" })
}
