//! In: what a step needs. Out: the plain, serialisable description the keeper works from. Never: a descriptor, a digest.

use crossdock_llb::op::Ulimit;
use crossdock_llb::{Network, Security};
use serde::{Deserialize, Serialize};

use crate::host_path::HostPath;
use crate::keeper::Layers;

/// The host name steps see (spec/engine.md §3).
pub const DEFAULT_HOSTNAME: &str = "buildkitsandbox";
/// The PATH of a step whose environment has none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Size of `/dev/shm`: 64 MiB.
pub const SHM_SIZE_BYTES_DEFAULT: u64 = 64 << 20;

/// A step as the keeper runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    pub root: RootSpec,
    /// The root cannot be written to.
    pub readonly_root: bool,
    pub args: Vec<String>,
    /// `NAME=value`; PATH and HOME are added when they are missing.
    pub env: Vec<String>,
    /// Absolute; made when missing. Empty means `/`.
    pub cwd: String,
    /// Absolute; made when missing, and written to also where the root is not: the volumes of an image.
    pub directories: Vec<String>,
    /// `name|uid[:group|gid]`, looked up inside the root; empty means root.
    pub user: String,
    /// Empty means [`DEFAULT_HOSTNAME`].
    pub hostname: String,
    /// (host name, IP address)
    pub extra_hosts: Vec<(String, String)>,
    pub network: Network,
    pub security: Security,
    /// In order; a later one may lie inside an earlier one.
    pub mounts: Vec<SandboxMount>,
    pub ulimits: Vec<Ulimit>,
    pub shm_size_bytes: u64,
    /// Gives the step a terminal of this size instead of the descriptors.
    pub terminal: Option<TerminalSize>,
    /// The step's platform needs an emulator of our own.
    pub emulator: Option<EmulatorSpec>,
    /// Parents of missing mount points go too when the step leaves them empty.
    pub remove_mount_stubs_recursive: bool,
}

impl ExecSpec {
    /// A step of these words in this root, everything else as a RUN has it by default.
    pub fn new(root: RootSpec, args: Vec<String>) -> Self {
        Self {
            root,
            readonly_root: false,
            args,
            env: Vec::new(),
            cwd: String::new(),
            directories: Vec::new(),
            user: String::new(),
            hostname: String::new(),
            extra_hosts: Vec::new(),
            network: Network::Default,
            security: Security::Sandbox,
            mounts: Vec::new(),
            ulimits: Vec::new(),
            shm_size_bytes: SHM_SIZE_BYTES_DEFAULT,
            terminal: None,
            emulator: None,
            remove_mount_stubs_recursive: true,
        }
    }
}

impl ExecSpec {
    /// The means of the step's own emulator.
    pub(super) fn emulator_means(&self) -> Option<EmulatorMeans> {
        self.emulator.as_ref().map(|emulator| emulator.means)
    }

    /// Whether the step gets a user namespace of its own.
    pub(super) fn is_nested(&self) -> bool {
        matches!(self.emulator_means(), Some(EmulatorMeans::Private | EmulatorMeans::PrivateOrTrace))
    }

    /// Whether the step's executions are followed.
    pub(super) fn is_followed(&self) -> bool {
        self.emulator_means() == Some(EmulatorMeans::Trace)
    }
}

/// A root file system: layers in overlay format under a writable directory, or one plain directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootSpec {
    /// `upper: None` gives a writable layer that is thrown away.
    Overlay { lowers: Layers, upper: Option<UpperSpec> },
    /// The directory itself is the root.
    Directory(HostPath),
}

/// The writable layer of an overlay: an active snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpperSpec {
    pub fs: HostPath,
    /// An empty directory of the same file system.
    pub work: HostPath,
}

/// Something visible at a path of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxMount {
    /// Absolute; a missing mount point is made, and removed afterwards.
    pub dest: String,
    pub readonly: bool,
    pub source: MountSource,
}

/// Where a mount's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A file, directory or socket of the host.
    Host(HostPath),
    /// A path inside a tree (`selector`; empty is all of it). An overlay without upper and mounted read-write is thrown away.
    Tree { root: RootSpec, selector: String },
    /// Empty, in memory.
    Tmpfs(Memory),
    /// A file in memory: a secret.
    File { data: Vec<u8>, uid: u32, gid: u32, mode: u32 },
}

/// A file system in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The kernel's options: `mode=700,size=50%`. Without a mode it has that of the directory it covers, and 1777 where there was none, as with runc.
    pub options: String,
    /// What is not forbidden there.
    pub suid: bool,
    pub dev: bool,
    pub exec: bool,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    pub rows: u16,
    pub columns: u16,
}

/// A static emulator for the step's programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmulatorSpec {
    /// Go's word for the architecture: `arm64`.
    pub architecture: String,
    pub qemu: HostPath,
    pub means: EmulatorMeans,
}

/// How the emulator comes before the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EmulatorMeans {
    /// The step's own binfmt_misc has an entry for it (Linux 6.7, spec/binfmt.md §1).
    Private,
    /// Private; trace where the kernel refuses that in the end (no binfmt_misc, no user namespaces left).
    PrivateOrTrace,
    /// The step's executions are followed, and it is put before foreign programs (docs/design/trace.md).
    Trace,
}

/// How a step ended, and what it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOutcome {
    /// The exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Processor time of everything the step ran, in microseconds.
    pub cpu_us: u64,
    /// The largest resident set of one of its processes, in bytes.
    pub max_rss_bytes: u64,
}
