//! In: kept images. Out: one tar that is an OCI layout and an archive for `docker load` at once. Never: a blob left out in silence.
//!
//! Entries stand in sorted order and carry no time, so equal images give equal archives.

use std::collections::BTreeMap;
use std::io::Write;

use crossdock_content::Lease;
use crossdock_exporter::layout::{DockerManifest, LayoutIndex, OCI_LAYOUT, blob_path, entry, to_json};
use crossdock_image::local::LocalManifest;
use crossdock_image::{ImageError, Layers, LocalImage};
use crossdock_oci::{BlobDigest, Descriptor, Index, MANIFEST_SIZE_MAX, Platform, Reference, media_type};
use crossdock_snapshot::entry::EntryKind;
use crossdock_snapshot::tar::Writer;

use crate::fetch::{Fetcher, ShownAt};
use crate::{BuildError, Engine};

/// The name of an image in an OCI index, in full.
pub(super) const NAME_ANNOTATION: &str = "io.containerd.image.name";
/// The tag, or whatever another tool wrote there.
pub(super) const REF_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// An image to be saved.
#[derive(Debug, Clone)]
pub struct SaveWish {
    pub image: LocalImage,
    /// Whether it was asked for by name, so that the archive gives it that name.
    pub named: bool,
}

/// What an archive does not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaveReport {
    /// Image and platforms of its index that are not in the store.
    pub left_out: Vec<(String, Vec<String>)>,
}

/// What goes into the archive, before it is written.
#[derive(Default)]
struct Plan {
    blobs: BTreeMap<BlobDigest, u64>,
    index: Vec<Descriptor>,
    docker: Vec<DockerManifest>,
    /// The manifest behind each entry of `docker`.
    docker_manifests: Vec<BlobDigest>,
    report: SaveReport,
}

impl Engine {
    /// Writes images into one archive: with `platform` that platform of each, else all that are here. Blobs that are not
    /// stored are fetched from the repositories that hold them.
    ///
    /// # Errors
    /// When a platform or a blob cannot be had, or the archive not be written.
    pub fn save(
        &self,
        wishes: &[SaveWish],
        platform: Option<&Platform>,
        out: &mut dyn Write,
    ) -> Result<SaveReport, BuildError> {
        let lease = self.store.lease()?;
        let mut plan = Plan::default();
        for wish in wishes {
            self.plan_image(&mut plan, wish, platform, &lease)?;
        }
        self.write_plan(&plan, out)?;
        Ok(plan.report)
    }

    fn plan_image(
        &self,
        plan: &mut Plan,
        wish: &SaveWish,
        platform: Option<&Platform>,
        lease: &Lease,
    ) -> Result<(), BuildError> {
        let images = self.images();
        let image = &wish.image;
        let name = image.reference.as_ref().map_or_else(|| image.row.target.digest.to_string(), Reference::familiar);
        let (target, manifests) = match platform {
            Some(platform) => {
                let chosen = images.choose(image, platform)?;
                (chosen.descriptor.clone(), vec![chosen])
            }
            None => (image.row.target.clone(), images.manifests(image)?),
        };
        if manifests.is_empty() {
            let platform = platform.cloned().unwrap_or_else(Platform::host);
            return Err(ImageError::NoPlatform { name, platform, available: "none".to_owned() }.into());
        }
        if media_type::is_index(&target.media_type) {
            self.plan_index(plan, &target, &name, &manifests)?;
        }
        for manifest in &manifests {
            self.plan_manifest(plan, image, manifest, lease)?;
        }
        let mut entry = Descriptor::new(target.media_type.clone(), target.digest, target.size);
        let reference = image.reference.as_ref().filter(|_| wish.named);
        if let Some(reference) = reference {
            entry.annotations.insert(NAME_ANNOTATION.to_owned(), reference.to_string());
            if let Some(tag) = reference.tag() {
                entry.annotations.insert(REF_ANNOTATION.to_owned(), tag.to_owned());
            }
        }
        plan.index.push(entry);
        plan.add_docker(&manifests, reference);
        Ok(())
    }

    /// The index itself, and what it names besides images of a platform (attestations), where that is here.
    fn plan_index(
        &self,
        plan: &mut Plan,
        target: &Descriptor,
        name: &str,
        manifests: &[LocalManifest],
    ) -> Result<(), BuildError> {
        plan.blobs.insert(target.digest, target.size);
        let raw = self.images().document("index", target, name)?;
        let index = Index::parse(raw).map_err(|source| ImageError::Document {
            subject: "index",
            digest: target.digest,
            source,
        })?;
        let missing: Vec<String> = index
            .images()
            .filter(|entry| !manifests.iter().any(|manifest| manifest.descriptor.digest == entry.digest))
            .map(|entry| entry.platform.as_ref().map_or_else(|| entry.digest.to_string(), ToString::to_string))
            .collect();
        if !missing.is_empty() {
            plan.report.left_out.push((name.to_owned(), missing));
        }
        for entry in index.view.manifests.iter().filter(|entry| entry.is_attestation()) {
            let Some(raw) = self.store.read(entry.digest, MANIFEST_SIZE_MAX)? else { continue };
            let Ok(manifest) = crossdock_oci::Manifest::parse(raw) else { continue };
            let parts: Vec<&Descriptor> = manifest.view.layers.iter().chain([&manifest.view.config]).collect();
            let here = parts.iter().map(|part| self.store.has(part.digest)).collect::<Result<Vec<_>, _>>()?;
            if here.iter().all(|here| *here) {
                plan.blobs.insert(entry.digest, entry.size);
                plan.blobs.extend(parts.iter().map(|part| (part.digest, part.size)));
            }
        }
        Ok(())
    }

    fn plan_manifest(
        &self,
        plan: &mut Plan,
        image: &LocalImage,
        manifest: &LocalManifest,
        lease: &Lease,
    ) -> Result<(), BuildError> {
        plan.blobs.insert(manifest.descriptor.digest, manifest.descriptor.size);
        let layers = Layers::new(&self.store);
        let fetcher = Fetcher::new(&self.store, &self.client, lease);
        let parts = manifest.manifest.view.layers.iter().chain([&manifest.manifest.view.config]);
        for part in parts {
            if !self.store.has(part.digest)? {
                let origins = self.blob_origins(image, &layers, &manifest.manifest, part);
                if origins.is_empty() {
                    return Err(crossdock_exporter::ExportError::BlobMissing { digest: part.digest }.into());
                }
                let blob = crossdock_image::LayerBlob {
                    media_type: part.media_type.clone(),
                    digest: part.digest,
                    size: part.size,
                    method: None,
                    origins,
                };
                fetcher.fetch(&blob, &ShownAt::nowhere())?;
            }
            plan.blobs.insert(part.digest, part.size);
        }
        Ok(())
    }

    fn write_plan(&self, plan: &Plan, out: &mut dyn Write) -> Result<(), BuildError> {
        let failed = |error: crossdock_snapshot::tar::TarError| crossdock_exporter::ExportError::from(error);
        let mut tar = Writer::new(out);
        let small = |path: &str, bytes: &[u8], tar: &mut Writer<&mut dyn Write>| {
            let kind = EntryKind::File { size_bytes: bytes.len() as u64 };
            tar.append(&entry(path, kind, 0o444), &mut &bytes[..]).map_err(failed)
        };
        for directory in ["blobs", "blobs/sha256"] {
            tar.append(&entry(directory, EntryKind::Dir, 0o755), &mut std::io::empty()).map_err(failed)?;
        }
        for (digest, size) in &plan.blobs {
            let missing = || crossdock_exporter::ExportError::BlobMissing { digest: *digest };
            let mut blob = self.store.open_verified(*digest)?.ok_or_else(missing)?;
            let kind = EntryKind::File { size_bytes: *size };
            tar.append(&entry(&blob_path(*digest), kind, 0o444), &mut blob).map_err(failed)?;
        }
        let index = LayoutIndex::new(plan.index.clone());
        small("index.json", &to_json(&index), &mut tar)?;
        small("manifest.json", &to_json(&plan.docker), &mut tar)?;
        small("oci-layout", OCI_LAYOUT, &mut tar)?;
        tar.finish()
            .map_err(failed)?
            .flush()
            .map_err(|source| BuildError::Io { path: "the archive".to_owned(), source })
    }
}

impl Plan {
    /// An entry of `manifest.json`, which knows one platform of an image only: the host's, or the first.
    fn add_docker(&mut self, manifests: &[LocalManifest], reference: Option<&Reference>) {
        let matcher = Platform::host().matcher();
        let rank = |manifest: &&LocalManifest| {
            manifest.platform.as_ref().and_then(|platform| matcher.rank(platform)).unwrap_or(usize::MAX)
        };
        let Some(chosen) = manifests.iter().min_by_key(rank) else { return };
        let tag = reference.filter(|reference| reference.tag().is_some()).map(Reference::familiar);
        if let Some(at) = self.docker_manifests.iter().position(|known| *known == chosen.descriptor.digest) {
            self.docker[at].repo_tags.extend(tag);
            return;
        }
        let view = &chosen.manifest.view;
        self.docker_manifests.push(chosen.descriptor.digest);
        self.docker.push(DockerManifest {
            config: blob_path(view.config.digest),
            repo_tags: tag.into_iter().collect(),
            layers: view.layers.iter().map(|layer| blob_path(layer.digest)).collect(),
        });
    }
}
