//! In: a step: its root, its mounts, its process. Out: how the process ended. Never: a trace in the host's mounts, a stub file in the layer.

mod capabilities;
mod devices;
mod emulate;
mod follow;
mod init;
mod limits;
mod look_path;
mod mounts;
mod network_files;
mod overlay;
mod plan;
mod program;
mod spec;
mod step;
mod target;
mod user;

pub(crate) use emulate::MOUNT_PRIVATE;
pub use spec::{
    DEFAULT_HOSTNAME, DEFAULT_PATH, EmulatorMeans, EmulatorSpec, ExecOutcome, ExecSpec, Memory, MountSource, RootSpec,
    SHM_SIZE_BYTES_DEFAULT, SandboxMount, TerminalSize, UpperSpec,
};
pub(crate) use step::run;
