//! In: `login`, `logout`. Out: credentials checked with the registry and kept as Docker keeps them. Never: a password shown or logged.

use crate::args::images::{LoginArgs, LogoutArgs};
use crate::error::CliError;

/// `login`
pub fn login(_args: &LoginArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "login".to_owned(), why: "it comes with the next version" })
}

/// `logout`
pub fn logout(_args: &LogoutArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "logout".to_owned(), why: "it comes with the next version" })
}
