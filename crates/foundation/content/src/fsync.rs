//! In: files, directories, a file system. Out: the same on the disk, and a count of how often that was asked for. Never: an uncounted sync.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err::File;

use crate::{ContentError, Result};

static SYNCS: AtomicU64 = AtomicU64::new(0);

/// How often this process has asked the disk to make something durable: blobs, directories, whole file systems and
/// durable transactions. What SQLite syncs on its own while it checkpoints (two for about 4 MiB of changes) is not in it.
pub fn fsync_count() -> u64 {
    SYNCS.load(Ordering::Relaxed)
}

/// Counts a sync that somebody else performs: SQLite, when a transaction is durable.
pub(crate) fn count_durable_commit() {
    SYNCS.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn sync_file(file: &File) -> Result<()> {
    SYNCS.fetch_add(1, Ordering::Relaxed);
    file.sync_all().map_err(|source| ContentError::io("make durable", file.path(), source))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    let directory = File::open(path).map_err(|source| ContentError::io("open", path, source))?;
    sync_file(&directory)
}

/// Makes everything on the file system of `path` durable, whoever wrote it.
pub(crate) fn sync_filesystem(path: &Path) -> Result<()> {
    let directory = File::open(path).map_err(|source| ContentError::io("open", path, source))?;
    SYNCS.fetch_add(1, Ordering::Relaxed);
    rustix::fs::syncfs(directory.as_fd())
        .map_err(|errno| ContentError::io("make durable the file system of", path, errno.into()))
}
