//! In: a step: its root, its mounts, its process. Out: how the process ended. Never: a trace in the host's mounts, a stub file in the layer.

mod spec;

pub use spec::{
    DEFAULT_HOSTNAME, DEFAULT_PATH, EmulatorSpec, ExecOutcome, ExecSpec, MountSource, RootSpec, SHM_SIZE_BYTES_DEFAULT, SandboxMount, TerminalSize,
    UpperSpec,
};
