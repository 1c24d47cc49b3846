//! In: what went wrong with lists and their sources. Out: one enum in Docker's words where it has some. Never: a bare text.

use std::path::PathBuf;

use crossdock_oci::manifest::DocumentError;
use crossdock_oci::{BlobDigest, Reference, ReferenceError};
use thiserror::Error;

/// Why a list could not be made, shown or pushed.
#[derive(Debug, Error)]
pub enum ListError {
    #[error("error parsing name for manifest list {text}: {source}")]
    ListName { text: String, source: ReferenceError },
    #[error(transparent)]
    Name(#[from] ReferenceError),
    #[error("refusing to amend an existing manifest list with no --amend flag")]
    ListThere,
    #[error("No such manifest: {0}")]
    NoList(String),
    #[error("{list} not found: the list is empty; add images with `manifest create --amend {list} IMAGE…`")]
    EmptyList { list: String },
    #[error(
        "no such manifest: {name}: {cause}; the images of a list must be in a registry or in the local store: `docker push {name}` brings it there"
    )]
    NoManifest { name: String, cause: String },
    #[error("no such manifest: {0}")]
    NotFound(String),
    #[error("{0}: not found")]
    NotThere(String),
    #[error("manifest for image {image} does not exist in {list}")]
    NotInList { image: String, list: String },
    #[error("{image} stands for several images of {list}; name one of: {}", .names.join(", "))]
    Several { image: String, list: String, names: Vec<String> },
    #[error("{name} holds no image: none of its entries names a platform")]
    NoImages { name: String },
    #[error("{name} is not an image: its media type is {media_type}")]
    NotAnImage { name: String, media_type: String },
    #[error(
        "manifest entry for image has unsupported os/arch combination: {os}/{arch}; the nearest valid is {nearest}"
    )]
    Platform { os: String, arch: String, nearest: String },
    #[error(
        "manifest {0} must have an OS and Architecture to be pushed to a registry: `manifest annotate --os linux --arch amd64 LIST {0}` says them"
    )]
    NoPlatform(String),
    #[error("{source_name} has no registry to look in: {why}")]
    NoRepository { source_name: String, why: &'static str },
    #[error("no repositories specified, please set a reference in tag or source")]
    NoRepositories,
    #[error("{path}: {reason}", path = path.display())]
    Layout { path: PathBuf, reason: String },
    #[error("invalid manifest file {path}: {reason}; remove the list with `manifest rm` and create it again", path = path.display())]
    BadFile { path: PathBuf, reason: String },
    #[error("{action} {path}: {source}", path = path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("source {text:?}: not a descriptor: {source}")]
    Descriptor { text: String, source: serde_json::Error },
    #[error("invalid size mismatch for {digest}, {found} != {given}")]
    Size { digest: BlobDigest, found: u64, given: u64 },
    #[error("{0:?} annotations are not supported yet")]
    AnnotationLater(String),
    #[error("{0:?} annotations are invalid while creating an image")]
    AnnotationNever(String),
    #[error("failed to parse annotations: {0}")]
    AnnotationText(String),
    #[error("{name}: no entry is for {wanted}; it has {available}")]
    NoSuchPlatform { name: String, wanted: String, available: String },
    #[error("{name}: {source}")]
    Document { name: String, source: DocumentError },
    #[error("{what} {digest} of {name} is {size_bytes} bytes, more than the limit of {limit_bytes}")]
    TooLarge { what: &'static str, digest: BlobDigest, name: String, size_bytes: u64, limit_bytes: u64 },
    #[error(transparent)]
    Registry(#[from] crossdock_registry::RegistryError),
    #[error(transparent)]
    Content(#[from] crossdock_content::ContentError),
    #[error(transparent)]
    Image(#[from] crossdock_image::ImageError),
    #[error(transparent)]
    Export(#[from] crossdock_exporter::ExportError),
    #[error(transparent)]
    Template(#[from] crossdock_gotemplate::TemplateError),
}

impl ListError {
    /// A name nobody knows, with why.
    pub(crate) fn no_manifest(name: &Reference, cause: &dyn std::fmt::Display) -> Self {
        Self::NoManifest { name: name.to_string(), cause: cause.to_string() }
    }
}
