//! In: chunks and where their compressed bytes lie in a stored layer. Out: those bytes when the chunk comes again. Never: bytes of another chunk (the range is checked by its hash).

use std::os::unix::fs::FileExt;

use crossdock_content::{Link, Row, Space, Store};
use crossdock_oci::BlobDigest;
use serde::{Deserialize, Serialize};

use crate::ImageError;
use crate::compress::Method;

/// Names the compressed form of a chunk: blake3 of its bytes, and the method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkKey(String);

impl ChunkKey {
    /// The key of these bytes under this method.
    pub fn of(chunk: &[u8], method: Method) -> Self {
        Self(format!("{}/{}", method.id(), blake3::hash(chunk).to_hex()))
    }
}

/// Where a chunk went in a layer just written.
#[derive(Debug, Clone)]
pub struct Remembered {
    pub key: ChunkKey,
    pub offset: u64,
    pub length: u64,
    /// blake3 of the compressed bytes, in hex.
    pub check: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Range {
    blob: BlobDigest,
    offset: u64,
    length: u64,
    /// blake3 of the compressed bytes: rows are hints, and a damaged blob must not spread.
    check: String,
}

/// The chunk memory of a store.
pub struct ChunkMemory {
    store: Store,
}

impl ChunkMemory {
    /// The memory kept in this store.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// The compressed bytes of the chunk, when a stored layer holds them and they are sound.
    pub fn find(&self, key: &ChunkKey) -> Option<Vec<u8>> {
        let row = self.store.get(Space::Chunk, &key.0).ok()??;
        let range: Range = serde_json::from_slice(&row).ok()?;
        let blob = self.store.open_blob(range.blob).ok()??;
        let mut bytes = vec![0; usize::try_from(range.length).ok()?];
        blob.file.file().read_exact_at(&mut bytes, range.offset).ok()?;
        (blake3::hash(&bytes).to_hex().as_str() == range.check).then_some(bytes)
    }

    /// Remembers where the chunks of a stored layer lie.
    ///
    /// # Errors
    /// Those of the store.
    pub fn remember(&self, blob: BlobDigest, chunks: &[Remembered]) -> Result<(), ImageError> {
        if chunks.is_empty() {
            return Ok(());
        }
        let links = [Link::Blob(blob)];
        let values: Vec<Vec<u8>> = chunks
            .iter()
            .map(|chunk| {
                let range = Range { blob, offset: chunk.offset, length: chunk.length, check: chunk.check.clone() };
                serde_json::to_vec(&range).expect("a range has only string keys")
            })
            .collect();
        let rows: Vec<Row<'_>> = chunks
            .iter()
            .zip(&values)
            .map(|(chunk, value)| Row { space: Space::Chunk, key: &chunk.key.0, value, links: &links })
            .collect();
        self.store.put_rows(&rows)?;
        Ok(())
    }
}
