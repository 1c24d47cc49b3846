//! In: a stack of layers, a compression. Out: stored blobs a manifest can name. Never: a layer compressed twice for the same method.

use std::io::Read;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;

use crossdock_executor::Cancel;
use crossdock_executor::keeper::{DiffRequest, Layers as Directories, TreeFormat};
use crossdock_image::assemble::ImageLayer;
use crossdock_image::{LayerBlob, LayerId, LayerRow, Method, StoredLayer, compress_layer};
use crossdock_oci::media_type::{Compression, Family};
use crossdock_oci::{Descriptor, DiffId, Timestamp};
use crossdock_snapshot::compression;
use crossdock_snapshot::program::{Programs, Tap};

use crate::BuildError;
use crate::clamp::clamp_times;
use crate::fetch::ShownAt;
use crate::perform::Steps;

/// How the layers of an image are to be stored.
#[derive(Debug, Clone, Copy)]
pub struct LayerForm {
    pub method: Method,
    pub family: Family,
    /// Inherited layers are compressed again, too.
    pub force: bool,
    /// SOURCE_DATE_EPOCH: no file of a layer made here is newer (decision 12).
    pub epoch: Option<Timestamp>,
}

impl Steps {
    /// Every layer of a stack as a manifest names it; the lowest `inherited` are those of the base image.
    pub(crate) fn image_layers(
        &self,
        stack: &[LayerId],
        inherited: usize,
        form: LayerForm,
    ) -> Result<Vec<ImageLayer>, BuildError> {
        (0..stack.len())
            .map(|at| match form.epoch {
                Some(epoch) if at >= inherited => self.image_layer(&[self.clamped(&stack[..=at], epoch)?], form),
                _ => self.image_layer(&stack[..=at], form),
            })
            .collect()
    }

    /// The layer with no file newer than SOURCE_DATE_EPOCH, in place of a stack's topmost one.
    fn clamped(&self, stack: &[LayerId], epoch: Timestamp) -> Result<LayerId, BuildError> {
        let id = &stack[stack.len() - 1];
        let key = format!("epoch/{}/{id}", epoch.seconds());
        self.recipes.alone(&key, || {
            if let Some(known) = self.known_recipe(&key)? {
                return Ok(known);
            }
            let row = self.layers.get(id)?.ok_or_else(|| BuildError::LayerGone { layer: id.to_string() })?;
            let mut ingest = self.store.ingest(&self.lease)?;
            self.with_tar(&row, stack, |tar| Ok(clamp_times(tar, epoch, &mut ingest)?))?;
            let (digest, size) = ingest.commit()?;
            let clamped = self.keep_tar(digest.as_uncompressed_diff(), size, row.created)?;
            self.keep_recipe(&key, &clamped)?;
            Ok(clamped)
        })
    }

    fn image_layer(&self, stack: &[LayerId], form: LayerForm) -> Result<ImageLayer, BuildError> {
        let id = &stack[stack.len() - 1];
        self.recipes.alone(&format!("{id} {}", form.method.id()), || {
            let row = self.layers.get(id)?.ok_or_else(|| BuildError::LayerGone { layer: id.to_string() })?;
            if let Some(found) = self.stored_layer(&row, form)? {
                return Ok(found);
            }
            let (stored, programs) = self.compress(&row, stack, form)?;
            if let Some(programs) = &programs {
                self.layers.note_programs(stored.diff_id, programs)?;
            }
            let media_type = Family::Oci.layer(form.method.compression).to_owned();
            let method = Some(form.method.id());
            let blob = LayerBlob { media_type, digest: stored.digest, size: stored.size, method, origins: Vec::new() };
            let row = self.layers.update(
                id,
                || row.clone(),
                |row| {
                    row.add_blob(blob.clone());
                    row.diff_id = Some(stored.diff_id);
                    row.uncompressed_size = stored.uncompressed_size;
                    row.programs_noted |= programs.is_some();
                },
            )?;
            Ok(named(&row, stored.diff_id, &blob, form.family))
        })
    }

    /// A blob that serves as it is: an inherited one, or one made by the same method.
    fn stored_layer(&self, row: &LayerRow, form: LayerForm) -> Result<Option<ImageLayer>, BuildError> {
        let Some(diff_id) = row.diff_id else { return Ok(None) };
        for blob in &row.blobs {
            let inherited = blob.method.is_none() && !form.force;
            let same = blob.method.as_ref() == Some(&form.method.id());
            let elsewhere = inherited && !blob.origins.is_empty();
            if (inherited || same) && (elsewhere || self.store.has(blob.digest)?) {
                return Ok(Some(named(row, diff_id, blob, form.family)));
            }
        }
        Ok(None)
    }

    /// Compresses a layer; what its programs are is seen on the way.
    fn compress(
        &self,
        row: &LayerRow,
        stack: &[LayerId],
        form: LayerForm,
    ) -> Result<(StoredLayer, Option<Programs>), BuildError> {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.with_tar(row, stack, |tar| {
            let mut tap = Tap::new(tar);
            let stored = compress_layer(&self.store, &self.lease, &mut tap, form.method, threads)?;
            Ok((stored, tap.finish().ok()))
        })
    }

    /// What the programs of a stack's topmost layer are, when it was made here: from the note, else from its bytes.
    pub(crate) fn programs(&self, stack: &[LayerId]) -> Result<Option<Programs>, BuildError> {
        let id = &stack[stack.len() - 1];
        let Some(row) = self.layers.get(id)? else { return Ok(None) };
        let made_here = row.blobs.is_empty() || row.blobs.iter().any(|blob| blob.method.is_some());
        let Some(diff_id) = row.diff_id.filter(|_| made_here) else { return Ok(None) };
        if let Some(programs) = self.layers.programs(diff_id)? {
            return Ok(Some(programs));
        }
        let mut here = self.unpacker.has(stack)?.is_some() && row.blobs.is_empty();
        for blob in &row.blobs {
            here = here || self.store.has(blob.digest)?;
        }
        if !here {
            return Ok(None);
        }
        let failed = |source| BuildError::Io { path: id.to_string(), source };
        let programs = self.with_tar(&row, stack, |tar| {
            let mut tap = Tap::new(tar);
            std::io::copy(&mut tap, &mut std::io::sink()).map_err(failed)?;
            Ok(tap.finish().ok())
        })?;
        if let Some(programs) = &programs {
            self.layers.note_programs(diff_id, programs)?;
            self.layers.update(id, || row.clone(), |row| row.programs_noted = true)?;
        }
        Ok(programs)
    }

    /// Runs `read` on the tar of a stack's topmost layer, wherever it can be had from.
    fn with_tar<T>(
        &self,
        row: &LayerRow,
        stack: &[LayerId],
        read: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        if let Some(mut tar) = self.stored_tar(row)? {
            return read(&mut tar);
        }
        match self.unpacker.has(stack)? {
            Some(upper) if row.blobs.is_empty() => {
                let below = self.unpacker.directories(
                    &stack[..stack.len() - 1],
                    &self.fetcher,
                    &|layer| self.shown_at(layer),
                    &self.cancel,
                )?;
                self.with_diff(&upper, below, read)
            }
            _ => {
                self.fetcher.any_blob(row, &self.shown_at(&row.id))?;
                let mut tar =
                    self.stored_tar(row)?.ok_or_else(|| BuildError::LayerGone { layer: row.id.to_string() })?;
                read(&mut tar)
            }
        }
    }

    /// The tar of a layer from any of its stored blobs, the uncompressed one first.
    pub(crate) fn stored_tar(&self, row: &LayerRow) -> Result<Option<Box<dyn Read + Send>>, BuildError> {
        let mut blobs: Vec<&LayerBlob> = row.blobs.iter().collect();
        blobs.sort_by_key(|blob| blob.compression() != Some(Compression::Uncompressed));
        for blob in blobs {
            if let Some(stored) = self.store.open_blob(blob.digest)? {
                return Ok(Some(match blob.compression() {
                    Some(Compression::Uncompressed) => Box::new(stored.file),
                    _ => compression::decoder(Box::new(stored.file))
                        .map_err(|source| BuildError::Io { path: blob.digest.to_string(), source })?,
                }));
            }
        }
        Ok(None)
    }

    /// Runs `read` on the tar of what a process changed.
    fn with_diff<T>(
        &self,
        upper: &std::path::Path,
        lowers: Directories,
        read: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        let request = DiffRequest { upper: upper.into(), lowers, format: TreeFormat::Overlay, omit: Vec::new() };
        let (mut reader, writer) =
            std::io::pipe().map_err(|source| BuildError::Io { path: "a pipe for a layer".to_owned(), source })?;
        let cancel = Cancel::new();
        std::thread::scope(|scope| {
            let keeper = &self.keeper;
            let (request, stop) = (&request, &cancel);
            let diff = scope.spawn(move || {
                let writer = OwnedFd::from(writer);
                keeper.diff(request, &writer, stop)
            });
            let outcome = read(&mut reader);
            // When reading failed the worker would wait at a full pipe.
            drop(reader);
            let diffed = diff.join().unwrap_or(Err(crossdock_executor::ExecutorError::Cancelled));
            match (outcome, diffed) {
                (Ok(value), Ok(_)) => Ok(value),
                (_, Err(error)) => Err(error.into()),
                (Err(error), Ok(_)) => Err(error),
            }
        })
    }

    /// The blob of a layer in the store: fetched when only a registry has it.
    pub(crate) fn ensure_blob(&self, layer: &LayerId, descriptor: &Descriptor) -> Result<(), BuildError> {
        if self.store.has(descriptor.digest)? {
            return Ok(());
        }
        let row = self.layers.get(layer)?.ok_or_else(|| BuildError::LayerGone { layer: layer.to_string() })?;
        let blob = row.blobs.iter().find(|blob| blob.digest == descriptor.digest);
        let blob = blob.ok_or_else(|| BuildError::LayerGone { layer: layer.to_string() })?;
        self.fetcher.fetch(blob, &ShownAt::nowhere())
    }
}

fn named(row: &LayerRow, diff_id: DiffId, blob: &LayerBlob, family: Family) -> ImageLayer {
    let media_type =
        blob.compression().map_or_else(|| blob.media_type.clone(), |compression| family.layer(compression).to_owned());
    let descriptor = Descriptor::new(media_type, blob.digest, blob.size);
    ImageLayer { descriptor, diff_id, created: row.created }
}
