//! In: what goes wrong with snapshots. Out: one enum that names the snapshot and the action. Never: a lost cause.

use std::io;
use std::path::PathBuf;

use super::SnapshotId;
use crate::apply::ApplyError;
use crate::diff::DiffError;
use crate::disk::MaterialiseError;
use crate::export::ExportError;

/// Why a snapshot could not be made, mounted, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not a name for a snapshot.
    #[error("snapshot id {id:?}: 1 to {} of a-z, 0-9 and _ are allowed", super::SNAPSHOT_ID_BYTES_MAX)]
    BadId {
        /// What was given.
        id: String,
    },
    /// The name exists.
    #[error("snapshot {id} exists already ({})", path.display())]
    Taken {
        /// The name.
        id: SnapshotId,
        /// Its directory.
        path: PathBuf,
    },
    /// The directory does not exist.
    #[error("snapshot {id} is not there ({})", path.display())]
    Missing {
        /// The name.
        id: SnapshotId,
        /// Its directory.
        path: PathBuf,
    },
    /// A directory could not be made. The cause names it.
    #[error("make snapshot directory: {source}")]
    Create {
        /// The cause.
        source: io::Error,
    },
    /// A snapshot could not be read.
    #[error("read snapshot {id}: {source}")]
    Read {
        /// The name.
        id: SnapshotId,
        /// The cause.
        source: io::Error,
    },
    /// A snapshot could not get its final name.
    #[error("commit snapshot {id}: {source}")]
    Commit {
        /// The name.
        id: SnapshotId,
        /// The cause.
        source: io::Error,
    },
    /// A snapshot could not be removed.
    #[error("remove snapshot {id}: {source}")]
    Remove {
        /// The name.
        id: SnapshotId,
        /// The cause.
        source: io::Error,
    },
    /// The kernel refused the mount.
    #[error("mount {what} on {}: {source}{}", target.display(), detail(.kernel))]
    Mount {
        /// What was mounted: `overlay of 3 layers`, or a directory.
        what: String,
        /// Where.
        target: PathBuf,
        /// The cause.
        source: io::Error,
        /// What the kernel says beyond the error number, if anything.
        kernel: String,
    },
    /// A layer could not be unpacked.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Changes could not be collected.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// A tree could not be copied.
    #[error("copy tree: {0}")]
    Copy(#[from] MaterialiseError),
    /// A tree could not be written out.
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl SnapshotError {
    pub(super) fn create(source: io::Error) -> Self {
        Self::Create { source }
    }
}

fn detail(kernel: &str) -> String {
    if kernel.is_empty() { String::new() } else { format!(" ({kernel})") }
}
