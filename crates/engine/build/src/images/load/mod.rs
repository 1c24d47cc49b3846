//! In: an archive of images (an OCI layout, what `docker save` writes, or both at once), as a stream or a directory. Out: the images kept under their names. Never: a name from the archive used as a path, a blob taken for what it only claims to be.

mod docker;
mod files;
mod layout;

use std::io::Read;
use std::path::Path;

use crossdock_content::Lease;
use crossdock_image::{ImageKind, ImageRow};
use crossdock_oci::{BlobDigest, Descriptor, Platform, Reference, Timestamp};

use crate::{BuildError, Engine};
use files::Files;

/// Files in one archive.
pub const LOAD_FILES_MAX: usize = 100_000;
/// Bytes of all files in one archive, uncompressed: 1 TiB.
pub const LOAD_BYTES_MAX: u64 = 1 << 40;
/// Bytes of a document in an archive: index, manifest, config.
pub const LOAD_DOCUMENT_BYTES_MAX: u64 = crossdock_oci::MANIFEST_SIZE_MAX;

/// Why an archive gave no image.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{archive}: not a tar archive, nor a compressed one: {reason}")]
    NotAnArchive { archive: String, reason: String },
    #[error("{archive}: {source}")]
    Read { archive: String, source: std::io::Error },
    #[error(
        "{archive} holds no image: neither index.json (an OCI layout) nor manifest.json (what `docker save` writes) is in it"
    )]
    NoImage { archive: String },
    #[error("{archive}: {path} is not in it, but {needed_by} needs it: the archive is incomplete; write it again")]
    Missing { archive: String, path: String, needed_by: String },
    #[error("{archive}: {path} has digest {got}: the archive is damaged")]
    Digest { archive: String, path: String, got: BlobDigest },
    #[error("{archive}: {path}: {reason}")]
    Document { archive: String, path: String, reason: String },
    #[error("{archive} holds more than {LOAD_FILES_MAX} files")]
    TooManyFiles { archive: String },
    #[error("{archive} holds more than {LOAD_BYTES_MAX} bytes")]
    TooManyBytes { archive: String },
    #[error("{archive} holds no image for {platform}; it has {available}")]
    NoPlatform { archive: String, platform: String, available: String },
}

/// An image that came out of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedImage {
    pub reference: Option<Reference>,
    pub target: Descriptor,
}

/// An image found in an archive, before it is kept.
#[derive(Debug)]
struct FoundImage {
    names: Vec<Reference>,
    target: Descriptor,
    blobs: Vec<BlobDigest>,
}

/// What interpreting an archive works with.
struct Reading<'a> {
    engine: &'a Engine,
    lease: &'a Lease,
    files: Files,
    archive: &'a str,
    platform: Option<&'a Platform>,
}

impl Engine {
    /// Keeps the images of an archive that is read as a stream, compressed or not. `archive` names it in errors.
    ///
    /// # Errors
    /// When it is no archive, incomplete or damaged.
    pub fn load(
        &self,
        stream: Box<dyn Read + Send>,
        archive: &str,
        platform: Option<&Platform>,
    ) -> Result<Vec<LoadedImage>, BuildError> {
        self.keep_or_forget(|lease| {
            let files = files::from_stream(&self.store, lease, stream, archive)?;
            self.keep_found(&Reading { engine: self, lease, files, archive, platform })
        })
    }

    /// Keeps the images of an OCI layout, or of an unpacked `docker save` archive, that lies in a directory.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_directory(
        &self,
        directory: &Path,
        platform: Option<&Platform>,
    ) -> Result<Vec<LoadedImage>, BuildError> {
        let archive = directory.display().to_string();
        // A directory can be asked beforehand: any other one may be as large as the disk.
        if !["index.json", "manifest.json"].iter().any(|name| directory.join(name).exists()) {
            return Err(LoadError::NoImage { archive }.into());
        }
        self.keep_or_forget(|lease| {
            let files = files::from_directory(&self.store, lease, directory, &archive)?;
            self.keep_found(&Reading { engine: self, lease, files, archive: &archive, platform })
        })
    }

    /// Loads under a lease; what a load that failed has brought goes again.
    fn keep_or_forget(
        &self,
        load: impl FnOnce(&Lease) -> Result<Vec<LoadedImage>, BuildError>,
    ) -> Result<Vec<LoadedImage>, BuildError> {
        let lease = self.store.lease()?;
        let outcome = load(&lease);
        drop(lease);
        if outcome.is_err() {
            // The failure of the load is the one to be told.
            let _ = self.prune(&crossdock_content::GcOptions::default());
        }
        outcome
    }

    fn keep_found(&self, reading: &Reading<'_>) -> Result<Vec<LoadedImage>, BuildError> {
        let docker = docker::entries(reading)?;
        let found = if reading.files.has("index.json") {
            layout::images(reading, &docker)?
        } else if docker.is_empty() {
            return Err(LoadError::NoImage { archive: reading.archive.to_owned() }.into());
        } else {
            docker::images(reading, &docker)?
        };
        if found.is_empty() {
            return Err(LoadError::NoImage { archive: reading.archive.to_owned() }.into());
        }
        let images = self.images();
        let mut loaded = Vec::new();
        for image in found {
            let row = ImageRow {
                target: image.target.clone(),
                kind: ImageKind::Built,
                created: Timestamp::now(),
                origins: std::collections::BTreeMap::new(),
            };
            if image.names.is_empty() {
                images.put(None, &row, &image.blobs)?;
                loaded.push(LoadedImage { reference: None, target: image.target });
                continue;
            }
            for name in image.names {
                images.put(Some(&name), &row, &image.blobs)?;
                loaded.push(LoadedImage { reference: Some(name), target: image.target.clone() });
            }
        }
        Ok(loaded)
    }
}

impl Reading<'_> {
    /// A document of the archive by its path.
    fn document(&self, path: &str, needed_by: &str) -> Result<bytes::Bytes, BuildError> {
        let missing = || LoadError::Missing {
            archive: self.archive.to_owned(),
            path: path.to_owned(),
            needed_by: needed_by.to_owned(),
        };
        let (digest, size) = self.files.get(path).ok_or_else(missing)?;
        if size > LOAD_DOCUMENT_BYTES_MAX {
            return Err(self.bad(path, &format!("{size} bytes are too many for a document")).into());
        }
        Ok(self.engine.store.read(digest, LOAD_DOCUMENT_BYTES_MAX)?.ok_or_else(missing)?)
    }

    fn bad(&self, path: &str, reason: &dyn std::fmt::Display) -> LoadError {
        LoadError::Document { archive: self.archive.to_owned(), path: path.to_owned(), reason: reason.to_string() }
    }

    /// The digest of a blob of a layout, which must be in the archive.
    fn blob(&self, descriptor: &Descriptor, needed_by: &str) -> Result<BlobDigest, BuildError> {
        let path = blob_path(descriptor.digest);
        match self.files.get(&path) {
            Some((digest, size)) if digest == descriptor.digest && size == descriptor.size => Ok(digest),
            Some((_, size)) => {
                let reason = format!("{size} bytes, {needed_by} says {}", descriptor.size);
                Err(self.bad(&path, &reason).into())
            }
            // What the store holds already need not come again.
            None if self.engine.store.size(descriptor.digest)? == Some(descriptor.size) => Ok(descriptor.digest),
            None => {
                Err(LoadError::Missing { archive: self.archive.to_owned(), path, needed_by: needed_by.to_owned() }
                    .into())
            }
        }
    }

    fn is_wanted(&self, platform: Option<&Platform>) -> bool {
        match (self.platform, platform) {
            (None, _) => true,
            (Some(wanted), Some(platform)) => wanted.matcher().rank(platform).is_some(),
            (Some(_), None) => false,
        }
    }

    fn no_platform(&self, available: &[String]) -> BuildError {
        LoadError::NoPlatform {
            archive: self.archive.to_owned(),
            platform: self.platform.map(ToString::to_string).unwrap_or_default(),
            available: available.join(", "),
        }
        .into()
    }
}

fn blob_path(digest: BlobDigest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
