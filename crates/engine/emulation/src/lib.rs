//! In: this machine and a wanted platform. Out: the means by which its programs run here, or why they cannot and what fixes that. Never: a change of the host.
//!
//! - the host's binfmt_misc table is read, never written;
//! - no emulator is downloaded, installed or copied;
//! - an emulator that is not static is never chosen: inside an image its libraries are missing.

mod cpu;
mod elf;
mod error;
mod find;
mod host;
mod registered;
mod status;
pub mod table;

pub use error::{NoEmulation, Tried};
pub use find::{Emulator, SearchPath};
pub use host::{Force, Host, Means};
pub use registered::{Registered, TableState};
pub use status::Status;
