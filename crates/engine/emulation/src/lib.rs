//! In: this machine and a wanted platform. Out: the means by which its programs run here, or why they cannot and what fixes that. Never: a change of the host that nobody asked for.
//!
//! - the host's binfmt_misc table is read; only `register/` writes it, for `crossdock binfmt` and the images that do its work, never in a build;
//! - no emulator is downloaded, installed or copied;
//! - an emulator that is not static is never chosen: inside an image its libraries are missing.

mod cpu;
mod elf;
mod error;
mod find;
mod host;
pub mod register;
mod registered;
mod report;
mod status;
pub mod table;
pub mod trial;

pub use error::{NoEmulation, Tried};
pub use find::{Emulator, SearchPath, judge};
pub use host::{Force, Host, Means};
pub use registered::{Registered, TABLE, TableState};
pub use report::{How, PlatformReport, Report};
pub use status::Status;
