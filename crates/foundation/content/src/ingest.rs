//! In: bytes of a blob, in pieces. Out: the blob under its digest, durable, with a row. Never: a blob that is visible before it is whole.
//!
//! Architecture decision 6: lease → temporary file → fsync → rename → fsync of the directory → row. From the rename to
//! the row the ingest lock is held, so that the orphan sweep, which wants it alone, never meets a blob without a row
//! that is about to get one.

use std::io::{self, Write};
use std::path::PathBuf;

use crossdock_oci::{BlobDigest, Descriptor, Hasher};
use fs_err as fs;
use fs_err::File;
use rusqlite::params;

use crate::database::Durability;
use crate::ingest_lock::IngestLock;
use crate::store::now_unix_s;
use crate::{ContentError, Lease, Result, Store, fsync, place};

/// Small writes are gathered up to so many bytes before they go to the file.
const BUFFER_SIZE: usize = 128 << 10;

/// A blob being written. Dropped without a commit, it leaves nothing behind.
#[derive(Debug)]
pub struct Ingest {
    store: Store,
    /// Keeps the temporary file from being swept, and the blob from being collected before something links to it.
    _lease: Lease,
    temporary: Temporary,
    file: File,
    hasher: Option<Hasher>,
    size_bytes: u64,
    buffer: Vec<u8>,
}

/// A file that is deleted when dropped, until it has got its place.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    placed: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A blob whose bytes are all in its temporary file.
struct Finished {
    temporary: Temporary,
    file: File,
    digest: BlobDigest,
    size_bytes: u64,
    _lease: Lease,
}

impl Store {
    /// Begins a blob, which is hashed while it is written through [`Write`].
    ///
    /// # Errors
    /// Those of the file system.
    pub fn ingest(&self, lease: &Lease) -> Result<Ingest> {
        self.begin_ingest(lease, Some(Hasher::new()))
    }

    /// Begins a blob that the caller hashes: it may write through [`Ingest::file`] too, anywhere in it, and ends with
    /// [`Ingest::commit_as`].
    ///
    /// # Errors
    /// Those of the file system.
    pub fn ingest_without_hash(&self, lease: &Lease) -> Result<Ingest> {
        self.begin_ingest(lease, None)
    }

    /// Stores a small blob.
    ///
    /// # Errors
    /// Those of the file system and the database.
    pub fn put(&self, lease: &Lease, bytes: &[u8]) -> Result<BlobDigest> {
        let digest = BlobDigest::of(bytes);
        if self.renew_blob(digest, bytes.len() as u64)? {
            return Ok(digest);
        }
        let mut ingest = self.begin_ingest(lease, None)?;
        ingest.append(bytes)?;
        ingest.commit_as(digest, bytes.len() as u64)?;
        Ok(digest)
    }

    /// Commits several blobs with one sync of the directory and one transaction. Digests and sizes in the same order.
    ///
    /// # Errors
    /// Those of the file system and the database; some of the blobs may be in the store then.
    pub fn commit_all(&self, ingests: Vec<Ingest>) -> Result<Vec<(BlobDigest, u64)>> {
        let finished: Vec<Finished> = ingests.into_iter().map(Ingest::finish).collect::<Result<_>>()?;
        let names = finished.iter().map(|blob| (blob.digest, blob.size_bytes)).collect();
        self.settle(finished)?;
        Ok(names)
    }

    fn begin_ingest(&self, lease: &Lease, hasher: Option<Hasher>) -> Result<Ingest> {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        debug_assert!(lease.belongs_to(self), "a lease covers only the store it was taken from");
        let path = self.inner.root.join(place::INGEST).join(lease.next_name());
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| ContentError::io("create", &path, source))?;
        Ok(Ingest {
            store: self.clone(),
            _lease: lease.clone(),
            temporary: Temporary { path, placed: false },
            file,
            hasher,
            size_bytes: 0,
            buffer: Vec::new(),
        })
    }

    /// Notes a use of a blob that is stored already, whole; false when it is not.
    fn renew_blob(&self, digest: BlobDigest, size_bytes: u64) -> Result<bool> {
        if !self.is_stored(digest, size_bytes)? {
            return Ok(false);
        }
        // Nobody can take the file away between the row's renewal and the look at the file.
        let _lock = IngestLock::shared(&self.inner.root)?;
        let renewed = self.inner.database.write("note the use of a blob", Durability::Ordered, |transaction| {
            let changed = transaction
                .prepare_cached(
                    "UPDATE blob SET used = ?2, lease = (SELECT lease FROM counter) WHERE digest = ?1 AND size = ?3",
                )?
                .execute(params![digest.as_bytes(), now_unix_s(), size_bytes])?;
            Ok(changed == 1)
        })?;
        Ok(renewed && self.file_has_size(digest, size_bytes)?)
    }

    /// Gives finished blobs their place and their rows.
    fn settle(&self, finished: Vec<Finished>) -> Result<()> {
        let mut new = Vec::with_capacity(finished.len());
        for blob in finished {
            if !self.renew_blob(blob.digest, blob.size_bytes)? {
                fsync::sync_file(&blob.file)?;
                new.push(blob);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let _lock = IngestLock::shared(&self.inner.root)?;
        for blob in &mut new {
            let target = self.blob_path(blob.digest);
            fs::rename(&blob.temporary.path, &target).map_err(|source| ContentError::io("place", &target, source))?;
            blob.temporary.placed = true;
        }
        fsync::sync_directory(&self.inner.root.join(place::BLOBS))?;
        self.inner.database.write("record a blob", Durability::Ordered, |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO blob(digest, size, created, used, lease)
                 VALUES (?1, ?2, ?3, ?3, (SELECT lease FROM counter))
                 ON CONFLICT(digest) DO UPDATE SET size = ?2, used = ?3, lease = excluded.lease",
            )?;
            for blob in &new {
                insert.execute(params![blob.digest.as_bytes(), blob.size_bytes, now_unix_s()])?;
            }
            Ok(())
        })
    }
}

impl Ingest {
    /// The temporary file. When the blob is hashed here, bytes not yet flushed are not in it, and writing to it directly
    /// breaks the digest.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Bytes written so far through [`Write`].
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Stores the blob under the digest of its bytes; returns digest and size. A blob that was begun without a hash is
    /// read back and hashed.
    ///
    /// # Errors
    /// Those of the file system and the database.
    pub fn commit(self) -> Result<(BlobDigest, u64)> {
        let store = self.store.clone();
        let finished = self.finish()?;
        let name = (finished.digest, finished.size_bytes);
        store.settle(vec![finished])?;
        Ok(name)
    }

    /// Stores the blob if it is the one that was asked for.
    ///
    /// # Errors
    /// [`ContentError::BlobTruncated`], [`ContentError::BlobOverlong`] or [`ContentError::DigestMismatch`] when it is
    /// another one; then nothing is stored.
    pub fn commit_expecting(self, want: &Descriptor) -> Result<()> {
        let store = self.store.clone();
        let finished = self.finish()?;
        check_size(want.digest, want.size, finished.size_bytes)?;
        if finished.digest != want.digest {
            return Err(ContentError::DigestMismatch { want: want.digest, got: finished.digest });
        }
        store.settle(vec![finished])
    }

    /// Stores the blob under the digest the caller computed from the same bytes; only the size is checked.
    ///
    /// # Errors
    /// [`ContentError::BlobTruncated`] or [`ContentError::BlobOverlong`] when the file has another size.
    pub fn commit_as(mut self, digest: BlobDigest, size_bytes: u64) -> Result<()> {
        self.flush_buffer()?;
        let got = self.file_size()?;
        check_size(digest, size_bytes, got)?;
        let Self { store, _lease, temporary, file, .. } = self;
        store.settle(vec![Finished { temporary, file, digest, size_bytes, _lease }])
    }

    fn finish(mut self) -> Result<Finished> {
        self.flush_buffer()?;
        let (digest, size_bytes) = match self.hasher.take() {
            Some(hasher) => (hasher.finish_blob(), self.size_bytes),
            None => self.hash_file()?,
        };
        let Self { _lease, temporary, file, .. } = self;
        Ok(Finished { temporary, file, digest, size_bytes, _lease })
    }

    fn file_size(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(|source| ContentError::io("examine", self.file.path(), source))?;
        Ok(metadata.len())
    }

    fn hash_file(&self) -> Result<(BlobDigest, u64)> {
        use fs_err::os::unix::fs::FileExt as _;
        let mut hasher = Hasher::new();
        let mut chunk = vec![0; BUFFER_SIZE];
        let mut offset = 0;
        loop {
            let read = self
                .file
                .read_at(&mut chunk, offset)
                .map_err(|source| ContentError::io("read", self.file.path(), source))?;
            if read == 0 {
                return Ok((hasher.finish_blob(), offset));
            }
            hasher.update(&chunk[..read]);
            offset += read as u64;
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.size_bytes += bytes.len() as u64;
        // Unhashed blobs are written at once: their callers mix these writes with their own.
        let gather = self.hasher.is_some() && bytes.len() < BUFFER_SIZE;
        if !gather || self.buffer.len() + bytes.len() > BUFFER_SIZE {
            self.flush_buffer()?;
        }
        if gather {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.file.write_all(bytes).map_err(|source| ContentError::io("write", self.file.path(), source))
    }

    fn flush_buffer(&mut self) -> Result<()> {
        let outcome = self.file.write_all(&self.buffer);
        self.buffer.clear();
        outcome.map_err(|source| ContentError::io("write", self.file.path(), source))
    }
}

fn check_size(digest: BlobDigest, want: u64, got: u64) -> Result<()> {
    match got.cmp(&want) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(ContentError::BlobTruncated { digest, want, got }),
        std::cmp::Ordering::Greater => Err(ContentError::BlobOverlong { digest, want, got }),
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_buffer().map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests;
