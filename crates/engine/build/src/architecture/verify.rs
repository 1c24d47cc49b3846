//! In: the name of an image here or in a registry. Out: for each platform what it starts, what does not fit, which digests are wrong. Never: a layer kept, memory that grows with one.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

use crossdock_image::{ImageError, ImageKind, LocalImage};
use crossdock_oci::{
    BlobDigest, Descriptor, DiffId, Hasher, ImageConfig, Index, MANIFEST_SIZE_MAX, Manifest, Platform, Reference,
    media_type,
};
use crossdock_progress::{Line, Progress, Step};
use crossdock_snapshot::compression;
use crossdock_snapshot::listing::Listing;
use crossdock_snapshot::program::{Programs, Tap};

use super::whole::{Entrypoint, Foreign, Seen, Whole};
use crate::{BuildError, Engine};

/// Bytes of a layer that are looked at together.
const PIECE_BYTES: usize = 128 << 10;
/// Bytes between two reports of how far a layer is.
const REPORT_BYTES: u64 = 4 << 20;

/// What was found out about an image.
#[derive(Debug)]
pub struct Verified {
    pub digest: BlobDigest,
    /// The local store's image, not a registry's.
    pub local: bool,
    pub platforms: Vec<VerifiedPlatform>,
}

/// What was found out about an image's platform.
#[derive(Debug)]
pub struct VerifiedPlatform {
    /// As the index says, else the config; none when neither does.
    pub platform: Option<Platform>,
    /// Of the manifest.
    pub digest: BlobDigest,
    pub config: BlobDigest,
    pub layers: usize,
    pub entrypoint: Entrypoint,
    pub foreign: Vec<Foreign>,
    /// What is wrong, in words; empty when it fits.
    pub problems: Vec<String>,
}

/// A manifest of the image, and its platform where the index says one.
struct Candidate {
    platform: Option<Platform>,
    manifest: Manifest,
}

/// Where an image's documents and layers come from.
enum Place {
    Local(Box<LocalImage>),
    Registry(Reference),
}

/// Layers seen already, by blob and diffID: several platforms may share one.
type Known = HashMap<(BlobDigest, DiffId), Result<(Arc<Listing>, Programs), String>>;

struct Work<'a> {
    engine: &'a Engine,
    place: Place,
    known: Known,
}

impl Engine {
    /// Looks at every platform of an image, or at those wanted: streams each layer that is not in the store.
    ///
    /// # Errors
    /// When the image or a part of it cannot be had, or has not the platform. What is wrong with the image itself is
    /// in the answer.
    pub fn verify(&self, name: &str, wanted: &[Platform], progress: &Progress) -> Result<Verified, BuildError> {
        let (place, target, raw) = self.place_of(name)?;
        let local = matches!(place, Place::Local(_));
        let mut work = Work { engine: self, place, known: Known::new() };
        let mut candidates = work.candidates(&target, raw)?;
        if !wanted.is_empty() {
            candidates = choose(name, candidates, wanted)?;
        }
        let mut platforms = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let title = candidate.platform.as_ref().map_or_else(|| name.to_owned(), |p| format!("{name} {p}"));
            let step = progress.step(&format!("verify {title}"));
            match work.verify(&candidate, &step) {
                Ok(verified) => platforms.push(verified),
                Err(error) => {
                    step.failed(&error.to_string());
                    return Err(error);
                }
            }
            step.done();
        }
        Ok(Verified { digest: target.digest, local, platforms })
    }

    /// Names built here are looked at here, others in their registry, or here when that cannot be reached.
    fn place_of(&self, name: &str) -> Result<(Place, Descriptor, bytes::Bytes), BuildError> {
        let reference = name.parse::<Reference>();
        let found = match self.images().find(name) {
            Ok(image) => Some(image),
            Err(ImageError::NotFound { .. }) if reference.is_ok() => None,
            Err(error) => return Err(error.into()),
        };
        let here = |image: LocalImage| {
            let target = image.row.target.clone();
            let raw = self.images().document("image", &target, name)?;
            Ok((Place::Local(Box::new(image)), target, raw))
        };
        match (found, reference) {
            (Some(image), Ok(_)) if image.row.kind == ImageKind::Built => here(image),
            (Some(image), Err(_)) => here(image),
            (found, Ok(reference)) => match (self.client().resolve(&reference), found) {
                (Ok(resolved), _) => Ok((Place::Registry(reference), resolved.descriptor, resolved.bytes)),
                (Err(error), Some(image)) if error.is_unreachable() => here(image),
                (Err(error), _) => Err(error.into()),
            },
            (None, Err(source)) => Err(BuildError::Name { source }),
        }
    }
}

fn choose(name: &str, candidates: Vec<Candidate>, wanted: &[Platform]) -> Result<Vec<Candidate>, BuildError> {
    let available =
        candidates.iter().filter_map(|c| c.platform.as_ref()).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut left: Vec<Option<Candidate>> = candidates.into_iter().map(Some).collect();
    let mut chosen = Vec::new();
    for platform in wanted {
        let matcher = platform.matcher();
        let rank = |candidate: &Option<Candidate>| matcher.rank(candidate.as_ref()?.platform.as_ref()?);
        let best = left.iter_mut().filter_map(|place| Some((rank(place)?, place))).min_by_key(|(rank, _)| *rank);
        let Some(found) = best.and_then(|(_, place)| place.take()) else {
            let (name, platform) = (name.to_owned(), platform.clone());
            return Err(ImageError::NoPlatform { name, platform, available }.into());
        };
        chosen.push(found);
    }
    Ok(chosen)
}

impl Work<'_> {
    fn candidates(&self, target: &Descriptor, raw: bytes::Bytes) -> Result<Vec<Candidate>, BuildError> {
        let reference = match &self.place {
            Place::Local(image) => {
                let manifests = self.engine.images().manifests(image)?;
                let candidate = |local: crossdock_image::local::LocalManifest| Candidate {
                    platform: local.platform,
                    manifest: local.manifest,
                };
                return Ok(manifests.into_iter().map(candidate).collect());
            }
            Place::Registry(reference) => reference,
        };
        let bad = |source| BuildError::document(reference, source);
        if !media_type::is_index(&target.media_type) {
            let manifest = Manifest::parse(raw).map_err(bad)?;
            let platform = self.config(&manifest)?.view.platform();
            return Ok(vec![Candidate { platform, manifest }]);
        }
        let index = Index::parse(raw).map_err(bad)?;
        let mut candidates = Vec::new();
        for entry in index.images() {
            let raw = match self.engine.store().read(entry.digest, MANIFEST_SIZE_MAX)? {
                Some(raw) => raw,
                None => self.engine.client().fetch_manifest(reference, entry)?,
            };
            let manifest = Manifest::parse(raw).map_err(bad)?;
            let platform = match &entry.platform {
                Some(platform) => Some(platform.clone().normalized()),
                None => self.config(&manifest)?.view.platform(),
            };
            candidates.push(Candidate { platform, manifest });
        }
        Ok(candidates)
    }

    /// The config of a manifest; its digest is checked by whoever gives it.
    fn config(&self, manifest: &Manifest) -> Result<ImageConfig, BuildError> {
        let descriptor = &manifest.view.config;
        let raw = match (self.engine.store().read(descriptor.digest, MANIFEST_SIZE_MAX)?, &self.place) {
            (Some(raw), _) => raw,
            (None, Place::Registry(reference)) if descriptor.size <= MANIFEST_SIZE_MAX => {
                let mut bytes = Vec::new();
                self.engine.client().fetch_blob(reference, descriptor, &mut bytes, &mut |_, _| {})?;
                bytes.into()
            }
            _ => return Err(BuildError::LayerGone { layer: descriptor.digest.to_string() }),
        };
        ImageConfig::parse(raw).map_err(|source| {
            ImageError::Document { subject: "image config", digest: descriptor.digest, source }.into()
        })
    }

    fn verify(&mut self, candidate: &Candidate, step: &Step) -> Result<VerifiedPlatform, BuildError> {
        let view = &candidate.manifest.view;
        let config = self.config(&candidate.manifest)?;
        let mut problems = Vec::new();
        let platform = candidate.platform.clone().or_else(|| config.view.platform());
        if let (Some(said), Some(own)) = (&candidate.platform, config.view.platform())
            && (&said.os, &said.architecture) != (&own.os, &own.architecture)
        {
            problems.push(format!("the index says {said}, the config {own}"));
        }
        let diffs = &config.view.rootfs.diff_ids;
        if diffs.len() != view.layers.len() {
            problems.push(format!("the manifest names {} layers, the config {}", view.layers.len(), diffs.len()));
        }
        let mut seen = Vec::with_capacity(view.layers.len());
        for (layer, diff) in view.layers.iter().zip(diffs) {
            seen.push(match self.layer(layer, *diff, step)? {
                Ok((listing, programs)) => Seen::Programs(listing, programs),
                Err(problem) => {
                    problems.push(problem);
                    Seen::Nothing
                }
            });
        }
        let mut verified = VerifiedPlatform {
            platform,
            digest: candidate.manifest.digest(),
            config: view.config.digest,
            layers: view.layers.len(),
            entrypoint: Entrypoint { word: None, parts: Vec::new() },
            foreign: Vec::new(),
            problems,
        };
        judge(&mut verified, seen, &config);
        Ok(verified)
    }

    /// A layer, looked at once; the inner error is what is wrong with it.
    fn layer(
        &mut self,
        layer: &Descriptor,
        diff: DiffId,
        step: &Step,
    ) -> Result<Result<(Arc<Listing>, Programs), String>, BuildError> {
        let key = (layer.digest, diff);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let mut line = step.line(&layer.digest.to_string());
        let outcome = match self.engine.store().open_verified(layer.digest)? {
            Some(stored) => {
                let found = look(Box::new(stored), layer, &mut line);
                found.map_err(|error| format!("layer {}: {error}", layer.digest))
            }
            None => self.stream(layer, &mut line)?,
        };
        let outcome = outcome.and_then(|(got, found)| match got == diff {
            true => Ok(found),
            false => Err(format!("layer {} unpacks to {got}, the config says {diff}", layer.digest)),
        });
        line.done();
        self.known.insert(key, outcome.clone());
        Ok(outcome)
    }

    /// A layer that is elsewhere: looked at while it comes.
    fn stream(&self, layer: &Descriptor, line: &mut Line) -> Result<Result<(DiffId, Content), String>, BuildError> {
        let mut last = BuildError::LayerGone { layer: layer.digest.to_string() };
        for name in self.holders(layer) {
            let (reader, mut writer) =
                io::pipe().map_err(|source| BuildError::Io { path: "a pipe for a layer".to_owned(), source })?;
            let client = self.engine.client();
            let (fetched, found) = std::thread::scope(|scope| {
                let name = &name;
                // The writer goes with the thread: its end is the end of the stream.
                let fetch = scope.spawn(move || client.fetch_blob(name, layer, &mut writer, &mut |_, _| {}));
                let found = look(Box::new(reader), layer, line);
                (fetch.join(), found)
            });
            let fetched = fetched.map_err(|_| BuildError::ThreadDied { doing: "fetching a layer" })?;
            let wrong = |text: String| Ok(Err(format!("layer {}: {text}", layer.digest)));
            match (fetched, found) {
                (Ok(()), Ok(found)) => return Ok(Ok(found)),
                (Ok(()), Err(error)) => return wrong(error.to_string()),
                (Err(crossdock_registry::RegistryError::Write { .. }), Err(error)) => return wrong(error.to_string()),
                (Err(error), _) if error.is_corrupt_content() => return wrong(error.to_string()),
                (Err(error), _) => last = error.into(),
            }
        }
        Err(last)
    }

    /// Repositories that may have a layer.
    fn holders(&self, layer: &Descriptor) -> Vec<Reference> {
        match &self.place {
            Place::Registry(reference) => vec![reference.clone()],
            Place::Local(image) => {
                let origins = image.row.origins.get(&layer.digest.to_string());
                origins.into_iter().flatten().filter_map(|name| name.parse().ok()).collect()
            }
        }
    }
}

/// The names and programs of a layer.
type Content = (Arc<Listing>, Programs);

/// Reads a layer's blob to its end.
fn look(blob: Box<dyn Read + Send + '_>, layer: &Descriptor, line: &mut Line) -> io::Result<(DiffId, Content)> {
    let (mut done, mut reported) = (0_u64, 0_u64);
    let counted = Counted { inner: blob, done: &mut done };
    if media_type::layer_compression(&layer.media_type).is_none() {
        return Err(io::Error::other(format!("its type {} is none of a layer", layer.media_type)));
    }
    let mut tap = Tap::new(compression::decoder(Box::new(counted))?);
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut unpacked = 0_u64;
    loop {
        match tap.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&piece[..count]);
                unpacked += count as u64;
                if unpacked - reported >= REPORT_BYTES {
                    reported = unpacked;
                    line.update(unpacked, 0);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let programs = tap.finish().map_err(io::Error::other)?;
    if done != layer.size {
        return Err(io::Error::other(format!("its size is {done} bytes, the manifest says {}", layer.size)));
    }
    let listing = programs.listing().map_err(io::Error::other)?;
    Ok((hasher.finish_diff(), (Arc::new(listing), programs)))
}

/// Counts what passes through.
struct Counted<'a, 'b> {
    inner: Box<dyn Read + Send + 'a>,
    done: &'b mut u64,
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        *self.done += count as u64;
        Ok(count)
    }
}

/// Puts the layers together and says what does not fit.
fn judge(verified: &mut VerifiedPlatform, seen: Vec<Seen>, config: &ImageConfig) {
    let whole = match Whole::new(seen) {
        Ok(whole) => whole,
        Err(error) => return verified.problems.push(error.to_string()),
    };
    let Some(platform) = verified.platform.clone().filter(|platform| platform.os == "linux") else { return };
    let entrypoint = whole.entrypoint(&config.view.config);
    if let Some((part, own)) = entrypoint.misfit(&platform.architecture) {
        verified.problems.push(format!("{} is for {own}", part.path));
    } else if let Some(part) = entrypoint.missing() {
        verified.problems.push(format!("{} is missing or may not be executed", part.path));
    }
    verified.foreign = whole.foreign(&platform.architecture);
    for Foreign { architecture, paths } in &verified.foreign {
        let word = if paths.len() == 1 { "program is" } else { "programs are" };
        verified.problems.push(format!("{} {word} for {architecture}: {}", paths.len(), super::names(paths)));
    }
    verified.entrypoint = entrypoint;
}
