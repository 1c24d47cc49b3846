//! In: an image and a process to run in it. Out: the image unpacked; the process started. Never: a wait for its end.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use crossdock_content::{Lease, Link, Space};
use crossdock_executor::keeper::{ExecStdio, Layers as Directories, Running};
use crossdock_executor::sandbox::{
    EmulatorSpec, ExecSpec, MountSource, RootSpec, SHM_SIZE_BYTES_DEFAULT, SandboxMount, TerminalSize, UpperSpec,
};
use crossdock_image::local::LocalManifest;
use crossdock_image::{ImageError, Layers, LocalImage};
use crossdock_llb::op::Ulimit;
use crossdock_llb::{Network, Security};
use crossdock_oci::{Descriptor, ImageConfig, Manifest, Platform, Reference};
use crossdock_progress::Progress;
use serde::{Deserialize, Serialize};

use crate::base::register_layers;
use crate::exec::drop_variable;
use crate::fetch::{Fetcher, ShownAt};
use crate::resolve::ChosenImage;
use crate::unpack::Unpacker;
use crate::{BuildError, Engine};

/// A process to be run in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
    /// (host name, IP address)
    pub extra_hosts: Vec<(String, String)>,
    pub network: Network,
    pub security: Security,
    pub mounts: Vec<SandboxMount>,
    /// Volumes without a name: directories of the container's own, besides the image's.
    pub volumes: Vec<String>,
    pub terminal: Option<TerminalSize>,
    pub readonly: bool,
    pub ulimits: Vec<Ulimit>,
    pub shm_size_bytes: u64,
}

impl Default for RunRequest {
    fn default() -> Self {
        Self {
            platform: None,
            entrypoint: None,
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            user: None,
            hostname: String::new(),
            extra_hosts: Vec::new(),
            network: Network::default(),
            security: Security::default(),
            mounts: Vec::new(),
            volumes: Vec::new(),
            terminal: None,
            readonly: false,
            ulimits: Vec::new(),
            shm_size_bytes: SHM_SIZE_BYTES_DEFAULT,
        }
    }
}

/// One platform of a kept image, chosen to be run; it can be remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageToRun {
    /// As people write it.
    pub name: String,
    /// The reference in full, when the image has one.
    pub reference: Option<String>,
    /// What the name means: an index, or the manifest itself.
    pub target: Descriptor,
    pub manifest: Descriptor,
    pub platform: Option<Platform>,
    /// Repositories that hold blobs which may not be stored.
    #[serde(default)]
    pub origins: BTreeMap<String, Vec<String>>,
}

/// An image whose layers lie unpacked in the store.
#[derive(Debug, Clone)]
pub struct PreparedImage {
    /// Lowest first.
    pub lowers: Directories,
    pub config: ImageConfig,
    pub platform: Platform,
    /// What a row must link to, to keep all of it.
    pub links: Vec<Link>,
    emulator: Option<EmulatorSpec>,
}

/// A process that runs in an image; its lease keeps the image's files.
pub struct RunningImage {
    pub running: Running,
    pub platform: Platform,
    _lease: Lease,
}

impl Engine {
    /// The kept image that serves a reference: of its very repository when it names a digest, where the digest may also be
    /// that of one platform of a kept index.
    ///
    /// # Errors
    /// Those of the store.
    pub fn find_to_run(&self, name: &str) -> Result<Option<LocalImage>, BuildError> {
        let images = self.images();
        let reference = name.parse::<Reference>().ok();
        let Some((reference, digest)) = reference.and_then(|known| Some((known.clone(), known.digest()?))) else {
            return match images.find(name) {
                Ok(image) => Ok(Some(image)),
                Err(ImageError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            };
        };
        let same_repository =
            |image: &LocalImage| image.reference.as_ref().is_some_and(|known| known.name() == reference.name());
        let kept: Vec<LocalImage> = images.list()?.into_iter().filter(same_repository).collect();
        for image in &kept {
            if image.row.target.digest == digest {
                return Ok(Some(image.clone()));
            }
        }
        for mut image in kept {
            let manifests = images.manifests(&image).unwrap_or_default();
            if let Some(found) = manifests.into_iter().find(|manifest| manifest.descriptor.digest == digest) {
                image.row.target = found.descriptor;
                image.reference = Some(reference.name_only().with_digest(digest));
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    /// The asked platform of an image; else the host's; else the only one.
    ///
    /// # Errors
    /// When the image has none that serves.
    pub fn choose_to_run(&self, image: &LocalImage, platform: Option<&Platform>) -> Result<ImageToRun, BuildError> {
        let found = self.manifest_to_run(image, platform)?;
        Ok(ImageToRun {
            name: image.reference.as_ref().map_or_else(|| image.row.target.digest.to_string(), Reference::familiar),
            reference: image.reference.as_ref().map(Reference::to_string),
            target: image.row.target.clone(),
            manifest: found.descriptor,
            platform: found.platform,
            origins: image.row.origins.clone(),
        })
    }

    fn manifest_to_run(&self, image: &LocalImage, platform: Option<&Platform>) -> Result<LocalManifest, BuildError> {
        let images = self.images();
        if let Some(platform) = platform {
            return Ok(images.choose(image, platform)?);
        }
        let mut manifests = images.manifests(image)?;
        match (images.choose(image, &Platform::host()), manifests.len()) {
            (Ok(found), _) => Ok(found),
            (Err(_), 1) => Ok(manifests.remove(0)),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Unpacks what is not unpacked yet, fetching what is not stored.
    ///
    /// # Errors
    /// When a layer cannot be had or unpacked, or the platform does not run here.
    pub fn prepare(&self, image: &ImageToRun, lease: &Lease, progress: &Progress) -> Result<PreparedImage, BuildError> {
        let chosen = self.chosen(image)?;
        let layers = Layers::new(&self.store);
        let reference: Reference = image
            .reference
            .as_deref()
            .unwrap_or("localhost/untagged")
            .parse()
            .map_err(|source| BuildError::Name { source })?;
        let stack = register_layers(&layers, &reference, &chosen, true)?;
        for (id, descriptor) in stack.iter().zip(&chosen.manifest.view.layers) {
            self.add_origins(&layers, id, image, descriptor)?;
        }
        let fetcher = Fetcher::new(&self.store, &self.client, lease);
        let unpacker = Unpacker::new(&self.store, lease, &self.keeper);
        let step = progress.step(&format!("preparing {}", image.name));
        let shown = ShownAt { progress: progress.clone(), vertex: step.digest() };
        let lowers = unpacker.directories(&stack, &fetcher, &|_| shown.clone(), &self.cancel)?;
        step.done();
        let mut links = vec![
            Link::Blob(image.target.digest),
            Link::Blob(image.manifest.digest),
            Link::Blob(chosen.manifest.view.config.digest),
        ];
        links.extend(chosen.manifest.view.layers.iter().map(|layer| Link::Blob(layer.digest)));
        links.extend(stack.iter().map(|id| Link::Row(Space::Layer, id.as_str().to_owned())));
        for directory in &lowers.0 {
            let name = directory.as_path().parent().and_then(|parent| parent.file_name());
            links.extend(name.map(|name| Link::Row(Space::Snapshot, name.to_string_lossy().into_owned())));
        }
        let emulator = crate::exec::emulator_of(&self.host(), &chosen.platform)?.spec;
        Ok(PreparedImage { lowers, platform: chosen.platform, config: chosen.config, links, emulator })
    }

    /// The config of an image, as it is kept.
    ///
    /// # Errors
    /// When the store has lost it.
    pub fn config_to_run(&self, image: &ImageToRun) -> Result<ImageConfig, BuildError> {
        Ok(self.chosen(image)?.config)
    }

    fn chosen(&self, image: &ImageToRun) -> Result<ChosenImage, BuildError> {
        let images = self.images();
        let damaged = |subject: &'static str, digest| move |source| ImageError::Document { subject, digest, source };
        let raw = images.document("manifest", &image.manifest, &image.name)?;
        let manifest = Manifest::parse(raw).map_err(damaged("manifest", image.manifest.digest))?;
        let raw = images.document("image config", &manifest.view.config, &image.name)?;
        let config = ImageConfig::parse(raw).map_err(damaged("image config", manifest.view.config.digest))?;
        let platform = image.platform.clone().or_else(|| config.view.platform()).unwrap_or_else(Platform::host);
        Ok(ChosenImage { manifest, config, platform })
    }

    fn add_origins(
        &self,
        layers: &Layers,
        id: &crossdock_image::LayerId,
        image: &ImageToRun,
        descriptor: &Descriptor,
    ) -> Result<(), BuildError> {
        let Some(origins) = image.origins.get(&descriptor.digest.to_string()) else { return Ok(()) };
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

    /// Starts a process in a prepared image. Without `upper` what it writes is thrown away.
    ///
    /// # Errors
    /// When the program does not start.
    pub fn exec_in(
        &self,
        image: &PreparedImage,
        upper: Option<UpperSpec>,
        request: &RunRequest,
        stdio: ExecStdio,
    ) -> Result<Running, BuildError> {
        let root = RootSpec::Overlay { lowers: image.lowers.clone(), upper };
        let mut spec = ExecSpec::new(root, request.command(&image.config)?);
        fill(&mut spec, &image.config, request);
        spec.emulator.clone_from(&image.emulator);
        Ok(self.keeper.exec(&spec, stdio, &self.cancel)?)
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
        let chosen = self.choose_to_run(image, request.platform.as_ref())?;
        let prepared = self.prepare(&chosen, &lease, progress)?;
        let running = self.exec_in(&prepared, None, request, stdio)?;
        Ok(RunningImage { running, platform: prepared.platform, _lease: lease })
    }
}

impl RunRequest {
    /// Entrypoint and command as Docker joins them: a new entrypoint drops the image's command.
    ///
    /// # Errors
    /// When neither image nor request has any.
    pub fn command(&self, config: &ImageConfig) -> Result<Vec<String>, BuildError> {
        let own = &config.view.config;
        let mut words = match &self.entrypoint {
            Some(entrypoint) if entrypoint.is_empty() => Vec::new(),
            Some(entrypoint) => vec![entrypoint.clone()],
            None => own.entrypoint.clone(),
        };
        if !self.args.is_empty() {
            words.extend(self.args.iter().cloned());
        } else if self.entrypoint.is_none() {
            words.extend(own.cmd.iter().cloned());
        }
        if words.is_empty() { Err(BuildError::NoCommand) } else { Ok(words) }
    }
}

fn fill(spec: &mut ExecSpec, config: &ImageConfig, request: &RunRequest) {
    let own = &config.view.config;
    spec.env.clone_from(&own.env);
    add_variables(&mut spec.env, request);
    for pair in &request.env {
        let name = pair.split('=').next().unwrap_or_default();
        drop_variable(&mut spec.env, name);
        // A name alone takes the variable away, as with Docker.
        if pair.contains('=') {
            spec.env.push(pair.clone());
        }
    }
    spec.cwd = request.cwd.clone().unwrap_or_else(|| own.working_dir.clone());
    // A volume is the container's own directory here; programs rely on its being there.
    spec.directories =
        own.volumes.keys().chain(&request.volumes).filter(|path| path.starts_with('/')).cloned().collect();
    spec.user = request.user.clone().unwrap_or_else(|| own.user.clone());
    spec.hostname.clone_from(&request.hostname);
    spec.extra_hosts.clone_from(&request.extra_hosts);
    spec.network = request.network;
    spec.security = request.security;
    spec.mounts.clone_from(&request.mounts);
    spec.mounts.extend(hostname_file(request));
    spec.terminal = request.terminal;
    spec.readonly_root = request.readonly;
    spec.ulimits.clone_from(&request.ulimits);
    spec.shm_size_bytes = request.shm_size_bytes;
}

/// What Docker tells every container, unless its image does: HOSTNAME and, with a terminal, TERM, behind PATH.
fn add_variables(env: &mut Vec<String>, request: &RunRequest) {
    let mut at = env.iter().position(|pair| pair.starts_with("PATH=")).map_or(0, |at| at + 1);
    let mut add = |name: &str, value: &str| {
        if !env.iter().any(|pair| pair.split('=').next() == Some(name)) {
            env.insert(at, format!("{name}={value}"));
            at += 1;
        }
    };
    if !request.hostname.is_empty() {
        add("HOSTNAME", &request.hostname);
    }
    if request.terminal.is_some() {
        add("TERM", "xterm");
    }
}

/// A container's /etc/hostname, unless the user shows his own.
fn hostname_file(request: &RunRequest) -> Option<SandboxMount> {
    const PATH: &str = "/etc/hostname";
    if request.hostname.is_empty() || request.mounts.iter().any(|mount| mount.dest == PATH) {
        return None;
    }
    let data = format!("{}\n", request.hostname).into_bytes();
    let source = MountSource::File { data, uid: 0, gid: 0, mode: 0o644 };
    Some(SandboxMount { dest: PATH.to_owned(), readonly: request.readonly, source })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_knows_its_name_and_its_terminal() {
        let env = |image: &[&str], request: &RunRequest| {
            let mut env: Vec<String> = image.iter().map(|&pair| pair.to_owned()).collect();
            add_variables(&mut env, request);
            env
        };
        let mut request = RunRequest { hostname: "h".to_owned(), ..RunRequest::default() };
        assert_eq!(env(&["PATH=/bin", "A=1"], &request), ["PATH=/bin", "HOSTNAME=h", "A=1"]);
        assert_eq!(env(&["HOSTNAME=own"], &request), ["HOSTNAME=own"]);
        request.terminal = Some(TerminalSize { rows: 1, columns: 1 });
        assert_eq!(env(&["TERM=dumb", "PATH=/"], &request), ["TERM=dumb", "PATH=/", "HOSTNAME=h"]);
        assert_eq!(env(&[], &request), ["HOSTNAME=h", "TERM=xterm"]);
        assert!(env(&[], &RunRequest::default()).is_empty() && hostname_file(&RunRequest::default()).is_none());
        assert!(hostname_file(&request).is_some());
    }
}
