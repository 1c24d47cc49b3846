//! In: the files of what `docker save` and its kin write: `manifest.json`, configs, layers. Out: images with manifests of our own. Never: a layer whose count or kind does not fit the config.

use std::io::Read as _;

use crossdock_oci::manifest::ManifestView;
use crossdock_oci::{BlobDigest, Descriptor, ImageConfig, Manifest, Reference, media_type};
use crossdock_snapshot::compression::{Compression, detect};
use serde::Deserialize;

use super::{FoundImage, Reading};
use crate::BuildError;

/// Bytes that tell how a layer is compressed.
const MAGIC_BYTES: u64 = 8;

/// An entry of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The same, looked up.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) config: BlobDigest,
    config_size: u64,
    config_path: String,
    pub(super) names: Vec<Reference>,
    layers: Vec<String>,
}

/// What `manifest.json` says; nothing when there is none.
pub(super) fn entries(reading: &Reading<'_>) -> Result<Vec<Entry>, BuildError> {
    const PATH: &str = "manifest.json";
    if !reading.files.has(PATH) {
        return Ok(Vec::new());
    }
    let raw = reading.document(PATH, "the archive")?;
    let wire: Vec<Wire> = serde_json::from_slice(&raw).map_err(|error| reading.bad(PATH, &error))?;
    let mut entries = Vec::new();
    for one in wire {
        // In a layout with several platforms it may speak of what was left out.
        let Some((config, config_size)) = reading.files.get(&one.config) else { continue };
        let names = one.repo_tags.unwrap_or_default();
        let names = names.iter().map(|name| {
            name.parse::<Reference>()
                .map(|name| name.tagged_or_latest())
                .map_err(|error| reading.bad(PATH, &error).into())
        });
        entries.push(Entry {
            config,
            config_size,
            config_path: one.config,
            names: names.collect::<Result<Vec<_>, BuildError>>()?,
            layers: one.layers.unwrap_or_default(),
        });
    }
    Ok(entries)
}

pub(super) fn images(reading: &Reading<'_>, entries: &[Entry]) -> Result<Vec<FoundImage>, BuildError> {
    let mut found = Vec::new();
    let mut available = Vec::new();
    for entry in entries {
        let raw = reading.document(&entry.config_path, "manifest.json")?;
        let config = ImageConfig::parse(raw).map_err(|error| reading.bad(&entry.config_path, &error))?;
        let platform = config.view.platform();
        available.extend(platform.as_ref().map(ToString::to_string));
        if reading.is_wanted(platform.as_ref()) {
            found.push(image(reading, entry, &config)?);
        }
    }
    if found.is_empty() && reading.platform.is_some() {
        return Err(reading.no_platform(&available));
    }
    Ok(found)
}

fn image(reading: &Reading<'_>, entry: &Entry, config: &ImageConfig) -> Result<FoundImage, BuildError> {
    let wanted = config.view.rootfs.diff_ids.len();
    if entry.layers.len() != wanted {
        let reason = format!("it has {wanted} layers, manifest.json names {}", entry.layers.len());
        return Err(reading.bad(&entry.config_path, &reason).into());
    }
    let mut layers = Vec::new();
    for (path, diff) in entry.layers.iter().zip(&config.view.rootfs.diff_ids) {
        layers.push(layer(reading, path, &diff.hex())?);
    }
    let mut blobs: Vec<BlobDigest> = layers.iter().map(|layer| layer.digest).collect();
    blobs.push(entry.config);
    let view = ManifestView {
        schema_version: 2,
        media_type: Some(media_type::DOCKER_MANIFEST.to_owned()),
        artifact_type: None,
        config: Descriptor::new(media_type::DOCKER_CONFIG, entry.config, entry.config_size),
        layers,
        subject: None,
        annotations: std::collections::BTreeMap::new(),
    };
    let manifest = Manifest::write(view);
    reading.engine.store.put(reading.lease, &manifest.raw)?;
    Ok(FoundImage { names: entry.names.clone(), target: manifest.descriptor(), blobs })
}

/// A layer as a blob. Its uncompressed bytes are checked against the config when they are unpacked; a plain tar at once.
fn layer(reading: &Reading<'_>, path: &str, diff: &str) -> Result<Descriptor, BuildError> {
    let missing = || super::LoadError::Missing {
        archive: reading.archive.to_owned(),
        path: path.to_owned(),
        needed_by: "manifest.json".to_owned(),
    };
    let (digest, size) = reading.files.get(path).ok_or_else(missing)?;
    let blob = reading.engine.store.open_blob(digest)?.ok_or_else(missing)?;
    let mut start = Vec::new();
    blob.file
        .take(MAGIC_BYTES)
        .read_to_end(&mut start)
        .map_err(|source| super::LoadError::Read { archive: reading.archive.to_owned(), source })?;
    let kind = match detect(&start) {
        Compression::Uncompressed => media_type::DOCKER_LAYER,
        Compression::Gzip => media_type::DOCKER_LAYER_GZIP,
        Compression::Zstd => media_type::DOCKER_LAYER_ZSTD,
        other => return Err(reading.bad(path, &format!("layers compressed with {other} are not supported")).into()),
    };
    if kind == media_type::DOCKER_LAYER && digest.hex() != diff {
        let got = digest;
        return Err(super::LoadError::Digest { archive: reading.archive.to_owned(), path: path.to_owned(), got }.into());
    }
    Ok(Descriptor::new(kind, digest, size))
}
