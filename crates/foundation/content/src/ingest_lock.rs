//! In: a state directory. Out: the lock between those who bring blobs in and those who take them away. Never: held while bytes are copied or hashed.

use std::os::fd::AsFd;
use std::path::Path;

use fs_err::{File, OpenOptions};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::{ContentError, Result};

/// Name of the lock file in the state directory.
pub(crate) const FILE_NAME: &str = "ingest.lock";

/// Held until dropped. Every holder has an open file description of its own, so threads exclude each other too.
#[derive(Debug)]
pub(crate) struct IngestLock {
    _file: File,
}

impl IngestLock {
    /// From before the rename of a new blob until its row is written.
    pub(crate) fn shared(root: &Path) -> Result<Self> {
        Self::acquire(root, FlockOperation::LockShared)
    }

    /// While blobs lose their rows and leave their place: nobody is between rename and row.
    pub(crate) fn exclusive(root: &Path) -> Result<Self> {
        Self::acquire(root, FlockOperation::LockExclusive)
    }

    fn acquire(root: &Path, operation: FlockOperation) -> Result<Self> {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        let path = root.join(FILE_NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| ContentError::io("open", &path, source))?;
        loop {
            match flock(file.as_fd(), operation) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(ContentError::io("lock", &path, errno.into())),
            }
        }
    }
}
