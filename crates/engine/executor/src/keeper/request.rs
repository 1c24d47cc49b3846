//! In: what the program wants from the keeper. Out: the messages of both directions as plain values. Never: descriptors; they travel beside the messages.

use serde::{Deserialize, Serialize};

use crate::error::ExecutorError;
use crate::host_path::HostPath;
use crate::sandbox::{ExecOutcome, ExecSpec};

/// Whose rights the keeper has, which decides what layers can hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeeperMode {
    /// Root of the host: every id, device nodes.
    Root,
    /// A user namespace with sub-ids: ids below `uids` and `gids` work, device nodes do not.
    SubIds { uids: u32, gids: u32 },
    /// A user namespace with the caller's id alone, as id 0: files of other owners cannot be made. `reason` says why, and what to install or add.
    OneId { reason: String },
}

impl KeeperMode {
    /// Whether overlay keeps its marks in `user.overlay.*` instead of `trusted.overlay.*` attributes.
    pub const fn userxattr(&self) -> bool {
        !matches!(self, Self::Root)
    }

    /// How many user ids exist, counted from 0.
    pub const fn uids(&self) -> u32 {
        match self {
            Self::Root => u32::MAX,
            Self::SubIds { uids, .. } => *uids,
            Self::OneId { .. } => 1,
        }
    }
}

/// A tree as a stack of directories, lowest first: committed snapshots in overlay format, or one plain directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers(pub Vec<HostPath>);

/// How a directory records deletions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TreeFormat {
    /// Whiteouts are character devices 0:0, opaque directories carry an attribute; of which name follows from the mode.
    Overlay,
    /// A whole tree; a whiteout deletes.
    Plain,
}

/// Unpack a layer (a tar, compressed in any known way) into a directory that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyRequest {
    pub dest: HostPath,
    /// What lies below, lowest first: parents that the layer does not hold copy their metadata from there.
    pub lowers: Layers,
    pub format: TreeFormat,
}

/// What unpacking learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// sha256 of the uncompressed tar, trailing bytes included: the layer's diffID.
    pub diff_id: [u8; 32],
    /// Size of the uncompressed tar in bytes.
    pub size_bytes: u64,
    /// What could not be made here, one sentence each: for a warning.
    pub left_out: Vec<String>,
}

/// Write the difference between an upper directory and what lies below as a deterministic, uncompressed tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffRequest {
    /// Overlay: the upper directory. Plain: the whole changed tree.
    pub upper: HostPath,
    /// Overlay: the layers, lowest first. Plain: the one tree it was made from, or nothing.
    pub lowers: Layers,
    pub format: TreeFormat,
    /// Paths left out of the layer, relative to the root.
    pub omit: Vec<String>,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffReport {
    /// Entries written, deletions among them; 0 means that nothing changed.
    pub entries: u64,
    /// Bytes of files in them.
    pub content_bytes: u64,
}

/// Write the encoded listing of a directory in overlay format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkRequest {
    pub directory: HostPath,
}

/// Write a merged tree as one tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRequest {
    pub layers: Layers,
}

/// Open a regular file of a merged tree for reading; symbolic links are followed within the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFileRequest {
    pub layers: Layers,
    /// Relative to the root.
    pub path: String,
}

/// Ask what a path of a merged tree leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookRequest {
    pub layers: Layers,
    /// Any path of the tree, as a user writes it.
    pub path: Vec<u8>,
    /// Follow a symbolic link at its end.
    pub follow: bool,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// Where it really is: clean, relative to the root, without links on the way.
    pub path: Vec<u8>,
    pub kind: LookedKind,
}

/// Kinds of objects that copying tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LookedKind {
    Directory,
    Symlink,
    Other,
}

/// Write an object of a merged tree with all beneath it as a tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackRequest {
    pub layers: Layers,
    /// As [`Looked::path`].
    pub path: Vec<u8>,
    /// What it is called in the archive; empty for the content of a directory without itself.
    pub name: Vec<u8>,
}

/// Everything the program can ask for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Ping,
    /// Descriptor: the layer.
    Apply(ApplyRequest),
    /// Descriptor: where the tar goes.
    Diff(DiffRequest),
    /// Descriptor: where the listing goes.
    Walk(WalkRequest),
    /// Descriptor: where the tar goes.
    Export(ExportRequest),
    ReadFile(ReadFileRequest),
    Look(LookRequest),
    /// Descriptor: where the tar goes.
    Pack(PackRequest),
    /// Try whether overlays can be mounted over this directory of snapshots.
    Probe {
        snapshots: HostPath,
    },
    /// Make an empty active snapshot: `DIR/fs` and `DIR/work`.
    Prepare {
        directory: HostPath,
    },
    /// Turn an active snapshot into a committed one: `DIR/work` goes.
    Commit {
        directory: HostPath,
    },
    /// Delete a directory with all that is in it, whoever owns it.
    Remove {
        directory: HostPath,
    },
    /// Descriptors: standard input, output and error, unless there is a terminal.
    Exec(Box<ExecSpec>),
}

impl Request {
    /// The request's name in messages.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Apply(_) => "unpacking a layer",
            Self::Diff(_) => "comparing a snapshot",
            Self::Walk(_) => "listing a snapshot",
            Self::Export(_) => "exporting a tree",
            Self::ReadFile(_) => "reading a file",
            Self::Look(_) => "looking at a file",
            Self::Pack(_) => "copying out of a tree",
            Self::Probe { .. } => "trying an overlay",
            Self::Prepare { .. } => "preparing a snapshot",
            Self::Commit { .. } => "committing a snapshot",
            Self::Remove { .. } => "removing a snapshot",
            Self::Exec(_) => "a step",
        }
    }
}

/// What a worker answers. All but `Started` are the last word.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Pong,
    Done,
    Applied(Applied),
    Diffed(DiffReport),
    /// With the file's descriptor, or none when there is no such file.
    Opened {
        found: bool,
    },
    Looked(Option<Looked>),
    /// The step's program runs. With the terminal's descriptor when one was asked for.
    Started,
    Exited(ExecOutcome),
    Failed(ExecutorError),
}

/// What the program may say after its request, besides closing its side, which cancels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Send this signal to the step's first process.
    Signal(i32),
}
