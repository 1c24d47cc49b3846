//! In: — . Out: the signatures other rooms write against, before the bodies. Never: kept (the next commit replaces it).
#![allow(unused_variables, missing_docs, clippy::unimplemented, clippy::needless_pass_by_value)]
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossdock_oci::{BlobDigest, Descriptor};
use fs_err::File;

use crate::{BlobInfo, Change, ContentError, Link, Row, RowInfo, Space};

type Result<T> = std::result::Result<T, ContentError>;

/// `$CROSSDOCK_STATE_DIR`, else /var/lib/crossdock for root, else $XDG_DATA_HOME/crossdock, else $HOME/.local/share/crossdock.
pub fn root_default() -> Result<PathBuf> {
    unimplemented!()
}
/// How often this process asked the disk to make something durable.
pub fn fsync_count() -> u64 {
    unimplemented!()
}

#[derive(Clone)]
pub struct Store {
    _inner: Arc<()>,
}
#[derive(Clone)]
pub struct Lease {
    _inner: Arc<()>,
}
/// An open blob, at its first byte.
pub struct Blob {
    pub file: File,
    pub size_bytes: u64,
}
/// Reads a blob as a stream and fails at the end when the bytes did not have the digest.
pub struct VerifiedBlob {
    _file: File,
}
pub struct Ingest {
    file: File,
}
#[derive(Debug, Clone, Copy, Default)]
pub struct GcOptions {
    /// Cache rows (Record, Recipe, Pin, Stat, Chunk) go too.
    pub cache: bool,
    /// Images whose key is a bare digest go too.
    pub dangling_images: bool,
    /// Every image goes too, tagged or not.
    pub all: bool,
    /// Of the above only what was not used for so long.
    pub unused_for: Option<Duration>,
}
#[derive(Debug, Clone, Default)]
pub struct GcReport {
    pub blobs: u64,
    pub blob_bytes: u64,
    pub rows: u64,
    pub snapshots: u64,
}
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    pub blobs: u64,
}
impl CheckReport {
    pub fn is_clean(&self) -> bool {
        unimplemented!()
    }
    pub fn lines(&self) -> Vec<String> {
        unimplemented!()
    }
}

impl Store {
    pub fn open(root: &Path) -> Result<Self> {
        unimplemented!()
    }
    pub fn root(&self) -> &Path {
        unimplemented!()
    }
    pub fn snapshot_root(&self) -> PathBuf {
        unimplemented!()
    }
    pub fn lease(&self) -> Result<Lease> {
        unimplemented!()
    }
    pub fn ingest(&self, lease: &Lease) -> Result<Ingest> {
        unimplemented!()
    }
    /// For callers that write through `file()` and hash themselves; ends with `commit_as`.
    pub fn ingest_without_hash(&self, lease: &Lease) -> Result<Ingest> {
        unimplemented!()
    }
    pub fn put(&self, lease: &Lease, bytes: &[u8]) -> Result<BlobDigest> {
        unimplemented!()
    }
    pub fn open_blob(&self, digest: BlobDigest) -> Result<Option<Blob>> {
        unimplemented!()
    }
    pub fn open_verified(&self, digest: BlobDigest) -> Result<Option<VerifiedBlob>> {
        unimplemented!()
    }
    pub fn read(&self, digest: BlobDigest, max_bytes: u64) -> Result<Option<Bytes>> {
        unimplemented!()
    }
    pub fn has(&self, digest: BlobDigest) -> Result<bool> {
        unimplemented!()
    }
    pub fn size(&self, digest: BlobDigest) -> Result<Option<u64>> {
        unimplemented!()
    }
    pub fn blobs(&self) -> Result<Vec<BlobInfo>> {
        unimplemented!()
    }
    pub fn get(&self, space: Space, key: &str) -> Result<Option<Vec<u8>>> {
        unimplemented!()
    }
    pub fn put_row(&self, space: Space, key: &str, value: &[u8], links: &[Link]) -> Result<()> {
        unimplemented!()
    }
    pub fn put_rows(&self, rows: &[Row<'_>]) -> Result<()> {
        unimplemented!()
    }
    /// All changes or none, in one transaction.
    pub fn apply(&self, changes: &[Change<'_>]) -> Result<()> {
        unimplemented!()
    }
    /// Whether there was one.
    pub fn remove_row(&self, space: Space, key: &str) -> Result<bool> {
        unimplemented!()
    }
    /// All rows of a kind, sorted by key.
    pub fn scan(&self, space: Space) -> Result<Vec<(String, Vec<u8>)>> {
        unimplemented!()
    }
    /// The same without values, with sizes and times.
    pub fn rows(&self, space: Space) -> Result<Vec<RowInfo>> {
        unimplemented!()
    }
    pub fn touch(&self, space: Space, keys: &[&str]) -> Result<()> {
        unimplemented!()
    }
    /// Makes the empty directory `snapshots/<id>` (0700), owned by the lease until a Snapshot row with that key is written; returns the short id.
    pub fn new_snapshot(&self, lease: &Lease) -> Result<String> {
        unimplemented!()
    }
    /// Makes finished work durable: one syncfs, snapshot rows of this epoch marked, the database's log synced. Returns how many rows it marked.
    pub fn sync_snapshots(&self) -> Result<u64> {
        unimplemented!()
    }
    pub fn gc(&self, options: &GcOptions, remove_snapshot: &mut dyn FnMut(&str) -> io::Result<()>) -> Result<GcReport> {
        unimplemented!()
    }
    pub fn check(&self) -> Result<CheckReport> {
        unimplemented!()
    }
}
impl Ingest {
    pub fn file(&self) -> &File {
        &self.file
    }
    pub fn commit(self) -> Result<(BlobDigest, u64)> {
        unimplemented!()
    }
    pub fn commit_expecting(self, want: &Descriptor) -> Result<()> {
        unimplemented!()
    }
    /// The caller hashed the bytes; the size is checked against the file.
    pub fn commit_as(self, digest: BlobDigest, size_bytes: u64) -> Result<()> {
        unimplemented!()
    }
}
impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unimplemented!()
    }
    fn flush(&mut self) -> io::Result<()> {
        unimplemented!()
    }
}
impl Read for VerifiedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        unimplemented!()
    }
}
