//! In: what keeps a directory from being a build context. Out: one error that names the file and the way out. Never: a file's content.

use std::io;
use std::path::PathBuf;

use crossdock_dockerfile::ignore::IgnoreError;
use crossdock_snapshot::{PathError, RootedPath, TreeError};

/// Why a directory cannot be used as a build context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The path given on the command line.
    #[error("unable to prepare context: path {root:?}: {source}")]
    Root {
        /// As given.
        root: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file or directory beneath it.
    #[error("cannot read {path} in the build context {root:?}: {source}{}", way_out(.source))]
    Unreadable {
        /// The context.
        root: PathBuf,
        /// Where, inside it.
        path: RootedPath,
        /// What the operating system says.
        source: io::Error,
    },
    /// A name that no layer can hold.
    #[error("build context {root:?}: {source}")]
    Path {
        /// The context.
        root: PathBuf,
        /// What is wrong.
        source: PathError,
    },
    /// A path of COPY or ADD that cannot be understood as a pattern.
    #[error("build context: {source}")]
    Pattern {
        /// What is wrong.
        source: IgnoreError,
    },
    /// The stat index could not be written; the build itself is not harmed.
    #[error("write stat index {path:?}: {source}")]
    Index {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; give yourself read permission, or exclude it in .dockerignore",
        _ => "",
    }
}

/// The cause inside a `TreeError::Read` when a file of the context was written to while it was read. Its kind, "stale", tells
/// the file ops that a new attempt can help.
pub(super) fn changed() -> io::Error {
    let text = "the file of the build context was changed while it was read";
    io::Error::new(io::ErrorKind::StaleNetworkFileHandle, text)
}

/// Whether opening the context anew and trying again can help.
pub fn is_changed(error: &TreeError) -> bool {
    matches!(error, TreeError::Read { source, .. } if source.kind() == io::ErrorKind::StaleNetworkFileHandle)
}

/// An error of one file as the trait `Tree` tells it, with the way out.
pub(super) fn read_error(path: &RootedPath, source: io::Error) -> TreeError {
    let source = match way_out(&source) {
        "" => source,
        hint => io::Error::new(source.kind(), format!("{source} (file of the build context{hint})")),
    };
    TreeError::Read { path: path.clone(), source }
}
