//! In: what went wrong on the way out. Out: one enum that names subject and destination. Never: a bare text.

use std::io;
use std::path::PathBuf;

use crossdock_oci::BlobDigest;

/// Why a result did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Content(#[from] crossdock_content::ContentError),
    #[error(transparent)]
    Image(#[from] crossdock_image::ImageError),
    #[error(transparent)]
    Registry(#[from] crossdock_registry::RegistryError),
    #[error(transparent)]
    Tar(#[from] crossdock_snapshot::tar::TarError),
    #[error("writing {dest}: {source}")]
    Write { dest: String, source: io::Error },
    #[error(
        "blob {digest} of the image is not in the local store and no repository is known to hold it; build again or `crossdock pull` the image it came from"
    )]
    BlobMissing { digest: BlobDigest },
    #[error("{path}: the result holds a path that would leave the output directory: {reason}")]
    Escape { path: String, reason: &'static str },
    #[error("docker exporter does not support exporting manifest lists, use the oci exporter instead")]
    DockerManifestList,
    #[error("output directory {path} is a file; choose another dest")]
    NotADirectory { path: PathBuf },
    #[error(
        "dest {path} is a directory; the {kind} output writes a file: give dest=FILE or dest=- for standard output"
    )]
    IsADirectory { kind: &'static str, path: PathBuf },
}
