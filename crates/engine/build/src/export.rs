//! In: finished trees, what is to become of them. Out: an image kept under its names, pushed, written. Never: a build step.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use crossdock_executor::keeper::ExportRequest as TreeExport;
use crossdock_exporter::files::{open_archive, write_local};
use crossdock_exporter::layout::{LayoutImage, LayoutKind, write_dir, write_tar};
use crossdock_exporter::push::{PushFrom, PushImage, document, push};
use crossdock_exporter::{Dest, ExportError, OutputKind, OutputSpec};
use crossdock_image::assemble::PlatformImage;
use crossdock_image::{
    Annotations, AssembleOptions, AssembledImage, ImageKind, ImageRow, Images, LayerId, Method, assemble,
};
use crossdock_oci::media_type::Family;
use crossdock_oci::{Descriptor, ImageConfigView, Platform, Reference, Timestamp};
use crossdock_progress::Step;

use crate::BuildError;
use crate::architecture::ArchCheck;
use crate::layers::LayerForm;
use crate::perform::Steps;

/// One platform's result.
#[derive(Debug, Clone)]
pub struct Finished {
    pub platform: Platform,
    pub config: ImageConfigView,
    pub layers: Vec<LayerId>,
    /// How many of them, from below, came with the base image.
    pub inherited: usize,
}

/// What is exported, and how.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    pub outputs: Vec<OutputSpec>,
    pub names: Vec<Reference>,
    pub annotations: Annotations,
    pub epoch: Option<Timestamp>,
    pub force_index: bool,
    pub arch_check: ArchCheck,
}

/// An image that was kept.
#[derive(Debug, Clone)]
pub struct ExportedImage {
    pub target: Descriptor,
    /// The digest of the only config; `None` for an index.
    pub config: Option<crossdock_oci::BlobDigest>,
    /// What the only manifest is for; `None` for an index.
    pub platform: Option<Platform>,
    pub names: Vec<Reference>,
    /// Blobs a push had to upload, over all pushes.
    pub uploaded: u64,
}

impl Steps {
    /// Carries results out, each output under a step of its own. Gives the image that was kept, if one was.
    pub(crate) fn export(
        &self,
        finished: &[Finished],
        request: &ExportRequest,
    ) -> Result<Option<ExportedImage>, BuildError> {
        let mut kept: Option<ExportedImage> = None;
        let only_cache =
            !request.outputs.is_empty() && request.outputs.iter().all(|spec| spec.kind == OutputKind::CacheOnly);
        if only_cache {
            return Ok(None);
        }
        let is_image =
            |spec: &&OutputSpec| matches!(spec.kind, OutputKind::Image | OutputKind::Oci | OutputKind::Docker);
        // Whatever else is asked for, the result stays in the image store (decision 14).
        if !request.outputs.iter().any(|spec| is_image(&spec)) {
            self.export_image(finished, &OutputSpec::new(OutputKind::Image), request, &mut kept)?;
        }
        for spec in &request.outputs {
            match spec.kind {
                OutputKind::Image | OutputKind::Oci | OutputKind::Docker => {
                    self.export_image(finished, spec, request, &mut kept)?;
                }
                OutputKind::Local => self.export_local(finished, spec)?,
                OutputKind::Tar => self.export_tar(finished, spec)?,
                OutputKind::CacheOnly => {}
            }
        }
        Ok(kept)
    }

    fn export_image(
        &self,
        finished: &[Finished],
        spec: &OutputSpec,
        request: &ExportRequest,
        kept: &mut Option<ExportedImage>,
    ) -> Result<(), BuildError> {
        let title = match spec.kind {
            OutputKind::Oci => "exporting to oci image format",
            OutputKind::Docker if spec.dest.is_some() => "exporting to docker image format",
            _ => "exporting to image",
        };
        let step = self.progress.step(title);
        let outcome = self.export_image_under(&step, finished, spec, request, kept);
        end(step, outcome)
    }

    fn export_image_under(
        &self,
        step: &Step,
        finished: &[Finished],
        spec: &OutputSpec,
        request: &ExportRequest,
        kept: &mut Option<ExportedImage>,
    ) -> Result<(), BuildError> {
        if spec.kind == OutputKind::Docker && spec.dest.is_some() && finished.len() != 1 {
            return Err(ExportError::DockerManifestList.into());
        }
        let names = if spec.names.is_empty() { request.names.clone() } else { parse_names(&spec.names)? };
        // Every output has the same programs: they are looked at once.
        let wish = if kept.is_none() { request.arch_check } else { ArchCheck::Off };
        let image = self.assemble(step, finished, spec, request, wish)?;
        // The first image is the one that is reported; each later one is kept, too, under names that are its own.
        match kept {
            None => {
                self.keep(step, &image, finished, &names)?;
                let only = image.manifests.first().filter(|_| image.index.is_none());
                *kept = Some(ExportedImage {
                    target: image.target.clone(),
                    config: only.map(|manifest| manifest.config.digest()),
                    platform: only.and_then(|manifest| manifest.config.view.platform()),
                    names: names.clone(),
                    uploaded: 0,
                });
            }
            Some(kept) => {
                let fresh: Vec<Reference> = names.iter().filter(|name| !kept.names.contains(name)).cloned().collect();
                if !fresh.is_empty() {
                    self.keep(step, &image, finished, &fresh)?;
                    kept.names.extend(fresh);
                }
            }
        }
        if let Some(dest) = &spec.dest {
            self.write_archive(step, &image, finished, spec, dest, &names)?;
        }
        if spec.push {
            if names.is_empty() {
                return Err(BuildError::NoNameToPush);
            }
            let uploaded = self.push(step, &image, finished, &names, spec.push_by_digest)?;
            if let Some(kept) = kept {
                kept.uploaded += uploaded;
            }
        }
        Ok(())
    }

    fn assemble(
        &self,
        step: &Step,
        finished: &[Finished],
        spec: &OutputSpec,
        request: &ExportRequest,
        wish: ArchCheck,
    ) -> Result<AssembledImage, BuildError> {
        let method = Method::new(spec.compression, spec.compression_level)?;
        let family = if spec.uses_oci_types() { Family::Oci } else { Family::Docker };
        let epoch = spec.source_date_epoch.map(Timestamp::from_seconds).or(request.epoch);
        let form = LayerForm { method, family, force: spec.force_compression, epoch };
        let line = step.line("exporting layers");
        let mut images = Vec::with_capacity(finished.len());
        for result in finished {
            let layers = self.image_layers(&result.layers, result.inherited, form)?;
            self.check_architecture(step, result, &layers, epoch, wish)?;
            images.push(PlatformImage { platform: result.platform.clone(), config: result.config.clone(), layers });
        }
        line.done();
        let options = AssembleOptions {
            family,
            annotations: request.annotations.clone(),
            epoch,
            force_index: request.force_index,
        };
        let image = assemble(&self.store, &self.lease, images, &options)?;
        for manifest in &image.manifests {
            step.line(&format!("exporting manifest {}", manifest.descriptor.digest)).done();
            step.line(&format!("exporting config {}", manifest.config.digest())).done();
        }
        if let Some(index) = &image.index {
            step.line(&format!("exporting manifest list {}", index.digest())).done();
        }
        Ok(image)
    }

    /// Keeps the image under its names, or under its digest.
    fn keep(
        &self,
        step: &Step,
        image: &AssembledImage,
        finished: &[Finished],
        names: &[Reference],
    ) -> Result<(), BuildError> {
        let images = Images::new(&self.store);
        let created = image.manifests.iter().filter_map(|m| m.config.view.created).max().unwrap_or_else(Timestamp::now);
        let origins = self.origins(image, finished)?;
        let row = ImageRow { target: image.target.clone(), kind: ImageKind::Built, created, origins };
        let blobs = image.blobs();
        if names.is_empty() {
            images.put(None, &row, &blobs)?;
        }
        for name in names {
            let line = step.line(&format!("naming to {}", name.tagged_or_latest()));
            images.put(Some(name), &row, &blobs)?;
            line.done();
        }
        Ok(())
    }

    /// Who holds the layers that are not stored here.
    fn origins(
        &self,
        image: &AssembledImage,
        finished: &[Finished],
    ) -> Result<std::collections::BTreeMap<String, Vec<String>>, BuildError> {
        let mut origins = std::collections::BTreeMap::new();
        for (manifest, result) in image.manifests.iter().zip(finished) {
            for (layer, id) in manifest.layers.iter().zip(&result.layers) {
                let Some(row) = self.layers.get(id)? else { continue };
                let known = row.blobs.iter().find(|blob| blob.digest == layer.descriptor.digest);
                if let Some(blob) = known.filter(|blob| !blob.origins.is_empty()) {
                    origins.insert(blob.digest.to_string(), blob.origins.clone());
                }
            }
        }
        Ok(origins)
    }

    fn push(
        &self,
        step: &Step,
        image: &AssembledImage,
        finished: &[Finished],
        names: &[Reference],
        by_digest: bool,
    ) -> Result<u64, BuildError> {
        let origins = self.origins(image, finished)?;
        let mut wanted = PushImage::default();
        for manifest in &image.manifests {
            wanted.add_manifest(&manifest.manifest, &|descriptor| {
                origins.get(&descriptor.digest.to_string()).cloned().unwrap_or_default()
            });
            let parcel = document(manifest.manifest.descriptor(), manifest.manifest.raw.clone());
            match &image.index {
                Some(_) => wanted.manifests.push(parcel),
                None => wanted.target = Some(parcel),
            }
        }
        if let Some(index) = &image.index {
            wanted.target = Some(document(image.target.clone(), index.raw.clone()));
        }
        let from = PushFrom { store: &self.store, lease: &self.lease };
        let report = push(&self.client, from, &wanted, names, by_digest, step)?;
        self.remember_pushed(image, finished, names)?;
        Ok(report.uploaded)
    }

    /// Notes which repositories hold the layers now, so that the next push to the same registry mounts them.
    fn remember_pushed(
        &self,
        image: &AssembledImage,
        finished: &[Finished],
        names: &[Reference],
    ) -> Result<(), BuildError> {
        for (manifest, result) in image.manifests.iter().zip(finished) {
            for (layer, id) in manifest.layers.iter().zip(&result.layers) {
                let Some(row) = self.layers.get(id)? else { continue };
                self.layers.update(
                    id,
                    || row,
                    |row| {
                        for blob in row.blobs.iter_mut().filter(|blob| blob.digest == layer.descriptor.digest) {
                            names.iter().for_each(|name| blob.add_origin(&name.name()));
                        }
                    },
                )?;
            }
        }
        Ok(())
    }

    fn write_archive(
        &self,
        step: &Step,
        image: &AssembledImage,
        finished: &[Finished],
        spec: &OutputSpec,
        dest: &Dest,
        names: &[Reference],
    ) -> Result<(), BuildError> {
        for (manifest, result) in image.manifests.iter().zip(finished) {
            for (layer, id) in manifest.layers.iter().zip(&result.layers) {
                self.ensure_blob(id, &layer.descriptor)?;
            }
        }
        let kind = if spec.kind == OutputKind::Docker { LayoutKind::Docker } else { LayoutKind::Oci };
        let created = image.manifests.iter().filter_map(|m| m.config.view.created).max();
        let names: Vec<Reference> = names.iter().map(Reference::tagged_or_latest).collect();
        let layout = LayoutImage { image, names: &names, created };
        if let (false, Dest::Path(dir)) = (spec.tar, dest) {
            write_dir(&self.store, kind, &layout, dir)?;
            return Ok(());
        }
        let line = step.line("sending tarball");
        let file = open_archive(spec.kind.name(), dest)?;
        let mut buffered = std::io::BufWriter::with_capacity(1 << 20, file);
        write_tar(&self.store, kind, &layout, &mut buffered)?;
        let file = buffered
            .into_inner()
            .map_err(|error| BuildError::Io { path: describe(dest), source: error.into_error() })?;
        file.finish()?;
        line.done();
        Ok(())
    }

    fn export_local(&self, finished: &[Finished], spec: &OutputSpec) -> Result<(), BuildError> {
        let Some(Dest::Path(dir)) = &spec.dest else { return Ok(()) };
        let step = self.progress.step("exporting to client directory");
        let split = spec.platform_split.unwrap_or(finished.len() > 1);
        let outcome = finished.iter().try_for_each(|result| {
            let (dir, text) = if split {
                (dir.join(result.platform.file_name()), format!("copying files {}", result.platform))
            } else {
                (dir.clone(), "copying files".to_owned())
            };
            let mut line = step.line(&text);
            let bytes = self.with_tree_tar(result, |tar| {
                let mut counted = Counted { inner: tar, bytes: 0 };
                write_local(&mut counted, &dir)?;
                Ok(counted.bytes)
            })?;
            line.update(bytes, 0);
            line.done();
            Ok(())
        });
        end(step, outcome)
    }

    fn export_tar(&self, finished: &[Finished], spec: &OutputSpec) -> Result<(), BuildError> {
        let step = self.progress.step("exporting to client tarball");
        let dest = spec.dest.clone().unwrap_or(Dest::Stdout);
        let split = spec.platform_split.unwrap_or(finished.len() > 1);
        let outcome = (|| {
            let line = step.line("sending tarball");
            let mut file = open_archive(spec.kind.name(), &dest)?;
            if split {
                self.write_split_tar(finished, &mut file)?;
            } else if let Some(result) = finished.first() {
                self.with_tree_tar(result, |tar| {
                    std::io::copy(tar, &mut file).map_err(|source| BuildError::Io { path: describe(&dest), source })
                })?;
            }
            file.finish()?;
            line.done();
            Ok(())
        })();
        end(step, outcome)
    }

    /// One tar with a directory for each platform.
    fn write_split_tar(&self, finished: &[Finished], out: &mut dyn std::io::Write) -> Result<(), BuildError> {
        let mut writer = crossdock_snapshot::tar::Writer::new(out);
        for result in finished {
            let prefix = crossdock_snapshot::path::RootedPath::parse(result.platform.file_name())
                .expect("a platform makes a plain name");
            writer
                .append(&crossdock_snapshot::entry::Entry::dir(prefix.clone(), 0o755), &mut std::io::empty())
                .map_err(ExportError::from)?;
            self.with_tree_tar(result, |tar| Ok(crossdock_exporter::files::append_below(tar, &prefix, &mut writer)?))?;
        }
        writer.finish().map_err(ExportError::from)?;
        Ok(())
    }

    /// Runs `read` on the tar of a finished tree.
    fn with_tree_tar<T>(
        &self,
        result: &Finished,
        read: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        let layers =
            self.unpacker.directories(&result.layers, &self.fetcher, &|layer| self.shown_at(layer), &self.cancel)?;
        let request = TreeExport { layers };
        let (mut reader, writer) =
            std::io::pipe().map_err(|source| BuildError::Io { path: "a pipe for the files".to_owned(), source })?;
        std::thread::scope(|scope| {
            let (keeper, request, cancel) = (&self.keeper, &request, &self.cancel);
            let export = scope.spawn(move || {
                let writer = OwnedFd::from(writer);
                keeper.export(request, &writer, cancel)
            });
            let outcome = read(&mut reader);
            drop(reader);
            let exported = export.join().unwrap_or(Err(crossdock_executor::ExecutorError::Cancelled));
            let value = outcome?;
            exported?;
            Ok(value)
        })
    }
}

/// Counts what passes through.
struct Counted<'a> {
    inner: &'a mut (dyn Read + Send),
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.bytes += got as u64;
        Ok(got)
    }
}

fn end<T>(step: Step, outcome: Result<T, BuildError>) -> Result<T, BuildError> {
    match &outcome {
        Ok(_) => step.done(),
        Err(error) if error.is_cancelled() => step.failed("context canceled"),
        Err(error) => step.failed(&error.to_string()),
    }
    outcome
}

fn parse_names(names: &[String]) -> Result<Vec<Reference>, BuildError> {
    names.iter().map(|name| name.parse().map_err(|source| BuildError::Name { source })).collect()
}

fn describe(dest: &Dest) -> String {
    match dest {
        Dest::Stdout => "standard output".to_owned(),
        Dest::Path(path) => Path::display(path).to_string(),
    }
}
