//! In: what the user wants registered. Out: the kernel's table changed, and only there. Never: called by a build.

mod error;
pub mod foreign;
mod install;
mod line;
mod table;
mod uninstall;

pub use error::{EntryError, RegisterError};
pub use install::{Done, Installer, Outcome, forget};
pub use line::{Line, entry_name};
pub use table::{Closed, Table};
pub use uninstall::{Removal, uninstall};
