//! In: a digest. Out: the stored bytes, open, or proven. Never: bytes of another size than the row says, a damaged blob twice.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;

use bytes::Bytes;
use crossdock_oci::{BlobDigest, Hasher};
use fs_err as fs;
use fs_err::File;
use rusqlite::{OptionalExtension as _, params};

use crate::database::Durability;
use crate::ingest_lock::IngestLock;
use crate::store::now_unix_s;
use crate::{BlobInfo, ContentError, Result, Store};

/// A stored blob, open at its first byte. It stays readable even when it is collected meanwhile.
#[derive(Debug)]
pub struct Blob {
    pub file: File,
    pub size_bytes: u64,
}

/// Reads a blob as a stream and proves it: the last read fails when the bytes were not those of the digest.
#[derive(Debug)]
pub struct VerifiedBlob {
    store: Store,
    digest: BlobDigest,
    file: File,
    size_bytes: u64,
    read_bytes: u64,
    /// None once the end was reached and found right.
    hasher: Option<Hasher>,
}

impl Store {
    /// Opens a blob; none when it is not stored. Its size is checked, its bytes are not ([`Store::open_verified`]).
    /// Under a lease of this process, the blob is covered by it from now on.
    ///
    /// # Errors
    /// Those of the file system and the database.
    pub fn open_blob(&self, digest: BlobDigest) -> Result<Option<Blob>> {
        let Some(size_bytes) = self.blob_row(digest)? else { return Ok(None) };
        let path = self.blob_path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.forget_blob(digest).map(|()| None),
            Err(source) => return Err(ContentError::io("open blob", &path, source)),
        };
        let got = file.metadata().map_err(|source| ContentError::io("examine blob", &path, source))?.len();
        if got != size_bytes {
            return self.forget_blob(digest).map(|()| None);
        }
        Ok(Some(Blob { file, size_bytes }))
    }

    /// Opens a blob for one pass that also proves its digest.
    ///
    /// # Errors
    /// As [`Store::open_blob`]; the stream's last read fails with [`ContentError::BlobDamaged`] inside the
    /// [`io::Error`], and then the blob is no longer in the store.
    pub fn open_verified(&self, digest: BlobDigest) -> Result<Option<VerifiedBlob>> {
        let Some(Blob { file, size_bytes }) = self.open_blob(digest)? else { return Ok(None) };
        let hasher = Some(Hasher::new());
        Ok(Some(VerifiedBlob { store: self.clone(), digest, file, size_bytes, read_bytes: 0, hasher }))
    }

    /// The bytes of a blob, proven; none when it is not stored.
    ///
    /// # Errors
    /// [`ContentError::BlobTooLarge`] above `max_bytes`; [`ContentError::BlobDamaged`] when the bytes are not those of
    /// the digest, and then the blob is no longer in the store, so that the next call is a miss.
    pub fn read(&self, digest: BlobDigest, max_bytes: u64) -> Result<Option<Bytes>> {
        let Some(Blob { file, size_bytes }) = self.open_blob(digest)? else { return Ok(None) };
        if size_bytes > max_bytes {
            return Err(ContentError::BlobTooLarge { digest, size_bytes, max_bytes });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or_default());
        let mut limited = (&file).take(size_bytes);
        limited.read_to_end(&mut bytes).map_err(|source| ContentError::io("read blob", file.path(), source))?;
        let got = BlobDigest::of(&bytes);
        if got != digest {
            return Err(self.discard_damaged(digest, got, &file));
        }
        Ok(Some(Bytes::from(bytes)))
    }

    /// Whether the blob is stored, whole. Covers it like [`Store::open_blob`].
    ///
    /// # Errors
    /// Those of the file system and the database.
    pub fn has(&self, digest: BlobDigest) -> Result<bool> {
        Ok(self.size(digest)?.is_some())
    }

    /// The size of the blob in bytes; none when it is not stored, whole. Covers it like [`Store::open_blob`].
    ///
    /// # Errors
    /// Those of the file system and the database.
    pub fn size(&self, digest: BlobDigest) -> Result<Option<u64>> {
        let Some(size_bytes) = self.blob_row(digest)? else { return Ok(None) };
        if self.file_has_size(digest, size_bytes)? {
            return Ok(Some(size_bytes));
        }
        self.forget_blob(digest).map(|()| None)
    }

    /// Takes a blob out of the store whatever needs it: it is damaged, and must be fetched or made anew. Whether it was
    /// there.
    ///
    /// # Errors
    /// Those of the file system and the database.
    pub fn discard_blob(&self, digest: BlobDigest) -> Result<bool> {
        let _alone = IngestLock::exclusive(&self.inner.root)?;
        let had_row = self.delete_blob_row(digest)?;
        let had_file = self.move_to_trash(&self.blob_path(digest))?;
        Ok(had_row || had_file)
    }

    /// All blobs, in the order of their digests. The files are not looked at.
    ///
    /// # Errors
    /// Those of the database.
    pub fn blobs(&self) -> Result<Vec<BlobInfo>> {
        self.inner.database.read("list blobs", |connection| {
            let mut select =
                connection.prepare_cached("SELECT digest, size, created, used FROM blob ORDER BY digest")?;
            let rows = select.query_map([], |row| {
                Ok(BlobInfo {
                    digest: BlobDigest::from_raw_verified(row.get(0)?),
                    size_bytes: row.get(1)?,
                    created_unix_s: row.get(2)?,
                    used_unix_s: row.get(3)?,
                })
            })?;
            rows.collect()
        })
    }

    /// The size the row gives, after a use was noted when a lease of this process does not cover the blob yet.
    fn blob_row(&self, digest: BlobDigest) -> Result<Option<u64>> {
        let row: Option<(u64, u64)> = self.inner.database.read("look up a blob", |connection| {
            connection
                .prepare_cached("SELECT size, lease FROM blob WHERE digest = ?1")?
                .query_row([digest.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })?;
        let Some((size_bytes, lease)) = row else { return Ok(None) };
        if self.inner.own_leases.floor().is_none_or(|floor| lease >= floor) {
            return Ok(Some(size_bytes));
        }
        let is_there = self.inner.database.write("note the use of a blob", Durability::Ordered, |transaction| {
            let changed = transaction
                .prepare_cached("UPDATE blob SET used = ?2, lease = (SELECT lease FROM counter) WHERE digest = ?1")?
                .execute(params![digest.as_bytes(), now_unix_s()])?;
            Ok(changed == 1)
        })?;
        Ok(is_there.then_some(size_bytes))
    }

    /// Whether row and file agree on this size; nothing is noted.
    pub(crate) fn is_stored(&self, digest: BlobDigest, size_bytes: u64) -> Result<bool> {
        let row: Option<u64> = self.inner.database.read("look up a blob", |connection| {
            connection
                .prepare_cached("SELECT size FROM blob WHERE digest = ?1")?
                .query_row([digest.as_bytes()], |row| row.get(0))
                .optional()
        })?;
        Ok(row == Some(size_bytes) && self.file_has_size(digest, size_bytes)?)
    }

    pub(crate) fn file_has_size(&self, digest: BlobDigest, size_bytes: u64) -> Result<bool> {
        let path = self.blob_path(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file() && metadata.len() == size_bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ContentError::io("examine blob", &path, source)),
        }
    }

    /// Removes the row of a blob whose file is missing or short, and such a file. Looks again under the lock: somebody
    /// may just have brought the blob in anew.
    fn forget_blob(&self, digest: BlobDigest) -> Result<()> {
        let _lock = IngestLock::exclusive(&self.inner.root)?;
        let row: Option<u64> = self.inner.database.read("look up a blob", |connection| {
            connection
                .prepare_cached("SELECT size FROM blob WHERE digest = ?1")?
                .query_row([digest.as_bytes()], |row| row.get(0))
                .optional()
        })?;
        if let Some(size_bytes) = row
            && !self.file_has_size(digest, size_bytes)?
        {
            self.delete_blob_row(digest)?;
            self.move_to_trash(&self.blob_path(digest))?;
        }
        Ok(())
    }

    /// Takes a damaged blob out of the store, unless another file has its place meanwhile; returns the error to report.
    fn discard_damaged(&self, digest: BlobDigest, got: BlobDigest, file: &File) -> ContentError {
        let discard = || -> Result<()> {
            let _lock = IngestLock::exclusive(&self.inner.root)?;
            let path = self.blob_path(digest);
            if let (Ok(open), Ok(named)) = (file.metadata(), fs::metadata(&path))
                && (open.dev(), open.ino()) == (named.dev(), named.ino())
            {
                self.delete_blob_row(digest)?;
                self.move_to_trash(&path)?;
            }
            Ok(())
        };
        discard().err().unwrap_or(ContentError::BlobDamaged { digest, got })
    }

    fn delete_blob_row(&self, digest: BlobDigest) -> Result<bool> {
        self.inner.database.write("forget a blob", Durability::Durable, |transaction| {
            let deleted =
                transaction.prepare_cached("DELETE FROM blob WHERE digest = ?1")?.execute([digest.as_bytes()])?;
            Ok(deleted == 1)
        })
    }
}

impl VerifiedBlob {
    /// Bytes of the whole blob.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn check_end(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        let got = hasher.finish_blob();
        if got == self.digest && self.read_bytes == self.size_bytes {
            return Ok(());
        }
        Err(self.store.discard_damaged(self.digest, got, &self.file).into())
    }
}

impl Read for VerifiedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size_bytes - self.read_bytes;
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = if wanted == 0 { 0 } else { self.file.read(&mut buffer[..wanted])? };
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        self.read_bytes += read as u64;
        // Checked with the last bytes, not after them: whoever stops at the known size must not miss it.
        if self.read_bytes == self.size_bytes || (read == 0 && wanted > 0) {
            self.check_end()?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
