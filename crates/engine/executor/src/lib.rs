//! In: ops and the snapshots they work on. Out: processes run, files changed, layers applied and compared. Never: a registry, a Dockerfile, a cache key.
//!
//! - nothing is mounted in the host's mount namespace: every mount lives in the keeper's and ends with it;
//! - no process outlives the program: the keeper and all it started end with it, also after `kill -9`;
//! - the program's own process never forks and never changes its namespaces or ids; only the keeper does (one thread that registers
//!   emulators, which no build does, has mounts of its own: `private_mounts`);
//! - the host's binfmt_misc table is read, never written;
//! - `unsafe` stands only under `kernel/`, each block with the reason why it is sound.

mod cancel;
mod error;
pub mod file;
mod host_path;
pub mod keeper;
mod kernel;
mod private_mounts;
pub mod sandbox;
mod seccomp;

pub use cancel::Cancel;
pub use error::{ExecFailure, ExecutorError};
pub use host_path::HostPath;
pub use keeper::{Keeper, KeeperMode, KeeperOptions};
pub use private_mounts::with_files_in;
