//! In: a stack of layers. Out: a directory in overlay format for each of them. Never: a layer unpacked twice, a mount.
//!
//! A snapshot belongs to a stack, not to a layer alone: unpacking looks at what lies below (missing parents, links
//! into lower layers). It is kept under the stack's name in the layer's row.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use crossdock_content::{Lease, Space, Store};
use crossdock_executor::keeper::{ApplyRequest, Layers as Directories, TreeFormat};
use crossdock_executor::{Cancel, HostPath, Keeper};
use crossdock_image::{LayerBlob, LayerId, LayerRow, Layers};
use crossdock_oci::{DiffId, Timestamp};
use crossdock_progress::Line;

use crate::BuildError;
use crate::fetch::{Fetcher, ShownAt};
use crate::flight::Flights;

/// Unpacks stacks of layers.
pub struct Unpacker {
    store: Store,
    lease: Lease,
    layers: Layers,
    keeper: Keeper,
    flights: Flights,
}

impl Unpacker {
    /// An unpacker into this store's snapshots.
    pub fn new(store: &Store, lease: &Lease, keeper: &Keeper) -> Self {
        let layers = Layers::new(store);
        Self { store: store.clone(), lease: lease.clone(), layers, keeper: keeper.clone(), flights: Flights::default() }
    }

    /// The directories of a stack, lowest first; those that are missing are fetched, and each is unpacked while the ones above it still come.
    ///
    /// # Errors
    /// When a layer cannot be had or unpacked.
    pub fn directories(
        &self,
        stack: &[LayerId],
        fetcher: &Fetcher,
        shown: &dyn Fn(&LayerId) -> ShownAt,
        cancel: &Cancel,
    ) -> Result<Directories, BuildError> {
        let missing = self.missing(stack)?;
        // A single one is fetched where it is unpacked.
        let Some((_, first)) = missing.first().filter(|_| missing.len() > 1) else {
            return self.directories_as_they_come(stack, fetcher, shown, cancel, &|_| Ok(()));
        };
        let at = shown(&first.id);
        let (tell, told): (Vec<_>, Vec<_>) = missing.iter().map(|_| mpsc::sync_channel(1)).unzip();
        let stop = AtomicBool::new(false);
        let arrived = |place: usize| match missing.iter().position(|(at, _)| *at == place) {
            Some(number) => told[number].recv().unwrap_or(Err(BuildError::ThreadDied { doing: "fetching layers" })),
            None => Ok(()),
        };
        std::thread::scope(|scope| {
            let (missing, at, stop) = (&missing, &at, &stop);
            scope.spawn(move || fetcher.tell_of_each(missing, at, stop, &tell));
            let outcome = self.directories_as_they_come(stack, fetcher, shown, cancel, &arrived);
            stop.store(true, Ordering::Relaxed);
            outcome
        })
    }

    /// Unpacks one layer after the other, as soon as `arrived` says that the layer at this place of the stack is there.
    fn directories_as_they_come(
        &self,
        stack: &[LayerId],
        fetcher: &Fetcher,
        shown: &dyn Fn(&LayerId) -> ShownAt,
        cancel: &Cancel,
        arrived: &dyn Fn(usize) -> Result<(), BuildError>,
    ) -> Result<Directories, BuildError> {
        let mut below: Vec<HostPath> = Vec::with_capacity(stack.len());
        for place in 0..stack.len() {
            arrived(place)?;
            let path = self.directory(&stack[..=place], &below, fetcher, shown, cancel)?;
            below.push(HostPath::from(path));
        }
        Ok(Directories(below))
    }

    /// The layers that are not unpacked, with their places in the stack.
    fn missing(&self, stack: &[LayerId]) -> Result<Vec<(usize, LayerRow)>, BuildError> {
        let mut missing = Vec::new();
        for place in 0..stack.len() {
            let row = self.row(&stack[place])?;
            if self.existing(&row, &stack[..=place])?.is_none() {
                missing.push((place, row));
            }
        }
        Ok(missing)
    }

    fn row(&self, id: &LayerId) -> Result<LayerRow, BuildError> {
        self.layers.get(id)?.ok_or_else(|| BuildError::LayerGone { layer: id.to_string() })
    }

    /// The directory of a stack's topmost layer when it is there and sound.
    fn existing(&self, row: &LayerRow, stack: &[LayerId]) -> Result<Option<PathBuf>, BuildError> {
        let Some(id) = row.snapshots.get(&LayerId::stack_name(stack)) else { return Ok(None) };
        if self.store.get(Space::Snapshot, id)?.is_none() {
            return Ok(None);
        }
        let path = self.snapshot_path(id);
        Ok(path.is_dir().then_some(path))
    }

    /// Whether the topmost layer of a stack is unpacked.
    ///
    /// # Errors
    /// Those of the store.
    pub fn has(&self, stack: &[LayerId]) -> Result<Option<PathBuf>, BuildError> {
        match stack.last() {
            None => Ok(None),
            Some(top) => match self.layers.get(top)? {
                None => Ok(None),
                Some(row) => self.existing(&row, stack),
            },
        }
    }

    fn snapshot_path(&self, id: &str) -> PathBuf {
        self.store.snapshot_root().join(id).join("fs")
    }

    fn directory(
        &self,
        stack: &[LayerId],
        below: &[HostPath],
        fetcher: &Fetcher,
        shown: &dyn Fn(&LayerId) -> ShownAt,
        cancel: &Cancel,
    ) -> Result<PathBuf, BuildError> {
        let name = LayerId::stack_name(stack);
        self.flights.alone(&name, || {
            let top = &stack[stack.len() - 1];
            let row = self.row(top)?;
            if let Some(path) = self.existing(&row, stack)? {
                return Ok(path);
            }
            let at = shown(top);
            let blob = fetcher.any_blob(&row, &at)?;
            match self.unpack(&row, &blob, stack, below, &at, cancel) {
                // The bytes are checked while they are unpacked: damaged ones are dropped and asked for once more.
                Err(_) if !cancel.is_cancelled() && fetcher.drop_damaged(&blob)? => {
                    let fresh =
                        fetcher.any_blob(&row, &at).map_err(|_| BuildError::BlobDamaged { digest: blob.digest })?;
                    self.unpack(&row, &fresh, stack, below, &at, cancel)
                }
                outcome => outcome,
            }
        })
    }

    fn unpack(
        &self,
        row: &LayerRow,
        blob: &LayerBlob,
        stack: &[LayerId],
        below: &[HostPath],
        at: &ShownAt,
        cancel: &Cancel,
    ) -> Result<PathBuf, BuildError> {
        let line = Line::begin(&at.progress, at.vertex, &format!("extracting {}", blob.digest));
        let id = self.store.new_snapshot(&self.lease)?;
        let directory = self.store.snapshot_root().join(&id);
        self.keeper.prepare(&directory, cancel)?;
        self.apply(row, blob, &directory.join("fs"), below, cancel)?;
        self.keep(&row.id, &LayerId::stack_name(stack), &id, &directory, cancel)?;
        line.done();
        Ok(directory.join("fs"))
    }

    fn apply(
        &self,
        row: &LayerRow,
        blob: &LayerBlob,
        dest: &Path,
        below: &[HostPath],
        cancel: &Cancel,
    ) -> Result<(), BuildError> {
        let stored = self
            .store
            .open_blob(blob.digest)?
            .ok_or_else(|| BuildError::LayerGone { layer: blob.digest.to_string() })?;
        let request = ApplyRequest {
            dest: HostPath::from(dest),
            lowers: Directories(below.to_vec()),
            format: TreeFormat::Overlay,
        };
        let applied = self.keeper.apply(&request, stored.file.file(), cancel)?;
        let got = DiffId::from_raw_verified(applied.diff_id);
        match row.diff_id {
            Some(want) if want != got => Err(BuildError::DiffMismatch {
                layer: blob.digest.to_string(),
                want: want.to_string(),
                got: got.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Commits an active snapshot and says in the rows that it holds the topmost layer of the stack of this name.
    ///
    /// # Errors
    /// Those of the keeper and the store.
    pub fn keep(
        &self,
        top: &LayerId,
        stack_name: &str,
        id: &str,
        directory: &Path,
        cancel: &Cancel,
    ) -> Result<(), BuildError> {
        self.keeper.commit(directory, cancel)?;
        self.store.put_row(Space::Snapshot, id, stack_name.as_bytes(), &[])?;
        let fresh = || LayerRow::new(top.clone(), None, Timestamp::now());
        self.layers.update(top, fresh, |row| {
            row.snapshots.insert(stack_name.to_owned(), id.to_owned());
        })?;
        Ok(())
    }
}
