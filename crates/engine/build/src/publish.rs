//! In: the images of the local store. Out: the same images in the embedded registry, under their paths. Never: an image published without one of its blobs.

use crossdock_content::Lease;
use crossdock_image::LocalImage;
use crossdock_image::local::LocalManifest;
use crossdock_oci::{BlobDigest, Descriptor, Reference, media_type};
use crossdock_registry::server::shelf::Shelf;

use crate::fetch::{Fetcher, ShownAt};
use crate::{BuildError, Engine};

/// What was put onto the shelves of the embedded registry.
#[derive(Debug, Default)]
pub struct Published {
    pub names: Vec<String>,
    /// Names left out, with the reason.
    pub left_out: Vec<(String, BuildError)>,
}

impl Engine {
    /// Puts every kept image that has a name onto the shelves of the embedded registry: `docker.io/library/app:1` as
    /// `library/app:1` and `app:1`, `host/a/b:1` as `a/b:1`. Gives the names published, and those left out with the reason.
    ///
    /// # Errors
    /// Those of the store.
    pub fn publish(&self, lease: &Lease) -> Result<Published, BuildError> {
        let mut published = Published::default();
        for image in self.images().list()? {
            let Some(reference) = image.reference.clone() else { continue };
            match self.publish_image(&image, &reference, lease) {
                Ok(()) => published.names.push(reference.familiar()),
                Err(error) => published.left_out.push((reference.familiar(), error)),
            }
        }
        Ok(published)
    }

    fn publish_image(&self, image: &LocalImage, reference: &Reference, lease: &Lease) -> Result<(), BuildError> {
        let manifests = self.images().manifests(image)?;
        for LocalManifest { manifest, .. } in &manifests {
            for layer in &manifest.view.layers {
                self.ensure_published(image, layer, lease)?;
            }
        }
        let short = reference.path().strip_prefix("library/").filter(|_| reference.domain() == "docker.io");
        for path in std::iter::once(reference.path()).chain(short) {
            let shelf = Shelf::new(&self.store, path);
            let mut all: Vec<BlobDigest> = Vec::new();
            for LocalManifest { manifest, .. } in &manifests {
                let blobs: Vec<&Descriptor> = manifest.view.layers.iter().chain([&manifest.view.config]).collect();
                for blob in &blobs {
                    shelf.link_blob(blob.digest, blob.size)?;
                }
                let needs: Vec<BlobDigest> = blobs.iter().map(|blob| blob.digest).collect();
                shelf.link_manifest(&manifest.descriptor(), &needs, None)?;
                all.push(manifest.digest());
            }
            let target = &image.row.target;
            if media_type::is_manifest(&target.media_type) {
                all.extend(manifests.iter().flat_map(|m| m.manifest.view.layers.iter().map(|layer| layer.digest)));
            }
            shelf.link_manifest(target, &all, Some(reference.tag().unwrap_or("latest")))?;
        }
        Ok(())
    }

    /// Puts one platform of an image into a repository of the embedded registry, under the tag `latest`, for an engine
    /// beside us that pulls it. The index, when there is one, comes along; its other platforms do not.
    ///
    /// # Errors
    /// When a layer cannot be had, and those of the store.
    pub fn publish_platform(
        &self,
        image: &LocalImage,
        chosen: &LocalManifest,
        repository: &str,
        lease: &Lease,
    ) -> Result<(), BuildError> {
        let shelf = Shelf::new(&self.store, repository);
        let view = &chosen.manifest.view;
        for layer in &view.layers {
            self.ensure_published(image, layer, lease)?;
        }
        let blobs: Vec<&Descriptor> = view.layers.iter().chain([&view.config]).collect();
        for blob in &blobs {
            shelf.link_blob(blob.digest, blob.size)?;
        }
        let needs: Vec<BlobDigest> = blobs.iter().map(|blob| blob.digest).collect();
        let manifest = chosen.manifest.descriptor();
        let target = &image.row.target;
        if manifest.digest == target.digest {
            shelf.link_manifest(target, &needs, Some("latest"))?;
        } else {
            shelf.link_manifest(&manifest, &needs, None)?;
            shelf.link_manifest(target, &[manifest.digest], Some("latest"))?;
        }
        Ok(())
    }

    /// Takes repositories of [`Engine::publish_platform`] away again, by their names.
    ///
    /// # Errors
    /// Those of the store.
    pub fn withdraw(&self, is_meant: &dyn Fn(&str) -> bool) -> Result<(), BuildError> {
        Ok(crossdock_registry::server::shelf::forget(&self.store, is_meant)?)
    }

    /// A layer that only another registry has is fetched, so that whoever pulls from here gets all of the image.
    fn ensure_published(&self, image: &LocalImage, layer: &Descriptor, lease: &Lease) -> Result<(), BuildError> {
        if self.store.has(layer.digest)? {
            return Ok(());
        }
        let origins = image.row.origins.get(&layer.digest.to_string()).cloned().unwrap_or_default();
        let (media_type, digest, size) = (layer.media_type.clone(), layer.digest, layer.size);
        let blob = crossdock_image::LayerBlob { media_type, digest, size, method: None, origins };
        Fetcher::new(&self.store, &self.client, lease).fetch(&blob, &ShownAt::nowhere())
    }
}
