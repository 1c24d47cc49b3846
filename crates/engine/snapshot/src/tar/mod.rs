//! In: tar bytes. Out: entries with their data, and the way back. Never: a path outside the root, unbounded memory, a panic on hostile bytes.

mod header;
mod names;
mod pax;
mod reader;
mod sparse;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

use std::io;

use crate::entry::Entry;
use crate::path::{PathError, RootedPath};

/// Prefix of a whiteout's name.
pub const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Name of the entry that hides everything lower layers have in a directory.
pub const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

/// The extended header of one entry, in bytes.
pub const PAX_BYTES_MAX: u64 = 1 << 20;
/// The extended attributes of one entry, names and values, in bytes.
pub const XATTR_BYTES_MAX: usize = 512 << 10;
/// Entries in one archive.
pub const ENTRIES_MAX: u64 = 2 << 20;
/// Data segments of one sparse file.
pub const SPARSE_SEGMENTS_MAX: usize = 1 << 16;
/// Bytes of holes in one archive: they cost time, not space.
pub const HOLE_BYTES_MAX: u64 = 64 << 30;

/// What one member of a layer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TarEntry {
    /// An object.
    Entry(Entry),
    /// `.wh.name`: the object of this path in lower layers is gone.
    Whiteout {
        /// The hidden path.
        path: RootedPath,
    },
    /// `.wh..wh..opq`: what lower layers have in this directory is gone.
    Opaque {
        /// The directory.
        dir: RootedPath,
    },
}

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarItem {
    /// What it says.
    pub entry: TarEntry,
    /// Where a regular file's data begins in the uncompressed archive; none when it has no data or is sparse.
    pub data_offset: Option<u64>,
}

/// A piece of a file's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// Bytes, never empty.
    Bytes(&'a [u8]),
    /// This many zero bytes that the archive does not hold, never 0.
    Hole(u64),
}

/// Why an archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream failed.
    #[error("read tar at byte {offset}: {source}")]
    Read {
        /// Offset in the uncompressed archive.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// The sink failed.
    #[error("write tar: {source}")]
    Write {
        /// The cause.
        source: io::Error,
    },
    /// The stream ended inside a header or data.
    #[error("tar is cut short at byte {offset}, inside {path:?}")]
    Truncated {
        /// Offset in the uncompressed archive.
        offset: u64,
        /// The entry being read (lossy), empty in a header.
        path: String,
    },
    /// The bytes are not a tar header.
    #[error("tar header at byte {offset}: {reason}")]
    Header {
        /// Offset in the uncompressed archive.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A record of an extended header is malformed.
    #[error("tar extended header at byte {offset}: {reason}")]
    Pax {
        /// Offset in the uncompressed archive.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A named limit is exceeded.
    #[error("tar entry at byte {offset}: {what} exceeds the limit of {limit}")]
    Limit {
        /// Offset in the uncompressed archive.
        offset: u64,
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A sparse map does not fit its file.
    #[error("tar entry {path:?}: sparse map: {reason}")]
    Sparse {
        /// The entry (lossy).
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A member's name or link target is not usable.
    #[error("tar entry at byte {offset}: {source}")]
    Path {
        /// Offset in the uncompressed archive.
        offset: u64,
        /// The cause.
        source: PathError,
    },
    /// The source of a file's data had another length than its entry says.
    #[error("write {path}: its size is {want} bytes, but {got} bytes came")]
    DataSize {
        /// The file.
        path: RootedPath,
        /// Size the header says.
        want: u64,
        /// Bytes that came (at least).
        got: u64,
    },
    /// A value that no tar record can hold, as a NUL or `=` in an attribute's name.
    #[error("write {path}: {what} cannot be stored in a tar")]
    Unstorable {
        /// The entry.
        path: RootedPath,
        /// Which value.
        what: &'static str,
    },
    /// The bytes of a file to be written could not be read.
    #[error("read {path}: {source}")]
    Data {
        /// The file.
        path: RootedPath,
        /// The cause.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests;
