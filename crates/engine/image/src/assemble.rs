//! In: for each platform a config and its stored layers. Out: config, manifest and index blobs. Never: bytes that differ when nothing did.
//!
//! One platform gives a plain manifest, several an index of real platforms only (decision 13). Times come from the
//! layers' records, so a fully cached rebuild has the same digests (decision 12).

use std::collections::BTreeMap;

use crossdock_content::{Lease, Store};
use crossdock_oci::media_type::Family;
use crossdock_oci::{
    BlobDigest, Descriptor, DiffId, ImageConfig, ImageConfigView, Index, IndexView, Manifest, ManifestView, Platform,
    Timestamp,
};

use crate::ImageError;

/// A layer ready to be named by a manifest.
#[derive(Debug, Clone)]
pub struct ImageLayer {
    pub descriptor: Descriptor,
    pub diff_id: DiffId,
    pub created: Timestamp,
}

/// What one platform's image is made of.
#[derive(Debug, Clone)]
pub struct PlatformImage {
    pub platform: Platform,
    /// Without rootfs; history entries without a time get that of their layer.
    pub config: ImageConfigView,
    /// Lowest first.
    pub layers: Vec<ImageLayer>,
}

/// Annotations by where they go.
#[derive(Debug, Clone, Default)]
pub struct Annotations {
    pub index: BTreeMap<String, String>,
    /// `None` means every platform.
    pub manifest: Vec<(Option<Platform>, String, String)>,
    pub manifest_descriptor: Vec<(Option<Platform>, String, String)>,
    /// On the descriptor of the index in an OCI layout.
    pub index_descriptor: BTreeMap<String, String>,
}

/// How the documents are written.
#[derive(Debug, Clone)]
pub struct AssembleOptions {
    pub family: Family,
    pub annotations: Annotations,
    /// SOURCE_DATE_EPOCH: the time of everything made here.
    pub epoch: Option<Timestamp>,
    /// An index even for one platform.
    pub force_index: bool,
}

/// One platform's documents.
#[derive(Debug, Clone)]
pub struct AssembledManifest {
    pub platform: Platform,
    pub manifest: Manifest,
    pub descriptor: Descriptor,
    pub config: ImageConfig,
    pub layers: Vec<ImageLayer>,
}

/// An image as it was assembled: its manifests, and the index when there is one.
#[derive(Debug, Clone)]
pub struct AssembledImage {
    pub target: Descriptor,
    pub index: Option<Index>,
    pub manifests: Vec<AssembledManifest>,
    pub index_descriptor_annotations: BTreeMap<String, String>,
}

impl AssembledImage {
    /// Every blob the image needs, layers last.
    pub fn blobs(&self) -> Vec<BlobDigest> {
        let documents = self.manifests.iter().flat_map(|m| [m.descriptor.digest, m.manifest.view.config.digest]);
        let layers = self.manifests.iter().flat_map(|m| m.layers.iter().map(|layer| layer.descriptor.digest));
        let mut blobs: Vec<BlobDigest> = documents.chain(layers).collect();
        blobs.dedup();
        blobs
    }
}

/// Writes the documents of an image into the store.
///
/// # Errors
/// Those of the store.
pub fn assemble(
    store: &Store,
    lease: &Lease,
    images: Vec<PlatformImage>,
    options: &AssembleOptions,
) -> Result<AssembledImage, ImageError> {
    let mut manifests = Vec::with_capacity(images.len());
    for image in images {
        manifests.push(assemble_manifest(store, lease, image, options)?);
    }
    let annotations = options.annotations.index_descriptor.clone();
    if let [only] = &manifests[..]
        && !options.force_index
    {
        let target = only.descriptor.clone();
        let target = Descriptor { platform: None, annotations: BTreeMap::new(), ..target };
        return Ok(AssembledImage { target, index: None, manifests, index_descriptor_annotations: annotations });
    }
    let index = Index::write(IndexView {
        schema_version: 2,
        media_type: Some(options.family.index().to_owned()),
        artifact_type: None,
        manifests: manifests.iter().map(|manifest| manifest.descriptor.clone()).collect(),
        subject: None,
        annotations: if options.family == Family::Oci { options.annotations.index.clone() } else { BTreeMap::new() },
    });
    store.put(lease, &index.raw)?;
    Ok(AssembledImage {
        target: index.descriptor(),
        index: Some(index),
        manifests,
        index_descriptor_annotations: annotations,
    })
}

fn assemble_manifest(
    store: &Store,
    lease: &Lease,
    image: PlatformImage,
    options: &AssembleOptions,
) -> Result<AssembledManifest, ImageError> {
    let PlatformImage { platform, config, layers } = image;
    let config = ImageConfig::write(finish_config(config, &platform, &layers, options.epoch));
    store.put(lease, &config.raw)?;
    let pick = |list: &[(Option<Platform>, String, String)]| -> BTreeMap<String, String> {
        let fits = |wanted: &Option<Platform>| wanted.as_ref().is_none_or(|wanted| *wanted == platform);
        list.iter().filter(|(wanted, _, _)| fits(wanted)).map(|(_, key, value)| (key.clone(), value.clone())).collect()
    };
    let oci = options.family == Family::Oci;
    let manifest = Manifest::write(ManifestView {
        schema_version: 2,
        media_type: Some(options.family.manifest().to_owned()),
        artifact_type: None,
        config: Descriptor::of(options.family.config(), &config.raw),
        layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        subject: None,
        annotations: if oci { pick(&options.annotations.manifest) } else { BTreeMap::new() },
    });
    store.put(lease, &manifest.raw)?;
    let mut descriptor = manifest.descriptor().with_platform(platform.clone());
    if oci {
        descriptor.annotations = pick(&options.annotations.manifest_descriptor);
    }
    Ok(AssembledManifest { platform, manifest, descriptor, config, layers })
}

/// Fills in what only the layers know: diffIDs and times.
fn finish_config(
    mut config: ImageConfigView,
    platform: &Platform,
    layers: &[ImageLayer],
    epoch: Option<Timestamp>,
) -> ImageConfigView {
    config.os.clone_from(&platform.os);
    config.architecture.clone_from(&platform.architecture);
    config.variant.clone_from(&platform.variant);
    config.os_version.clone_from(&platform.os_version);
    config.os_features.clone_from(&platform.os_features);
    config.rootfs.kind = "layers".to_owned();
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    let mut at = 0;
    let mut latest = config.history.iter().find_map(|entry| entry.created).or(config.created);
    for entry in &mut config.history {
        if !entry.empty_layer {
            let of_layer = layers.get(at).map(|layer| layer.created);
            at += 1;
            if entry.created.is_none() {
                entry.created = epoch.or(of_layer);
            }
        } else if entry.created.is_none() {
            entry.created = epoch.or(latest);
        }
        latest = entry.created.or(latest);
    }
    config.created = epoch.or(latest).or(Some(Timestamp::from_seconds(0)));
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossdock_oci::History;

    fn layer(text: &str, seconds: u64) -> ImageLayer {
        ImageLayer {
            descriptor: Descriptor::of(crossdock_oci::media_type::OCI_LAYER_GZIP, text.as_bytes()),
            diff_id: DiffId::of(text.as_bytes()),
            created: Timestamp::from_seconds(seconds),
        }
    }

    #[test]
    fn times_come_from_layers_and_empty_steps_take_the_one_before() {
        let entry =
            |text: &str, empty_layer| History { created_by: text.to_owned(), empty_layer, ..History::default() };
        let base = History { created: Some(Timestamp::from_seconds(5)), ..entry("base", false) };
        let config = ImageConfigView {
            history: vec![base, entry("ENV", true), entry("RUN", false), entry("CMD", true)],
            ..ImageConfigView::default()
        };
        let platform = Platform::new("linux", "arm", "v7");
        let done = finish_config(config.clone(), &platform, &[layer("a", 1), layer("b", 9)], None);
        let seconds: Vec<u64> = done.history.iter().map(|entry| entry.created.unwrap().seconds()).collect();
        assert_eq!(seconds, [5, 5, 9, 9]);
        assert_eq!(done.created.unwrap().seconds(), 9);
        let fixed = finish_config(config, &platform, &[layer("a", 1), layer("b", 9)], Some(Timestamp::from_seconds(3)));
        let seconds: Vec<u64> = fixed.history.iter().map(|entry| entry.created.unwrap().seconds()).collect();
        assert_eq!((seconds, fixed.created.unwrap().seconds()), (vec![5, 3, 3, 3], 3));
    }
}
