//! In: blobs, metadata rows and leases. Out: the same, checked, to every process of the host. Never: the meaning of a row, a daemon, the network.
//!
//! - `content` never interprets a row: values are opaque bytes, and all it knows of them is what they link to.
//! - A blob is never handed out under a digest it did not have when it came in; `read` proves it again.
//! - A row is a hint and never a promise: a missing or short file is a miss, not an error.
//! - A process that dies, at any moment, never leaves a wrong blob, row or snapshot behind: only leftovers that the next
//!   collection removes. So does a power cut (architecture decision 6).
//! - Nothing here prints, and nothing here deletes the files of a snapshot: those may belong to sub-ids, so a callback does.

mod api;
mod error;
mod space;

pub use api::*;
pub use error::ContentError;
pub use space::{BlobInfo, Change, Link, Row, RowInfo, Space};
