//! In: names of images. Out: images pulled into the store and pushed out of it. Never: a build.

mod load;
mod run;
mod save;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use crossdock_content::Lease;
use crossdock_exporter::push::{PushFrom, PushImage, PushReport, document, push_telling};
use crossdock_frontend::bridge::BridgeError;
use crossdock_image::local::LocalManifest;
use crossdock_image::{ImageKind, ImageRow, Images, Layers, LocalImage};
use crossdock_oci::{
    BlobDigest, Descriptor, ImageConfig, Index, MANIFEST_SIZE_MAX, Platform, Reference, Timestamp, media_type,
};
use crossdock_progress::{Progress, Step};
use crossdock_registry::Pushed;

use crate::base::register_layers;
use crate::fetch::{Fetcher, ShownAt, a_few_at_a_time};
use crate::resolve::{ChosenImage, Resolver};
use crate::{BuildError, Engine};

pub use load::{LoadError, LoadedImage};
pub use run::{ImageToRun, PreparedImage, RunRequest, RunningImage, inherited_stdio};
pub use save::{SaveReport, SaveWish};

/// What a pull has to say while it goes on.
#[derive(Debug, Clone)]
pub enum PullWord {
    /// The registry knows the name.
    Found,
    Exists(BlobDigest),
    Begins(BlobDigest),
    Complete(BlobDigest),
}

/// What became of a blob that was pushed, with the repository it was mounted from.
#[derive(Debug, Clone)]
pub struct PushWord {
    pub descriptor: Descriptor,
    pub outcome: Pushed,
}

/// What a pull gave.
#[derive(Debug, Clone)]
pub struct PullReport {
    pub image: LocalImage,
    pub platforms: Vec<Platform>,
    /// Layers that were stored already.
    pub existing: usize,
    pub fetched: usize,
}

impl Engine {
    /// Fetches an image: the best one for each platform, or for all it has when none is named. With `explicit` an image
    /// that is there for one platform only must be of a wanted one.
    ///
    /// # Errors
    /// When the registry does not give it.
    pub fn pull(
        &self,
        reference: &Reference,
        platforms: &[Platform],
        explicit: bool,
        progress: &Progress,
    ) -> Result<PullReport, BuildError> {
        self.pull_telling(reference, platforms, explicit, progress, &|_| {})
    }

    /// As [`Engine::pull`], telling of each layer.
    ///
    /// # Errors
    /// When the registry does not give it.
    pub fn pull_telling(
        &self,
        reference: &Reference,
        platforms: &[Platform],
        explicit: bool,
        progress: &Progress,
        tell: &(dyn Fn(PullWord) + Sync),
    ) -> Result<PullReport, BuildError> {
        let lease = self.store.lease()?;
        let resolver = Resolver::new(&self.store, &self.client, &lease);
        let step = progress.step(&format!("pulling {}", reference.tagged_or_latest()));
        // What another repository gave is no proof that this one has it.
        if reference.digest().is_some() && self.find_to_run(&reference.to_string())?.is_none() {
            self.client.resolve_digest(reference)?;
        }
        let mode = crossdock_frontend::bridge::ResolveMode::Pull;
        let target = resolver.target(reference, mode)?;
        let wanted = if platforms.is_empty() {
            all_platforms(&target.descriptor.media_type, &target.raw)
        } else {
            platforms.to_vec()
        };
        let wanted = if wanted.is_empty() { vec![Platform::host()] } else { wanted };
        tell(PullWord::Found);
        let mut report = (0, 0);
        let mut blobs = Vec::new();
        let mut chosen_platforms: Vec<Platform> = Vec::new();
        for platform in &wanted {
            let image = resolver.choose(reference, &target, platform).map_err(name_platforms)?;
            if explicit && platform.matcher().rank(&image.platform).is_none() {
                return Err(BuildError::OtherPlatform {
                    reference: reference.clone(),
                    wanted: platform.clone(),
                    found: image.platform,
                });
            }
            if !chosen_platforms.contains(&image.platform) {
                self.fetch_layers(reference, &image, &lease, &step, &mut report, tell)?;
                blobs.push(image.manifest.digest());
                blobs.push(image.config.digest());
                blobs.extend(image.manifest.view.layers.iter().map(|layer| layer.digest));
                chosen_platforms.push(image.platform);
            }
        }
        let row = ImageRow {
            target: target.descriptor,
            kind: ImageKind::Pulled,
            created: Timestamp::now(),
            origins: BTreeMap::new(),
        };
        // A digest wins over a tag beside it, which then says nothing about what the tag means now.
        let named = Some(match reference.digest() {
            Some(digest) => reference.name_only().with_digest(digest),
            None => reference.tagged_or_latest(),
        });
        Images::new(&self.store).put(named.as_ref(), &row, &blobs)?;
        step.done();
        let image = LocalImage { reference: named, row };
        Ok(PullReport { image, platforms: chosen_platforms, existing: report.0, fetched: report.1 })
    }

    fn fetch_layers(
        &self,
        reference: &Reference,
        image: &ChosenImage,
        lease: &Lease,
        step: &Step,
        report: &mut (usize, usize),
        tell: &(dyn Fn(PullWord) + Sync),
    ) -> Result<(), BuildError> {
        let layers = Layers::new(&self.store);
        let fetcher = Fetcher::new(&self.store, &self.client, lease);
        let shown = ShownAt { progress: step.progress().clone(), vertex: step.digest() };
        let mut missing = Vec::new();
        let ids = register_layers(&layers, reference, image, false)?;
        for (id, descriptor) in ids.iter().zip(&image.manifest.view.layers) {
            if self.store.has(descriptor.digest)? {
                report.0 += 1;
                tell(PullWord::Exists(descriptor.digest));
                continue;
            }
            report.1 += 1;
            tell(PullWord::Begins(descriptor.digest));
            let row = layers.get(id)?;
            let blob = row.and_then(|row| row.blobs.into_iter().find(|blob| blob.digest == descriptor.digest));
            missing.push(blob.ok_or_else(|| BuildError::LayerGone { layer: descriptor.digest.to_string() })?);
        }
        a_few_at_a_time(missing.len(), &AtomicBool::new(false), &|at| {
            fetcher.fetch(&missing[at], &shown)?;
            tell(PullWord::Complete(missing[at].digest));
            Ok(())
        })
    }

    /// Pushes a kept image under other names, or under its own.
    ///
    /// # Errors
    /// Those of the registry; a blob nobody holds.
    pub fn push(&self, image: &LocalImage, names: &[Reference], progress: &Progress) -> Result<PushReport, BuildError> {
        self.push_telling(image, names, progress, &|_| {})
    }

    /// As [`Engine::push`], telling of each blob.
    ///
    /// # Errors
    /// Those of the registry; a blob nobody holds.
    pub fn push_telling(
        &self,
        image: &LocalImage,
        names: &[Reference],
        progress: &Progress,
        tell: &(dyn Fn(PushWord) + Sync),
    ) -> Result<PushReport, BuildError> {
        let lease = self.store.lease()?;
        let images = self.images();
        let name = image.reference.as_ref().map_or_else(|| image.row.target.digest.to_string(), Reference::familiar);
        let raw = images.document("image", &image.row.target, &name)?;
        let mut wanted =
            PushImage { target: Some(document(image.row.target.clone(), raw.clone())), ..PushImage::default() };
        let manifests = images.manifests(image)?;
        if let Some(entry) = not_here(image, raw, &manifests)? {
            let platform = entry.platform.as_ref().map_or_else(|| entry.digest.to_string(), ToString::to_string);
            return Err(BuildError::PlatformNotHere { name, platform });
        }
        for LocalManifest { descriptor, manifest, .. } in &manifests {
            let layers = Layers::new(&self.store);
            wanted.add_manifest(manifest, &|blob| self.blob_origins(image, &layers, manifest, blob));
            if descriptor.digest != image.row.target.digest {
                wanted.manifests.push(document(manifest.descriptor(), manifest.raw.clone()));
            }
        }
        let step =
            progress.step(&format!("pushing {}", names.first().map_or_else(|| name.clone(), Reference::to_string)));
        let from = PushFrom { store: &self.store, lease: &lease };
        let told =
            |descriptor: &Descriptor, outcome: Pushed| tell(PushWord { descriptor: descriptor.clone(), outcome });
        let report = push_telling(&self.client, from, &wanted, names, false, &step, &told);
        match &report {
            Ok(_) => step.done(),
            Err(error) => step.failed(&error.to_string()),
        }
        let report = report?;
        self.remember_pushed(image, &wanted, names)?;
        Ok(report)
    }

    /// The manifest to push of an index of which nothing else is here; none when all of it is, or more than one.
    ///
    /// # Errors
    /// Those of the store.
    pub fn only_manifest_here(&self, image: &LocalImage) -> Result<Option<Descriptor>, BuildError> {
        let images = self.images();
        let manifests = images.manifests(image)?;
        let raw = images.document("image", &image.row.target, "an image")?;
        let (missing, mut here) = (not_here(image, raw, &manifests)?, manifests.into_iter());
        Ok(match (missing, here.next(), here.next()) {
            (Some(_), Some(only), None) => Some(only.descriptor),
            _ => None,
        })
    }

    /// Notes in the image's row which repositories hold its blobs now, so that the next push to the same registry mounts them.
    /// What was pushed may be one platform of it; what is kept under the name stays as it is.
    fn remember_pushed(&self, image: &LocalImage, pushed: &PushImage, names: &[Reference]) -> Result<(), BuildError> {
        let images = self.images();
        let is_same = |kept: &LocalImage| {
            kept.reference == image.reference
                && (kept.reference.is_some() || kept.row.target.digest == image.row.target.digest)
        };
        let Some(kept) = images.list()?.into_iter().find(is_same) else { return Ok(()) };
        let mut row = kept.row.clone();
        for blob in &pushed.blobs {
            let origins = row.origins.entry(blob.descriptor.digest.to_string()).or_insert_with(|| blob.origins.clone());
            for name in names.iter().map(Reference::name) {
                if !origins.contains(&name) {
                    origins.push(name);
                }
            }
        }
        let documents = pushed.manifests.iter().map(|manifest| manifest.descriptor.digest);
        let mut blobs: Vec<_> = pushed.blobs.iter().map(|blob| blob.descriptor.digest).chain(documents).collect();
        blobs.extend(images.manifests(&kept)?.iter().flat_map(LocalManifest::blobs));
        Ok(images.put(kept.reference.as_ref(), &row, &blobs)?)
    }

    /// Repositories that hold a blob of a kept image: from the image's row, else from its layer's.
    fn blob_origins(
        &self,
        image: &LocalImage,
        layers: &Layers,
        manifest: &crossdock_oci::Manifest,
        blob: &crossdock_oci::Descriptor,
    ) -> Vec<String> {
        if let Some(known) = image.row.origins.get(&blob.digest.to_string()) {
            return known.clone();
        }
        let Some(at) = manifest.view.layers.iter().position(|layer| layer.digest == blob.digest) else {
            return Vec::new();
        };
        let config = self
            .store
            .read(manifest.view.config.digest, MANIFEST_SIZE_MAX)
            .ok()
            .flatten()
            .and_then(|raw| ImageConfig::parse(raw).ok());
        let diff = config.and_then(|config| config.view.rootfs.diff_ids.get(at).copied());
        let row = diff.and_then(|diff| layers.get(&crossdock_image::LayerId::of_diff(diff)).ok().flatten());
        row.and_then(|row| row.blobs.into_iter().find(|known| known.digest == blob.digest))
            .map(|known| known.origins)
            .unwrap_or_default()
    }
}

/// A missing platform said with those there are: nobody shows a Dockerfile beside this error.
fn name_platforms(error: BuildError) -> BuildError {
    match error {
        BuildError::Bridge(BridgeError::NoSuchPlatform { reference, wanted, available }) => {
            let available = available.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            crossdock_image::ImageError::NoPlatform { name: reference.familiar(), platform: *wanted, available }.into()
        }
        other => other,
    }
}

fn all_platforms(kind: &str, raw: &bytes::Bytes) -> Vec<Platform> {
    if !media_type::is_index(kind) {
        return Vec::new();
    }
    let index = Index::parse(raw.clone()).ok();
    index
        .map(|index| index.images().filter_map(|entry| entry.platform.clone()).map(Platform::normalized).collect())
        .unwrap_or_default()
}

/// The first entry of an image's index that is not kept here.
fn not_here(
    image: &LocalImage,
    raw: bytes::Bytes,
    manifests: &[LocalManifest],
) -> Result<Option<Descriptor>, BuildError> {
    if !media_type::is_index(&image.row.target.media_type) {
        return Ok(None);
    }
    let digest = image.row.target.digest;
    let bad = |source| crossdock_image::ImageError::Document { subject: "index", digest, source };
    let entries = Index::parse(raw).map_err(bad)?.view.manifests;
    Ok(entries.into_iter().find(|entry| !manifests.iter().any(|here| here.descriptor.digest == entry.digest)))
}
