//! In: manifests and where their blobs are. Out: all of it in a repository. Never: a blob through this machine that the registry has, or can mount.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use crossdock_content::Store;
use crossdock_exporter::push::{PushBlob, PushDocument, PushFrom, PushImage, push};
use crossdock_image::{LayerId, Layers, LocalImage};
use crossdock_oci::{Descriptor, ImageConfig, Index, MANIFEST_SIZE_MAX, Manifest, Reference, media_type};
use crossdock_progress::Step;
use crossdock_registry::PushSource;

use crate::ListError;
use crate::library::{Library, Place, layout_path};

/// A document to be in a repository, with what it names.
#[derive(Debug, Clone)]
pub struct Pushing {
    pub descriptor: Descriptor,
    pub raw: Bytes,
    pub place: Place,
    /// What is below it; none for an index, whose manifests are documents of their own.
    manifest: Option<Manifest>,
}

impl Library<'_> {
    /// A document and everything below it, children first.
    ///
    /// # Errors
    /// When a document is missing or unreadable.
    pub fn gather(&self, place: &Place, descriptor: &Descriptor, into: &mut Vec<Pushing>) -> Result<(), ListError> {
        /// Indexes inside of indexes.
        const DEPTH_MAX: usize = 4;
        self.gather_to(place, descriptor, into, DEPTH_MAX)
    }

    fn gather_to(
        &self,
        place: &Place,
        descriptor: &Descriptor,
        into: &mut Vec<Pushing>,
        depth: usize,
    ) -> Result<(), ListError> {
        if into.iter().any(|known| known.descriptor.digest == descriptor.digest) {
            return Ok(());
        }
        let raw = self.document(place, descriptor)?;
        let bad = |source| ListError::Document { name: format!("{}@{}", place.shown(), descriptor.digest), source };
        let manifest = if media_type::is_index(&descriptor.media_type) {
            for child in &Index::parse(raw.clone()).map_err(bad)?.view.manifests {
                if depth > 0 {
                    self.gather_to(place, child, into, depth - 1)?;
                }
            }
            None
        } else {
            Some(Manifest::parse(raw.clone()).map_err(bad)?)
        };
        let plain = Descriptor::new(descriptor.media_type.clone(), descriptor.digest, raw.len() as u64);
        into.push(Pushing { descriptor: plain, raw, place: place.clone(), manifest });
        Ok(())
    }
}

/// Brings documents with their blobs into a repository, each by its digest.
///
/// # Errors
/// Those of the registries; a blob nobody holds.
pub fn bring(
    library: &Library<'_>,
    documents: &[Pushing],
    repository: &Reference,
    step: &Step,
) -> Result<(), ListError> {
    let mut image = PushImage::default();
    for document in documents {
        if let Some(manifest) = &document.manifest {
            match &document.place {
                Place::Layout(dir) => from_layout(library, dir, manifest, repository)?,
                Place::Registry(name) => image.add_manifest(manifest, &|_| vec![name.name()]),
                Place::Kept(kept) => {
                    image.add_manifest(manifest, &|blob| origins(library.store, kept, manifest, blob));
                }
            }
        }
        image.manifests.push(PushDocument { descriptor: document.descriptor.clone(), raw: document.raw.clone() });
    }
    let from = PushFrom { store: library.store, lease: library.lease };
    push(library.client, from, &image, &[repository.name_only()], false, step)?;
    Ok(())
}

/// Blobs of a layout go up from its files, with no copy in the store.
fn from_layout(
    library: &Library<'_>,
    dir: &Path,
    manifest: &Manifest,
    repository: &Reference,
) -> Result<(), ListError> {
    for blob in manifest.view.layers.iter().chain([&manifest.view.config]) {
        let path = layout_path(dir, blob.digest);
        let open = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(fs_err::File::open(&path)?)) };
        let source = PushSource { open: &open, mount_from: &[] };
        library.client.push_blob(&repository.name_only(), blob, &source, &mut |_, _| {})?;
    }
    Ok(())
}

/// Repositories that hold a blob of an image of the store: from the image's row, else from its layer's.
fn origins(store: &Store, image: &LocalImage, manifest: &Manifest, blob: &Descriptor) -> Vec<String> {
    if let Some(known) = image.row.origins.get(&blob.digest.to_string()) {
        return known.clone();
    }
    let layer = || {
        let at = manifest.view.layers.iter().position(|layer| layer.digest == blob.digest)?;
        let config = store.read(manifest.view.config.digest, MANIFEST_SIZE_MAX).ok()??;
        let diff = ImageConfig::parse(config).ok()?.view.rootfs.diff_ids.get(at).copied()?;
        let row = Layers::new(store).get(&LayerId::of_diff(diff)).ok()??;
        row.blobs.into_iter().find(|known| known.digest == blob.digest).map(|known| known.origins)
    };
    layer().unwrap_or_default()
}

/// A single document under names.
///
/// # Errors
/// Those of the registry.
pub(crate) fn put(
    library: &Library<'_>,
    document: PushDocument,
    names: &[Reference],
    step: &Step,
) -> Result<(), ListError> {
    let image = PushImage { blobs: Vec::<PushBlob>::new(), manifests: Vec::new(), target: Some(document) };
    let from = PushFrom { store: library.store, lease: library.lease };
    push(library.client, from, &image, names, false, step)?;
    Ok(())
}
