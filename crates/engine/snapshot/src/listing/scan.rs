//! In: the stream of an uncompressed layer. Out: its listing, diffID and size from one pass. Never: a second read, memory that grows with a file.

use std::io::Read;

use crossdock_oci::{DiffId, Hasher};

use super::builder::{ListingBuilder, is_inline};
use super::{INLINE_BYTES_MAX, Listing, ListingError};
use crate::tar::{Chunk, Reader, TarEntry};

/// What one pass over a layer finds out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Its contents.
    pub listing: Listing,
    /// The digest of the whole stream, also of what follows the end of the archive.
    pub diff_id: DiffId,
    /// The length of the whole stream.
    pub size_bytes: u64,
}

/// Hashes what passes through.
pub(super) struct Hashed<S> {
    pub(super) inner: S,
    pub(super) hasher: Hasher,
    pub(super) bytes: u64,
}

impl<S> Hashed<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, hasher: Hasher::new(), bytes: 0 }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(out)?;
        self.hasher.update(&out[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Reads an uncompressed layer to its end.
///
/// # Errors
/// `Tar` and the errors of [`ListingBuilder::push`].
pub fn from_tar(stream: impl Read) -> Result<Scan, ListingError> {
    let mut reader = Reader::new(Hashed::new(stream));
    let mut builder = ListingBuilder::new();
    while let Some(item) = reader.next_item()? {
        let content = match &item.entry {
            TarEntry::Entry(entry) if entry.is_file() => {
                let inline = is_inline(&entry.path) && entry.size_bytes() <= INLINE_BYTES_MAX;
                Some((hash_data(&mut reader, inline)?, inline.then(|| entry.path.clone())))
            }
            _ => None,
        };
        let digest = content.as_ref().map(|((digest, _), _)| *digest);
        builder.push(item.entry, digest, item.data_offset)?;
        if let Some(((_, kept), Some(path))) = content {
            builder.keep_inline(&path, kept);
        }
    }
    let hashed = reader.finish()?;
    Ok(Scan { listing: builder.finish(), diff_id: hashed.hasher.finish_diff(), size_bytes: hashed.bytes })
}

fn hash_data<R: Read>(reader: &mut Reader<R>, keep: bool) -> Result<([u8; 32], Vec<u8>), ListingError> {
    let mut hasher = Hasher::new();
    let mut kept = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        each_piece(chunk, |piece| {
            hasher.update(piece);
            if keep {
                kept.extend_from_slice(piece);
            }
        });
    }
    Ok((hasher.finish_raw(), kept))
}

/// Hands out the bytes of a chunk; those of a hole in pieces.
pub(super) fn each_piece(chunk: Chunk<'_>, mut take: impl FnMut(&[u8])) {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    match chunk {
        Chunk::Bytes(bytes) => take(bytes),
        Chunk::Hole(mut length) => {
            while length > 0 {
                let piece = length.min(ZEROS.len() as u64);
                take(&ZEROS[..piece as usize]);
                length -= piece;
            }
        }
    }
}
