//! In: the manifest and config of an image. Out: rows for its layers, with where their blobs are. Never: a download.

use crossdock_image::{LayerBlob, LayerId, LayerRow, Layers};
use crossdock_oci::{ChainId, Reference, Timestamp, chain_ids};

use crate::BuildError;
use crate::resolve::ChosenImage;

/// Makes sure that every layer of an image has a row that names its blob and the repository that holds it.
///
/// # Errors
/// When manifest and config do not fit together; those of the store.
pub fn register_layers(
    layers: &Layers,
    reference: &Reference,
    image: &ChosenImage,
    local: bool,
) -> Result<Vec<LayerId>, BuildError> {
    let diffs = &image.config.view.rootfs.diff_ids;
    let descriptors = &image.manifest.view.layers;
    if diffs.len() != descriptors.len() {
        return Err(BuildError::LayerCount {
            reference: reference.clone(),
            layers: descriptors.len(),
            diffs: diffs.len(),
        });
    }
    let created = image.config.view.created.unwrap_or(Timestamp::from_seconds(0));
    let mut ids = Vec::with_capacity(diffs.len());
    for (diff, descriptor) in diffs.iter().zip(descriptors) {
        let id = LayerId::of_diff(*diff);
        let origins = if local { Vec::new() } else { vec![reference.name()] };
        let (media_type, digest, size) = (descriptor.media_type.clone(), descriptor.digest, descriptor.size);
        let blob = LayerBlob { media_type, digest, size, method: None, origins };
        if blob.compression().is_none() {
            return Err(BuildError::LayerType { reference: reference.clone(), media_type: blob.media_type });
        }
        layers.update(&id, || LayerRow::new(id.clone(), Some(*diff), created), |row| row.add_blob(blob))?;
        ids.push(id);
    }
    Ok(ids)
}

/// The chainID of an image's layers, by which equal bases have equal keys; `None` for an image without layers.
pub fn chain_of(image: &ChosenImage) -> Option<ChainId> {
    chain_ids(&image.config.view.rootfs.diff_ids).pop()
}
