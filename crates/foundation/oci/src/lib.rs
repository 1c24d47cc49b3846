//! In: the bytes and strings of the image formats. Out: checked words for them. Never: I/O, async, a default for something unknown.
//!
//! The vocabulary every other room stands on: digests (one type for each kind), platforms, references, media types,
//! descriptors, manifests, indexes and image configs. A value of these types has been checked; raw bytes stay beside
//! the parsed view, because a digest is always of the bytes that were received.

pub mod config;
pub mod descriptor;
pub mod digest;
pub mod index;
pub mod manifest;
pub mod media_type;
pub mod platform;
pub mod reference;
pub mod timestamp;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, ImageConfigView, RootFs};
pub use descriptor::Descriptor;
pub use digest::{BlobDigest, ChainId, DiffId, DigestError, Hasher, VertexDigest, chain_ids};
pub use index::{Index, IndexView};
pub use manifest::{Manifest, ManifestView};
pub use platform::{Platform, PlatformError, PlatformMatcher};
pub use reference::{Reference, ReferenceError};
pub use timestamp::Timestamp;

/// Largest manifest, index or config accepted, in bytes: the limit of the distribution registry.
pub const MANIFEST_SIZE_MAX: u64 = 4 << 20;
