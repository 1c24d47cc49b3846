//! In: what went wrong while making or keeping an image. Out: one enum that names subject and action. Never: a bare text.

use std::io;

use crossdock_content::ContentError;
use crossdock_oci::media_type::Compression;
use crossdock_oci::{BlobDigest, Platform};

/// Why an image could not be made, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("reading the layer's tar: {source}")]
    ReadTar { source: io::Error },
    #[error("writing the layer: {source}")]
    WriteLayer { source: io::Error },
    #[error("compressing a layer: {source}")]
    Compress { source: io::Error },
    #[error("compression-level={level} is out of range for {compression:?}: 0 to {max} are allowed")]
    CompressionLevel { compression: Compression, level: i32, max: i32 },
    #[error("{subject} {digest}: {source}")]
    Document { subject: &'static str, digest: BlobDigest, source: crossdock_oci::manifest::DocumentError },
    #[error("{subject} {digest} is not in the local store; `crossdock pull {name}` fetches it")]
    Missing { subject: &'static str, digest: BlobDigest, name: String },
    #[error("image {name} has no {platform}; it has {available}")]
    NoPlatform { name: String, platform: Platform, available: String },
    #[error(
        "no image {name} in the local store; `crossdock images` lists what is there, `crossdock pull {name}` fetches it"
    )]
    NotFound { name: String },
    #[error("{name} names {count} images: {candidates}; give more digits of the digest")]
    Ambiguous { name: String, count: usize, candidates: String },
    #[error("the record of {subject} in the metadata database is not readable: {source}; `crossdock prune` removes it")]
    Row { subject: String, source: serde_json::Error },
}
