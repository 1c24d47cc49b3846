//! In: requests from any thread of the program. Out: their results, made in a process that may mount, chown and run. Never: credentials, a registry, the database.
//!
//! The keeper (decision 7) is this very program, executed again from a sealed copy in memory, single-threaded, in a mount and pid namespace of its
//! own and, when the user is not root, in a user namespace. For every request it forks a worker, which answers on a socket that came with the request:
//!
//! ```text
//! program ──control socket── keeper (pid 1 of its namespace)
//!    └────── one socket per request ────── worker ── sandbox's init ── the step
//! ```
//!
//! The keeper lives as long as the control socket. When it ends, the kernel ends its whole pid namespace, and the mounts go with the last process.

mod ahead;
pub(crate) mod blocked;
pub(crate) mod channel;
mod client;
mod launch;
mod layers;
mod namespace;
mod pack;
mod request;
mod running;
mod serve;
pub(crate) mod sub_ids;
mod worker;

pub use blocked::{Blocked, BlockedReason};
pub use client::{Keeper, KeeperOptions};
pub(crate) use namespace::die_with_parent;
pub use request::{
    Applied, ApplyRequest, DiffReport, DiffRequest, ExportRequest, KeeperMode, Layers, LookRequest, Looked, LookedKind,
    PackRequest, ReadFileRequest, TreeFormat, WalkRequest,
};
pub(crate) use request::{Command, Reply};
pub use running::{ExecStdio, Running};
pub use serve::run_if_keeper;
pub(crate) use worker::Context;
