//! In: `save`, `load`. Out: images in archives that Docker and OCI tools read. Never: a registry asked.

use crate::args::images::{LoadArgs, SaveArgs};
use crate::error::CliError;

/// `save`
pub fn save(_args: &SaveArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "save".to_owned(), why: "it comes with the next version" })
}

/// `load`
pub fn load(_args: &LoadArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "load".to_owned(), why: "it comes with the next version" })
}
