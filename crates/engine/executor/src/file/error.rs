//! In: what went wrong while files were changed. Out: one error that names the path and says what to do. Never: a path of the host.

use std::io;

use crossdock_snapshot::listing::ListingError;
use crossdock_snapshot::tar::TarError;
use crossdock_snapshot::{PathError, RootedPath, TreeError};

/// Why a file op has no result. Texts agree with BuildKit's where scripts look for them (spec/dockerfile.md §12).
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The source of a copy does not exist.
    #[error("\"{path}\": not found{}", suggest(.near))]
    SourceNotFound {
        /// The path as the instruction wrote it, inside the source.
        path: RootedPath,
        /// Up to two names like it that do exist.
        near: Vec<RootedPath>,
    },
    /// A pattern that must match something matches nothing.
    #[error("{pattern} not found: no file of the source matches this pattern")]
    NothingMatches {
        /// The pattern.
        pattern: String,
    },
    /// Something that must exist does not.
    #[error("{call} {path}: no such file or directory")]
    Missing {
        /// What was tried: `mkdir`, `open`, `lstat`, `failed to stat`.
        call: &'static str,
        /// Where.
        path: RootedPath,
    },
    /// A directory was needed.
    #[error("{call} {path}: not a directory")]
    NotADirectory {
        /// What was tried.
        call: &'static str,
        /// Where.
        path: RootedPath,
    },
    /// A file was needed.
    #[error("open {path}: is a directory")]
    IsADirectory {
        /// Where.
        path: RootedPath,
    },
    /// A symlink's name is taken.
    #[error("symlink {target} {path}: file exists")]
    Exists {
        /// What the link would have said (lossy).
        target: String,
        /// Where.
        path: RootedPath,
    },
    /// A directory of the source meets something else in the destination.
    #[error(
        "cannot copy to non-directory: {path} (the destination has a file or symbolic link where the source has a directory; name the directory it leads to instead)"
    )]
    DirOverFile {
        /// The object in the way.
        path: RootedPath,
    },
    /// A file of the source meets a directory in the destination.
    #[error("cannot replace to directory {path} with file")]
    FileOverDir {
        /// The directory in the way.
        path: RootedPath,
    },
    /// Symlinks lead to each other.
    #[error("{path}: too many links (more than {limit} symbolic links on the way)")]
    TooManyLinks {
        /// The path that was looked up.
        path: RootedPath,
        /// The limit.
        limit: usize,
    },
    /// A symlink of an archive leads above the directory it is unpacked into, and a member lies behind it.
    #[error(
        "{path}: path escapes from parent (a symbolic link on its way leads above the directory the archive is unpacked into)"
    )]
    LeadsOut {
        /// The member.
        path: RootedPath,
    },
    /// The root cannot be removed.
    #[error("rm {path}: the root directory cannot be removed")]
    RemoveRoot {
        /// The path as it was resolved.
        path: RootedPath,
    },
    /// A name without an entry in the destination's user database.
    #[error(
        "user {name}: no such user in /etc/passwd of the destination (use a numeric id, or create the user before this step)"
    )]
    UnknownUser {
        /// The name.
        name: String,
    },
    /// A name without an entry in the destination's group database.
    #[error(
        "group {name}: no such group in /etc/group of the destination (use a numeric id, or create the group before this step)"
    )]
    UnknownGroup {
        /// The name.
        name: String,
    },
    /// A user database that cannot be used.
    #[error("{path}: {reason}")]
    UserDatabase {
        /// `/etc/passwd` or `/etc/group`, resolved.
        path: RootedPath,
        /// What is wrong.
        reason: String,
    },
    /// The file system that a user name refers to does not exist, as with `FROM scratch`.
    #[error(
        "invalid user index: {index} (the user name {name} needs a file system with /etc/passwd; use a numeric id)"
    )]
    InvalidUserIndex {
        /// The number of the input.
        index: u32,
        /// The user or group.
        name: String,
    },
    /// The op refers to an input or result that it does not have.
    #[error("file action {action} refers to input {index}, but there are only {count} before it")]
    InvalidInput {
        /// Number of the action, from 0.
        action: usize,
        /// The number it names.
        index: u32,
        /// How many inputs and results there are.
        count: usize,
    },
    /// The op has no such output.
    #[error("file op has no output {output}")]
    InvalidOutput {
        /// The number asked for.
        output: u32,
    },
    /// A mode `chmod` would not take.
    #[error("invalid mode {text:?}: {reason}")]
    Mode {
        /// The mode.
        text: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An include or exclude pattern is malformed.
    #[error("invalid pattern in {patterns:?}: {reason}")]
    Patterns {
        /// All patterns of the list.
        patterns: Vec<String>,
        /// What is wrong.
        reason: String,
    },
    /// A name that would delete something when the layer is unpacked.
    #[error("{path}: names that begin with .wh. mark deletions in layers and cannot be copied (exclude it)")]
    ReservedName {
        /// Where it would go.
        path: RootedPath,
    },
    /// An archive that ADD unpacks is damaged.
    #[error("unpack {archive}: {source}")]
    Archive {
        /// The archive, inside the source.
        archive: RootedPath,
        /// What is wrong.
        source: TarError,
    },
    /// A member of an archive cannot be placed.
    #[error("unpack {archive}: invalid entry name {name:?}: {reason}")]
    ArchiveEntry {
        /// The archive, inside the source.
        archive: RootedPath,
        /// The member (lossy).
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The unpacked bytes of an archive could not be kept or read back.
    #[error("keep the unpacked files of {archive}: {source}")]
    Spool {
        /// The archive, inside the source.
        archive: RootedPath,
        /// The cause.
        source: io::Error,
    },
    /// The bytes copied are not the bytes the key was made of: try again with a new look at the source.
    #[error("{path} was changed while it was copied")]
    SourceChanged {
        /// The file, inside its source.
        path: RootedPath,
    },
    /// The bytes of a file could not be read.
    #[error("read {path}: {source}")]
    Read {
        /// The file, inside its source.
        path: RootedPath,
        /// The cause.
        source: io::Error,
    },
    /// The layer could not be written.
    #[error("write layer: {source}")]
    Layer {
        /// The cause.
        source: ListingError,
    },
    /// A tree has no answer.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A path of the op is not usable.
    #[error(transparent)]
    Path(#[from] PathError),
}

fn suggest(near: &[RootedPath]) -> String {
    match near {
        [] => String::new(),
        [one] => format!(" (did you mean \"{one}\"?)"),
        [one, two, ..] => format!(" (did you mean \"{one}\" or \"{two}\"?)"),
    }
}

impl FileError {
    /// Whether a new attempt with a fresh look at the sources can succeed. Trees say so with an error of the kind "stale".
    pub fn is_source_changed(&self) -> bool {
        match self {
            Self::SourceChanged { .. } => true,
            Self::Read { source, .. } | Self::Tree(TreeError::Read { source, .. }) => {
                source.kind() == io::ErrorKind::StaleNetworkFileHandle
            }
            _ => false,
        }
    }
}
