//! In: an image whose documents are at hand, blobs that are stored or only elsewhere. Out: the image in a registry, under every name. Never: an upload of what is there already.
//!
//! Order (spec/engine.md §4): blobs, configs, manifests, index, tags. A blob that only another repository of the same
//! registry has is mounted from there; one that has to move between registries is fetched first.

use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use crossdock_content::{Lease, Store};
use crossdock_oci::{Descriptor, Manifest, Reference, media_type};
use crossdock_progress::Step;
use crossdock_registry::{Client, FETCHES_PER_REGISTRY_MAX, PushSource, Pushed};

use crate::ExportError;

/// A blob to be brought over.
#[derive(Debug, Clone)]
pub struct PushBlob {
    pub descriptor: Descriptor,
    /// Repositories that hold it: `docker.io/library/busybox`.
    pub origins: Vec<String>,
}

/// A document to be put by digest or tag.
#[derive(Debug, Clone)]
pub struct PushDocument {
    pub descriptor: Descriptor,
    pub raw: Bytes,
}

/// An image with everything a registry needs of it.
#[derive(Debug, Clone, Default)]
pub struct PushImage {
    /// Layers and configs.
    pub blobs: Vec<PushBlob>,
    /// Manifests of an index, put by digest.
    pub manifests: Vec<PushDocument>,
    /// What the tags name.
    pub target: Option<PushDocument>,
}

/// What a push did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PushReport {
    pub existed: u64,
    pub mounted: u64,
    pub uploaded: u64,
    /// Bytes of the blobs that were uploaded.
    pub uploaded_bytes: u64,
    /// Documents that had to be put.
    pub documents: u64,
}

impl PushImage {
    /// Adds a manifest with its blobs; `origins` says who else holds a blob.
    pub fn add_manifest(&mut self, manifest: &Manifest, origins: &dyn Fn(&Descriptor) -> Vec<String>) {
        for descriptor in manifest.view.layers.iter().chain([&manifest.view.config]) {
            if !self.blobs.iter().any(|blob| blob.descriptor.digest == descriptor.digest) {
                self.blobs.push(PushBlob { descriptor: descriptor.clone(), origins: origins(descriptor) });
            }
        }
    }
}

/// Where a push takes its blobs from.
#[derive(Debug, Clone, Copy)]
pub struct PushFrom<'a> {
    pub store: &'a Store,
    pub lease: &'a Lease,
}

/// Pushes an image under every name, or by its digest alone.
///
/// # Errors
/// Those of the registry; a blob nobody holds.
pub fn push(
    client: &Client,
    from: PushFrom<'_>,
    image: &PushImage,
    names: &[Reference],
    by_digest: bool,
    step: &Step,
) -> Result<PushReport, ExportError> {
    push_telling(client, from, image, names, by_digest, step, &|_, _| {})
}

/// As [`push`], telling what became of each blob.
///
/// # Errors
/// Those of the registry; a blob nobody holds.
pub fn push_telling(
    client: &Client,
    from: PushFrom<'_>,
    image: &PushImage,
    names: &[Reference],
    by_digest: bool,
    step: &Step,
    tell: &(dyn Fn(&Descriptor, Pushed) + Sync),
) -> Result<PushReport, ExportError> {
    let mut report = PushReport::default();
    let mut repositories: Vec<Reference> = Vec::new();
    for name in names {
        if !repositories.contains(&name.name_only()) {
            repositories.push(name.name_only());
        }
    }
    for repository in &repositories {
        let line = step.line("pushing layers");
        let pushed = push_blobs(client, from, &image.blobs, repository, tell)?;
        line.done();
        report.existed += pushed.existed;
        report.mounted += pushed.mounted;
        report.uploaded += pushed.uploaded;
        report.uploaded_bytes += pushed.uploaded_bytes;
        for manifest in &image.manifests {
            report.documents += u64::from(put(client, &repository.with_digest(manifest.descriptor.digest), manifest)?);
        }
    }
    let Some(target) = &image.target else { return Ok(report) };
    for name in names {
        let name = name.tagged_or_latest();
        let line = step.line(&format!("pushing manifest for {}", name.with_digest(target.descriptor.digest)));
        let reference = if by_digest { name.name_only().with_digest(target.descriptor.digest) } else { name };
        report.documents += u64::from(put(client, &reference, target)?);
        line.done();
    }
    Ok(report)
}

/// Puts a document unless the reference names it already.
fn put(client: &Client, reference: &Reference, document: &PushDocument) -> Result<bool, ExportError> {
    if client.manifest_exists(reference)?.is_some_and(|known| known.digest == document.descriptor.digest) {
        return Ok(false);
    }
    client.push_manifest(reference, &document.descriptor.media_type, &document.raw)?;
    Ok(true)
}

fn push_blobs(
    client: &Client,
    from: PushFrom<'_>,
    blobs: &[PushBlob],
    repository: &Reference,
    tell: &(dyn Fn(&Descriptor, Pushed) + Sync),
) -> Result<PushReport, ExportError> {
    let next = AtomicUsize::new(0);
    let totals = [const { AtomicU64::new(0) }; 4];
    let failure: Mutex<Option<ExportError>> = Mutex::new(None);
    let failed = || failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..FETCHES_PER_REGISTRY_MAX.min(blobs.len()) {
            scope.spawn(|| {
                while failed().is_none() {
                    let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    let pushed = push_blob(client, from, blob, repository);
                    if let Ok(outcome) = &pushed {
                        tell(&blob.descriptor, *outcome);
                    }
                    match pushed {
                        Ok(Pushed::Existed) => totals[0].fetch_add(1, Ordering::Relaxed),
                        Ok(Pushed::Mounted) => totals[1].fetch_add(1, Ordering::Relaxed),
                        Ok(Pushed::Uploaded) => {
                            totals[3].fetch_add(blob.descriptor.size, Ordering::Relaxed);
                            totals[2].fetch_add(1, Ordering::Relaxed)
                        }
                        Err(error) => {
                            failed().get_or_insert(error);
                            return;
                        }
                    };
                }
            });
        }
    });
    if let Some(error) = failed().take() {
        return Err(error);
    }
    let [existed, mounted, uploaded, uploaded_bytes] = totals.map(AtomicU64::into_inner);
    Ok(PushReport { existed, mounted, uploaded, uploaded_bytes, documents: 0 })
}

fn push_blob(
    client: &Client,
    from: PushFrom<'_>,
    blob: &PushBlob,
    repository: &Reference,
) -> Result<Pushed, ExportError> {
    let prefix = format!("{}/", repository.domain());
    let mount_from: Vec<String> = blob
        .origins
        .iter()
        .filter_map(|origin| origin.strip_prefix(&prefix))
        .filter(|path| *path != repository.path())
        .map(str::to_owned)
        .collect();
    // Without an origin in this registry there is nothing to mount: a blob it lacks is fetched at once. Fetching never
    // happens while an upload is open: both are calls that block, and neither may be made from inside the other.
    let stored = from.store.has(blob.descriptor.digest)?;
    if !stored && mount_from.is_empty() {
        if client.blob_exists(repository, &blob.descriptor)? {
            return Ok(Pushed::Existed);
        }
        fetch(client, from, blob)?;
    }
    let is_missing = AtomicBool::new(false);
    let open = || -> io::Result<Box<dyn Read + Send>> {
        match from.store.open_blob(blob.descriptor.digest) {
            Ok(Some(stored)) => Ok(Box::new(stored.file)),
            Ok(None) => {
                is_missing.store(true, Ordering::Relaxed);
                Err(io::Error::other("the blob is not in the local store"))
            }
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    };
    let source = PushSource { open: &open, mount_from: &mount_from };
    let pushed = client.push_blob(repository, &blob.descriptor, &source, &mut |_, _| {});
    if pushed.is_err() && is_missing.swap(false, Ordering::Relaxed) {
        // The registry neither has it nor could mount it.
        fetch(client, from, blob)?;
        return Ok(client.push_blob(repository, &blob.descriptor, &source, &mut |_, _| {})?);
    }
    Ok(pushed?)
}

/// Fetches a blob from the first of its origins that gives it.
///
/// # Errors
/// When it has none, or the last one's.
pub fn fetch(client: &Client, from: PushFrom<'_>, blob: &PushBlob) -> Result<(), ExportError> {
    let digest = blob.descriptor.digest;
    let mut last = ExportError::BlobMissing { digest };
    for origin in &blob.origins {
        let Ok(name) = origin.parse::<Reference>() else { continue };
        let mut ingest = from.store.ingest(from.lease)?;
        match client.fetch_blob(&name, &blob.descriptor, &mut ingest, &mut |_, _| {}) {
            Ok(()) => {
                ingest.commit_expecting(&blob.descriptor)?;
                return Ok(());
            }
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// The document a descriptor names, ready to be put.
pub fn document(descriptor: Descriptor, raw: Bytes) -> PushDocument {
    debug_assert!(media_type::is_index(&descriptor.media_type) || media_type::is_manifest(&descriptor.media_type));
    PushDocument { descriptor, raw }
}
