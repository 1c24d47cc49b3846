//! In: names of images. Out: images pulled into the store, pushed out of it, run from it. Never: a build.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use crossdock_content::Lease;
use crossdock_executor::keeper::{ExecStdio, Running};
use crossdock_executor::sandbox::{ExecSpec, RootSpec, SandboxMount, TerminalSize};
use crossdock_exporter::push::{PushFrom, PushImage, PushReport, document, push};
use crossdock_frontend::bridge::BridgeError;
use crossdock_image::local::LocalManifest;
use crossdock_image::{ImageKind, ImageRow, Images, Layers, LocalImage};
use crossdock_llb::Network;
use crossdock_oci::{ImageConfig, Index, MANIFEST_SIZE_MAX, Platform, Reference, Timestamp, media_type};
use crossdock_progress::{Progress, Step};

use crate::base::register_layers;
use crate::fetch::{Fetcher, ShownAt};
use crate::resolve::{ChosenImage, Resolver};
use crate::unpack::Unpacker;
use crate::{BuildError, Engine};

/// What a pull gave.
#[derive(Debug, Clone)]
pub struct PullReport {
    pub image: LocalImage,
    pub platforms: Vec<Platform>,
    /// Layers that were stored already.
    pub existing: usize,
    pub fetched: usize,
}

/// A process to be run in an image.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// `None`: the host's, or the only one there is.
    pub platform: Option<Platform>,
    pub entrypoint: Option<String>,
    /// Arguments in place of the image's command.
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub cwd: Option<String>,
    pub user: Option<String>,
    pub hostname: String,
    pub network: Network,
    pub mounts: Vec<SandboxMount>,
    pub terminal: Option<TerminalSize>,
    pub readonly: bool,
}

/// A process that runs in an image; its lease keeps the image's files.
pub struct RunningImage {
    pub running: Running,
    pub platform: Platform,
    _lease: Lease,
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
        let lease = self.store.lease()?;
        let resolver = Resolver::new(&self.store, &self.client, &lease);
        let step = progress.step(&format!("pulling {}", reference.tagged_or_latest()));
        let mode = crossdock_frontend::bridge::ResolveMode::Pull;
        let target = resolver.target(reference, mode)?;
        let wanted = if platforms.is_empty() {
            all_platforms(&target.descriptor.media_type, &target.raw)
        } else {
            platforms.to_vec()
        };
        let wanted = if wanted.is_empty() { vec![Platform::host()] } else { wanted };
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
                self.fetch_layers(reference, &image, &lease, &step, &mut report)?;
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
        let named = reference.tagged_or_latest();
        let named = if named.tag().is_some() {
            Some(
                named
                    .name_only()
                    .with_tag(named.tag().unwrap_or("latest"))
                    .map_err(|source| BuildError::Name { source })?,
            )
        } else {
            None
        };
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
    ) -> Result<(), BuildError> {
        let layers = Layers::new(&self.store);
        let fetcher = Fetcher::new(&self.store, &self.client, lease);
        let shown = ShownAt { progress: step.progress().clone(), vertex: step.digest() };
        let mut rows = Vec::new();
        for id in register_layers(&layers, reference, image, false)? {
            rows.extend(layers.get(&id)?);
        }
        for (row, descriptor) in rows.iter().zip(&image.manifest.view.layers) {
            if self.store.has(descriptor.digest)? {
                report.0 += 1;
                continue;
            }
            report.1 += 1;
            let blob = row.blobs.iter().find(|blob| blob.digest == descriptor.digest);
            let blob = blob.ok_or_else(|| BuildError::LayerGone { layer: descriptor.digest.to_string() })?;
            fetcher.fetch(blob, &shown)?;
        }
        Ok(())
    }

    /// Pushes a kept image under other names, or under its own.
    ///
    /// # Errors
    /// Those of the registry; a blob nobody holds.
    pub fn push(&self, image: &LocalImage, names: &[Reference], progress: &Progress) -> Result<PushReport, BuildError> {
        let lease = self.store.lease()?;
        let images = self.images();
        let name = image.reference.as_ref().map_or_else(|| image.row.target.digest.to_string(), Reference::familiar);
        let raw = images.document("image", &image.row.target, &name)?;
        let mut wanted =
            PushImage { target: Some(document(image.row.target.clone(), raw.clone())), ..PushImage::default() };
        let manifests = images.manifests(image)?;
        if media_type::is_index(&image.row.target.media_type) {
            let index = Index::parse(raw).map_err(|source| crossdock_image::ImageError::Document {
                subject: "index",
                digest: image.row.target.digest,
                source,
            })?;
            for entry in &index.view.manifests {
                if !manifests.iter().any(|manifest| manifest.descriptor.digest == entry.digest) {
                    return Err(BuildError::PlatformNotHere {
                        name,
                        platform: entry.platform.as_ref().map_or_else(|| entry.digest.to_string(), ToString::to_string),
                    });
                }
            }
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
        let report = push(&self.client, from, &wanted, names, false, &step);
        match &report {
            Ok(_) => step.done(),
            Err(error) => step.failed(&error.to_string()),
        }
        let report = report?;
        self.remember_pushed(image, &wanted, names)?;
        Ok(report)
    }

    /// Notes in the image's row which repositories hold its blobs now, so that the next push to the same registry mounts them.
    fn remember_pushed(&self, image: &LocalImage, pushed: &PushImage, names: &[Reference]) -> Result<(), BuildError> {
        let mut row = image.row.clone();
        for blob in &pushed.blobs {
            let origins = row.origins.entry(blob.descriptor.digest.to_string()).or_insert_with(|| blob.origins.clone());
            for name in names.iter().map(Reference::name) {
                if !origins.contains(&name) {
                    origins.push(name);
                }
            }
        }
        let documents = pushed.manifests.iter().map(|manifest| manifest.descriptor.digest);
        let blobs: Vec<_> = pushed.blobs.iter().map(|blob| blob.descriptor.digest).chain(documents).collect();
        Ok(self.images().put(image.reference.as_ref(), &row, &blobs)?)
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

    /// Starts a process in an image; what it writes is thrown away when it ends.
    ///
    /// # Errors
    /// When the image, its platform or the program cannot be had.
    pub fn run(
        &self,
        image: &LocalImage,
        request: &RunRequest,
        stdio: ExecStdio,
        progress: &Progress,
    ) -> Result<RunningImage, BuildError> {
        let lease = self.store.lease()?;
        let local = self.choose_to_run(image, request)?;
        let name = image.reference.as_ref().map_or_else(|| image.row.target.digest.to_string(), Reference::familiar);
        let raw = self.images().document("image config", &local.manifest.view.config, &name)?;
        let config = ImageConfig::parse(raw).map_err(|source| crossdock_image::ImageError::Document {
            subject: "image config",
            digest: local.manifest.view.config.digest,
            source,
        })?;
        let platform = local.platform.clone().or_else(|| config.view.platform()).unwrap_or_else(Platform::host);
        let chosen = ChosenImage { manifest: local.manifest, config, platform: platform.clone() };
        let layers = Layers::new(&self.store);
        let reference = match &image.reference {
            Some(reference) => reference.clone(),
            None => "localhost/untagged".parse().map_err(|source| BuildError::Name { source })?,
        };
        let stack = register_layers(&layers, &reference, &chosen, true)?;
        for (id, descriptor) in stack.iter().zip(&chosen.manifest.view.layers) {
            self.add_origins(&layers, id, image, descriptor)?;
        }
        let fetcher = Fetcher::new(&self.store, &self.client, &lease);
        let unpacker = Unpacker::new(&self.store, &lease, &self.keeper);
        let step = progress.step(&format!("preparing {name}"));
        let shown = ShownAt { progress: progress.clone(), vertex: step.digest() };
        let lowers = unpacker.directories(&stack, &fetcher, &|_| shown.clone(), &self.cancel)?;
        step.done();
        let mut spec = ExecSpec::new(RootSpec::Overlay { lowers, upper: None }, command(&chosen.config, request)?);
        fill(&mut spec, &chosen.config, request);
        spec.emulator = crate::exec::emulator_of(&self.host(), &platform)?.spec;
        let running = self.keeper.exec(&spec, stdio, &self.cancel)?;
        Ok(RunningImage { running, platform, _lease: lease })
    }

    fn add_origins(
        &self,
        layers: &Layers,
        id: &crossdock_image::LayerId,
        image: &LocalImage,
        descriptor: &crossdock_oci::Descriptor,
    ) -> Result<(), BuildError> {
        let Some(origins) = image.row.origins.get(&descriptor.digest.to_string()) else { return Ok(()) };
        if let Some(row) = layers.get(id)? {
            layers.update(
                id,
                || row.clone(),
                |row| {
                    for blob in row.blobs.iter_mut().filter(|blob| blob.digest == descriptor.digest) {
                        origins.iter().for_each(|origin| blob.add_origin(origin));
                    }
                },
            )?;
        }
        Ok(())
    }

    /// The asked platform's manifest; else the host's; else the only one.
    fn choose_to_run(&self, image: &LocalImage, request: &RunRequest) -> Result<LocalManifest, BuildError> {
        let images = self.images();
        if let Some(platform) = &request.platform {
            return Ok(images.choose(image, platform)?);
        }
        let mut manifests = images.manifests(image)?;
        match (images.choose(image, &Platform::host()), manifests.len()) {
            (Ok(found), _) => Ok(found),
            (Err(_), 1) => Ok(manifests.remove(0)),
            (Err(error), _) => Err(error.into()),
        }
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

/// Entrypoint and command as Docker joins them: a new entrypoint drops the image's command.
fn command(config: &ImageConfig, request: &RunRequest) -> Result<Vec<String>, BuildError> {
    let own = &config.view.config;
    let mut words = match &request.entrypoint {
        Some(entrypoint) if entrypoint.is_empty() => Vec::new(),
        Some(entrypoint) => vec![entrypoint.clone()],
        None => own.entrypoint.clone(),
    };
    if !request.args.is_empty() {
        words.extend(request.args.iter().cloned());
    } else if request.entrypoint.is_none() {
        words.extend(own.cmd.iter().cloned());
    }
    if words.is_empty() { Err(BuildError::NoCommand) } else { Ok(words) }
}

fn fill(spec: &mut ExecSpec, config: &ImageConfig, request: &RunRequest) {
    let own = &config.view.config;
    spec.env.clone_from(&own.env);
    for pair in &request.env {
        let name = pair.split('=').next().unwrap_or_default();
        spec.env.retain(|known| known.split('=').next() != Some(name));
        spec.env.push(pair.clone());
    }
    spec.cwd = request.cwd.clone().unwrap_or_else(|| own.working_dir.clone());
    spec.user = request.user.clone().unwrap_or_else(|| own.user.clone());
    spec.hostname.clone_from(&request.hostname);
    spec.network = request.network;
    spec.mounts.clone_from(&request.mounts);
    spec.terminal = request.terminal;
    spec.readonly_root = request.readonly;
}

/// The caller's standard descriptors, for a process without a terminal.
///
/// # Errors
/// When one cannot be duplicated.
pub fn inherited_stdio(interactive: bool) -> Result<ExecStdio, BuildError> {
    use std::os::fd::AsFd;
    let copy = |descriptor: std::os::fd::BorrowedFd<'_>| -> Result<OwnedFd, BuildError> {
        descriptor
            .try_clone_to_owned()
            .map_err(|source| BuildError::Io { path: "a standard descriptor".to_owned(), source })
    };
    let stdin = if interactive { Some(copy(std::io::stdin().as_fd())?) } else { None };
    Ok(ExecStdio {
        stdin,
        stdout: Some(copy(std::io::stdout().as_fd())?),
        stderr: Some(copy(std::io::stderr().as_fd())?),
    })
}
