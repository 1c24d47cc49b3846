//! In: the files of an OCI layout. Out: the images its index names, each with all its blobs. Never: an image with a blob missing.

use crossdock_oci::{BlobDigest, Descriptor, ImageConfig, Index, Manifest, Platform, Reference, media_type};

use super::super::save::{NAME_ANNOTATION, REF_ANNOTATION};
use super::docker::Entry;
use super::{FoundImage, Reading, blob_path};
use crate::BuildError;

/// Indexes inside of indexes.
const DEPTH_MAX: usize = 4;

pub(super) fn images(reading: &Reading<'_>, docker: &[Entry]) -> Result<Vec<FoundImage>, BuildError> {
    let raw = reading.document("index.json", "an OCI layout")?;
    let index = Index::parse(raw).map_err(|error| reading.bad("index.json", &error))?;
    let mut found: Vec<FoundImage> = Vec::new();
    let mut available = Vec::new();
    for descriptor in &index.view.manifests {
        let name = name_of(descriptor);
        if let Some(known) = found.iter_mut().find(|image| image.target.digest == descriptor.digest) {
            known.names.extend(name.filter(|name| !known.names.contains(name)));
            continue;
        }
        let mut plain = Descriptor::new(descriptor.media_type.clone(), descriptor.digest, descriptor.size);
        plain.platform.clone_from(&descriptor.platform);
        let mut walk = Walk { reading, blobs: Vec::new(), configs: Vec::new(), chosen: None, available: Vec::new() };
        walk.descend(&plain, "index.json", DEPTH_MAX)?;
        available.append(&mut walk.available);
        let target = match (reading.platform, walk.chosen) {
            (Some(_), None) => continue,
            (Some(_), Some(chosen)) => chosen,
            (None, _) => plain,
        };
        let mut names: Vec<Reference> = name.into_iter().collect();
        for entry in docker.iter().filter(|entry| walk.configs.contains(&entry.config)) {
            let more = entry.names.iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>();
            names.extend(more);
        }
        found.push(FoundImage { names, target, blobs: walk.blobs });
    }
    if found.is_empty() && reading.platform.is_some() {
        return Err(reading.no_platform(&available));
    }
    Ok(found)
}

/// The name in the annotations: containerd's in full, or the one other tools write where only a tag should stand.
fn name_of(descriptor: &Descriptor) -> Option<Reference> {
    let full = descriptor.annotations.get(NAME_ANNOTATION).and_then(|name| name.parse::<Reference>().ok());
    let other = || {
        let text = descriptor.annotations.get(REF_ANNOTATION)?;
        text.contains([':', '/']).then(|| text.parse::<Reference>().ok()).flatten()
    };
    full.or_else(other).map(|name| name.tagged_or_latest())
}

/// Collects what is behind a descriptor.
struct Walk<'a> {
    reading: &'a Reading<'a>,
    blobs: Vec<BlobDigest>,
    configs: Vec<BlobDigest>,
    /// The manifest of the wanted platform.
    chosen: Option<Descriptor>,
    available: Vec<String>,
}

impl Walk<'_> {
    fn descend(&mut self, descriptor: &Descriptor, needed_by: &str, depth: usize) -> Result<(), BuildError> {
        let path = blob_path(descriptor.digest);
        let digest = self.reading.blob(descriptor, needed_by)?;
        self.blobs.push(digest);
        let raw = self.reading.engine.store.read(digest, super::LOAD_DOCUMENT_BYTES_MAX)?;
        let raw = raw.ok_or_else(|| self.reading.bad(&path, &"it cannot be read"))?;
        if !media_type::is_index(&descriptor.media_type) {
            return self.manifest(descriptor, raw, &path);
        }
        if depth == 0 {
            return Err(self.reading.bad(&path, &"too many indexes inside of each other").into());
        }
        let index = Index::parse(raw).map_err(|error| self.reading.bad(&path, &error))?;
        let mut complete = 0;
        let mut missing = None;
        for entry in &index.view.manifests {
            // An archive may hold some platforms of an index only.
            if !self.reading.files.has(&blob_path(entry.digest)) && !self.reading.engine.store.has(entry.digest)? {
                missing.get_or_insert(entry.digest);
                continue;
            }
            complete += 1;
            self.descend(entry, &path, depth - 1)?;
        }
        match missing {
            Some(digest) if complete == 0 => Err(super::LoadError::Missing {
                archive: self.reading.archive.to_owned(),
                path: blob_path(digest),
                needed_by: path,
            }
            .into()),
            _ => Ok(()),
        }
    }

    fn manifest(&mut self, descriptor: &Descriptor, raw: bytes::Bytes, path: &str) -> Result<(), BuildError> {
        let manifest = Manifest::parse(raw).map_err(|error| self.reading.bad(path, &error))?;
        let config = &manifest.view.config;
        self.blobs.push(self.reading.blob(config, path)?);
        self.configs.push(config.digest);
        for layer in &manifest.view.layers {
            self.blobs.push(self.reading.blob(layer, path)?);
        }
        if descriptor.is_attestation() {
            return Ok(());
        }
        let platform = match &descriptor.platform {
            Some(platform) => Some(platform.clone().normalized()),
            None => self.config_platform(config)?,
        };
        self.available.extend(platform.as_ref().map(ToString::to_string));
        if self.chosen.is_none() && self.reading.platform.is_some() && self.reading.is_wanted(platform.as_ref()) {
            let kind = descriptor.media_type.clone();
            self.chosen = Some(Descriptor::new(kind, descriptor.digest, descriptor.size));
        }
        Ok(())
    }

    fn config_platform(&self, config: &Descriptor) -> Result<Option<Platform>, BuildError> {
        let raw = self.reading.engine.store.read(config.digest, super::LOAD_DOCUMENT_BYTES_MAX)?;
        Ok(raw.and_then(|raw| ImageConfig::parse(raw).ok()).and_then(|config| config.view.platform()))
    }
}
