//! In: an image and a command. Out: containers kept in the state directory: made, started, stopped, copied from, removed. Never: a daemon; a build; a container shown as running that is not.
//!
//! A container is a directory `containers/<id>` of the state directory:
//! ```text
//! config.json   what it is: image, command, settings; never changed
//! state.json    what became of it: started, ended, exit code
//! lock          held by flock by the process that runs it; free = it does not run, whatever state.json says;
//!               holds how it ended, for those who opened it before the container was removed
//! log           what it wrote, one JSON object a line, as Docker's json-file driver writes it
//! control       a socket of the process that runs it: signals
//! rw/           its writable layer, an active snapshot (its files may belong to sub-ids)
//! ```
//! A row of the store links to its image's blobs, layers and snapshots, so that nothing of them is collected before the
//! container is removed.

mod config;
mod control;
mod copy;
mod ending;
mod error;
mod id;
mod live;
mod log;
mod privileged;
mod state;
mod store;

pub use config::ContainerConfig;
pub use copy::{CopyPlace, CopyPlan, copy_in, copy_out, plan_copy};
pub use ending::Waiting;
pub use error::ContainerError;
pub use id::is_valid_name;
pub use live::{Live, Pump};
pub use log::{LogLine, LogReader, Logger};
pub use privileged::host_mounts;
pub use state::{State, Status};
pub use store::{Container, Containers};
