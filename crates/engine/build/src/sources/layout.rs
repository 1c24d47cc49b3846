//! In: an OCI layout of the client's, the digest of an image in it, a platform. Out: the image's documents and layers in the store. Never: a byte whose digest is not the one it is named by.

use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use crossdock_oci::{Descriptor, Index, MANIFEST_SIZE_MAX, Manifest, Platform, Reference, media_type};

use crate::BuildError;
use crate::perform::Steps;
use crate::resolve::{Target, media_type_of};

impl Steps {
    /// Takes the image of a platform out of a layout; from then on its reference means it, in this build.
    pub(crate) fn admit_layout(
        &self,
        name: &str,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<(), BuildError> {
        let Some(directory) = self.locals.layout(name) else {
            return Err(BuildError::NoSuchContext { name: name.to_owned() });
        };
        let bad = |reason: String| BuildError::Layout { directory: directory.display().to_string(), reason };
        let digest = reference.digest().ok_or_else(|| bad(format!("{reference} names no digest")))?;
        let raw = self.document_of(directory, digest)?;
        let kind = media_type_of(&raw).ok_or_else(|| bad(format!("{digest} is no manifest and no index")))?;
        let manifest = if media_type::is_index(kind) {
            let index = Index::parse(raw.clone()).map_err(|source| BuildError::document(reference, source))?;
            // A platform that is not there is named by whoever asks for the image.
            match index.choose(&platform.matcher()) {
                Some(entry) => Some(self.document_of(directory, entry.digest)?),
                None => None,
            }
        } else {
            Some(raw.clone())
        };
        if let Some(manifest) = manifest {
            let manifest = Manifest::parse(manifest).map_err(|source| BuildError::document(reference, source))?;
            self.document_of(directory, manifest.view.config.digest)?;
            for layer in &manifest.view.layers {
                self.take_layer(directory, layer)?;
            }
        }
        let target = Target { descriptor: Descriptor::of(kind, &raw), raw, stale: None, local: true };
        self.resolver.admit(reference, target);
        Ok(())
    }

    /// A small blob, kept in the store.
    fn document_of(&self, directory: &Path, digest: crossdock_oci::BlobDigest) -> Result<Bytes, BuildError> {
        if let Some(raw) = self.store.read(digest, MANIFEST_SIZE_MAX)? {
            return Ok(raw);
        }
        let path = blob_path(directory, digest);
        let failed = |source| BuildError::Io { path: path.display().to_string(), source };
        let file = fs_err::File::open(&path).map_err(failed)?;
        let mut raw = Vec::new();
        file.take(MANIFEST_SIZE_MAX + 1).read_to_end(&mut raw).map_err(failed)?;
        let got = crossdock_oci::BlobDigest::of(&raw);
        if got != digest {
            return Err(BuildError::Checksum { url: path.display().to_string(), want: digest, got });
        }
        self.store.put(&self.lease, &raw)?;
        Ok(Bytes::from(raw))
    }

    fn take_layer(&self, directory: &Path, layer: &Descriptor) -> Result<(), BuildError> {
        if self.store.has(layer.digest)? {
            return Ok(());
        }
        let path = blob_path(directory, layer.digest);
        let failed = |source| BuildError::Io { path: path.display().to_string(), source };
        let mut file = fs_err::File::open(&path).map_err(failed)?;
        let mut ingest = self.store.ingest(&self.lease)?;
        std::io::copy(&mut file, &mut ingest).map_err(failed)?;
        Ok(ingest.commit_expecting(layer)?)
    }
}

fn blob_path(directory: &Path, digest: crossdock_oci::BlobDigest) -> std::path::PathBuf {
    directory.join("blobs/sha256").join(digest.hex())
}
