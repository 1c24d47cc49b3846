//! In: `history NAME`. Out: the steps an image was made by. Never: a layer read.

use crate::args::images::HistoryArgs;
use crate::error::CliError;

/// `history`
pub fn run(_args: &HistoryArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "history".to_owned(), why: "it comes with the next version" })
}
