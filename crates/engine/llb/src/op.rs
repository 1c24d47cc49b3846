//! In: nothing. Out: the ops of the graph as plain values. Never: behaviour; what an op does is the executor's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a vertex does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    Source(SourceOp),
    Exec(Box<ExecOp>),
    File(FileOp),
    Merge(MergeOp),
    /// Changes between input 0 (lower) and input 1 (upper).
    Diff,
}

/// Brings outside content in. Schemes: `docker-image://ref@digest`, `local://name` (spec/engine.md §1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceOp {
    pub identifier: String,
    /// Attribute names as spec/engine.md §1 lists them: `local.includepattern`, `image.resolvemode`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<String, String>,
}

/// Runs a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOp {
    pub meta: ExecMeta,
    /// The mount at `/` is the root file system.
    pub mounts: Vec<Mount>,
    #[serde(default)]
    pub network: Network,
    #[serde(default)]
    pub security: Security,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_env: Vec<SecretEnv>,
}

/// The process: arguments, environment, place, user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecMeta {
    pub args: Vec<String>,
    /// `NAME=value`, in order.
    pub env: Vec<String>,
    pub cwd: String,
    /// `name|uid[:group|gid]`; empty means root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Proxy variables: given to the process, never part of a key. Names in lower case: `http_proxy`, `no_proxy`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_env: BTreeMap<String, String>,
    /// (host name, IP address)
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<(String, String)>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<Ulimit>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cgroup_parent: String,
    pub remove_mount_stubs_recursive: bool,
    /// Exit codes that count as success; empty means 0 alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub valid_exit_codes: Vec<i32>,
}

/// A resource limit by its `setrlimit` name without `RLIMIT_`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub soft: i64,
    pub hard: i64,
}

/// A secret handed over as an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretEnv {
    pub id: String,
    pub name: String,
    pub optional: bool,
}

/// Something visible to the process at `dest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Index into the vertex's inputs; `None` starts from an empty tree.
    pub input: Option<u32>,
    /// Path within the input that is mounted; empty means all of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    pub dest: String,
    /// The output this mount's final state becomes; `None` means it is thrown away.
    pub output: Option<u32>,
    #[serde(default)]
    pub readonly: bool,
    #[serde(default)]
    pub kind: MountKind,
}

/// How a mount is provided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    #[default]
    Bind,
    Tmpfs {
        size_bytes: i64,
    },
    Cache {
        id: String,
        sharing: CacheSharing,
    },
    Secret {
        id: String,
        uid: u32,
        gid: u32,
        mode: u32,
        optional: bool,
    },
    Ssh {
        id: String,
        uid: u32,
        gid: u32,
        mode: u32,
        optional: bool,
    },
}

/// What happens when two steps want one cache mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheSharing {
    #[default]
    Shared,
    Private,
    Locked,
}

/// The network a process sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    #[default]
    Default,
    Host,
    None,
}

/// How much a process may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    #[default]
    Sandbox,
    Insecure,
}

/// Changes files without running a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOp {
    /// In order. Indexes below the number of inputs are op inputs; above, results of earlier actions.
    pub actions: Vec<FileAction>,
}

/// One change of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAction {
    /// What is changed; `None` starts from an empty tree.
    pub input: Option<u32>,
    /// Where a copy reads from.
    pub secondary_input: Option<u32>,
    /// The output the result becomes.
    pub output: Option<u32>,
    pub kind: FileActionKind,
}

/// The five kinds of change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileActionKind {
    Copy(CopyAction),
    MkFile(MkFileAction),
    MkDir(MkDirAction),
    Rm(RmAction),
    Symlink(SymlinkAction),
}

/// Copies a file or directory from the secondary input. Fields as BuildKit's FileActionCopy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CopyAction {
    pub src: String,
    pub dest: String,
    pub owner: Option<Owner>,
    /// Permission bits for everything copied; `None` keeps the source's.
    pub mode: Option<u32>,
    /// A symbolic mode as `chmod` takes it: `u=rwX,go=rX`.
    pub mode_text: String,
    pub follow_symlink: bool,
    pub dir_copy_contents: bool,
    /// ADD: unpack a local archive instead of copying it.
    pub attempt_unpack: bool,
    pub create_dest_path: bool,
    pub allow_wildcard: bool,
    pub allow_empty_wildcard: bool,
    /// Nanoseconds since 1970 for everything copied; `None` keeps the source's.
    pub timestamp_ns: Option<i64>,
    pub include_patterns: Vec<String>,
    pub exclude_patterns: Vec<String>,
    pub always_replace_existing_dest_paths: bool,
    pub required_paths: Vec<String>,
}

/// Writes a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MkFileAction {
    pub path: String,
    pub mode: u32,
    pub data: Vec<u8>,
    pub owner: Option<Owner>,
    pub timestamp_ns: Option<i64>,
}

/// Makes a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MkDirAction {
    pub path: String,
    pub mode: u32,
    pub make_parents: bool,
    pub owner: Option<Owner>,
    pub timestamp_ns: Option<i64>,
}

/// Removes a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RmAction {
    pub path: String,
    pub allow_not_found: bool,
    pub allow_wildcard: bool,
}

/// Makes a symbolic link at `new_path` to `old_path`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymlinkAction {
    pub old_path: String,
    pub new_path: String,
    pub owner: Option<Owner>,
    pub timestamp_ns: Option<i64>,
}

/// Who owns what an action makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub user: Option<OwnerId>,
    pub group: Option<OwnerId>,
}

/// A user or group by number, or by its name in `/etc/passwd` or `/etc/group` of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnerId {
    Id(u32),
    Name { name: String, input: u32 },
}

/// Layers of all inputs on each other, later ones on top.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeOp {
    pub inputs: Vec<u32>,
}

impl Op {
    /// The word the key preimages begin with: `buildkit.exec.v0` and so on (spec/engine.md §2).
    pub const fn kind_tag(&self) -> &'static str {
        match self {
            Self::Source(_) => "buildkit.source.v0",
            Self::Exec(_) => "buildkit.exec.v0",
            Self::File(_) => "buildkit.file.v0",
            Self::Merge(_) => "buildkit.merge.v0",
            Self::Diff => "buildkit.diff.v0",
        }
    }
}
