//! In: where a file's bytes are: another tree, the op itself, an unpacked archive. Out: a reader, size and sha256 known beforehand. Never: bytes in memory beyond what an op carries.

use std::fmt;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use crossdock_snapshot::{RootedPath, Tree, TreeError};
use fs_err::os::unix::fs::FileExt as _;
use sha2::{Digest as _, Sha256};

/// The bytes of one file of the new layer.
#[derive(Clone)]
pub(super) struct Content {
    pub sha256: [u8; 32],
    pub size_bytes: u64,
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// A file of a tree.
    Tree { tree: Arc<dyn Tree>, path: RootedPath },
    /// Bytes of the op.
    Inline(Arc<[u8]>),
    /// A range of the file that holds an archive's unpacked bytes.
    Spool { file: Arc<fs_err::File>, offset: u64, member: RootedPath },
}

impl Content {
    /// A file of a tree; asks the tree for the digest, not for the bytes.
    pub fn of_tree(tree: &Arc<dyn Tree>, path: &RootedPath, size_bytes: u64) -> Result<Self, TreeError> {
        let sha256 = tree.content(path)?;
        Ok(Self { sha256, size_bytes, place: Place::Tree { tree: Arc::clone(tree), path: path.clone() } })
    }

    /// Bytes an op carries.
    pub fn inline(bytes: &[u8]) -> Self {
        let sha256 = Sha256::digest(bytes).into();
        Self { sha256, size_bytes: bytes.len() as u64, place: Place::Inline(bytes.into()) }
    }

    /// A range of a spool whose digest was made while it was written.
    pub fn spooled(
        file: &Arc<fs_err::File>,
        offset: u64,
        size_bytes: u64,
        sha256: [u8; 32],
        member: RootedPath,
    ) -> Self {
        Self { sha256, size_bytes, place: Place::Spool { file: Arc::clone(file), offset, member } }
    }

    /// The path to name in errors: the one inside the source.
    pub fn source_path(&self, target: &RootedPath) -> RootedPath {
        match &self.place {
            Place::Tree { path, .. } => path.clone(),
            Place::Inline(_) => target.clone(),
            Place::Spool { member, .. } => member.clone(),
        }
    }

    /// Begins to read.
    pub fn open(&self) -> Result<Box<dyn Read + Send>, TreeError> {
        Ok(match &self.place {
            Place::Tree { tree, path } => tree.open(path)?,
            Place::Inline(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
            Place::Spool { file, offset, .. } => {
                Box::new(SpoolRange { file: Arc::clone(file), offset: *offset, left: self.size_bytes })
            }
        })
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Content({} bytes)", self.size_bytes)
    }
}

struct SpoolRange {
    file: Arc<fs_err::File>,
    offset: u64,
    left: u64,
}

impl Read for SpoolRange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if want == 0 {
            return Ok(0);
        }
        let got = self.file.read_at(&mut buffer[..want], self.offset)?;
        self.offset += got as u64;
        self.left -= got as u64;
        Ok(got)
    }
}
