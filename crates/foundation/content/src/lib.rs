//! In: blobs, metadata rows and leases. Out: the same, checked, to every process of the host. Never: the meaning of a row, a daemon, the network.
//!
//! - `content` never interprets a row: values are opaque bytes, and all it knows of them is what they link to.
//! - A blob is never handed out under a digest it did not have when it came in; `read` proves it again.
//! - A row is a hint and never a promise: a missing or short file is a miss, not an error.
//! - A process that dies, at any moment, never leaves a wrong blob, row or snapshot behind: only leftovers that the next
//!   collection removes. Nor does a power cut (architecture decision 6).
//! - Nothing here prints, and nothing here deletes the files of a snapshot: those may belong to sub-ids, so a callback does.
//!
//! The state directory:
//! ```text
//! metadata.sqlite      rows, links and blob rows (WAL; opened by nothing but SQLite, whose locks a stray close would drop)
//! ingest.lock          flock: shared from rename to row, exclusive for whoever takes blobs away
//! blobs/sha256/<hex>   blobs, never changed in place
//! ingest/<lease>-<n>   blobs being written
//! leases/<lease>       held by flock while its owner lives; the name is a number in base 36
//! snapshots/<lease>-<n>  unpacked layers, made by other rooms
//! trash/               blobs that have no row any more
//! reserve              space given back when the disk is full, so that pruning can still write its transaction
//! ```
//! Locks are taken in one order: ingest lock, then the database. A lease's number is the value of a counter that every
//! row and blob notes when it is written or used; what carries a number not smaller than that of the oldest live lease
//! is covered by it.

mod blob;
mod check;
mod database;
mod epoch;
mod error;
mod fsync;
mod gc;
mod ingest;
mod ingest_lock;
mod lease;
mod place;
mod rows;
mod snapshots;
mod space;
mod store;

pub use blob::{Blob, VerifiedBlob};
pub use check::{CheckReport, Fault, Leftover};
pub use error::ContentError;
pub use fsync::fsync_count;
pub use gc::{GcOptions, GcReport};
pub use ingest::Ingest;
pub use lease::Lease;
pub use place::root_default;
pub use space::{BlobInfo, Change, Link, Row, RowInfo, Space, UNTAGGED_PREFIX};
pub use store::Store;

/// What every operation here returns.
pub(crate) type Result<T> = std::result::Result<T, ContentError>;
