//! In: snapshots as complete trees. Out: copies of them. Never: an overlay, a mark in an attribute: it works on every file system and in every namespace.
//!
//! Slower and larger than [`super::Overlay`], except where the file system shares blocks. One difference shows: writing through one name of a hard-linked file
//! of the layers below changes all its names here, as on any disk, and only that name in an overlay.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::{Committed, Dirs, MountPlan, SnapshotError, SnapshotId, Snapshotter};
use crate::apply::{ApplyOptions, ApplyReport, apply_tar};
use crate::diff::{DiffOptions, DiffReport, diff_plain};
use crate::disk::{Format, How, IdPolicy, Layers, Usage, materialise};
use crate::export::{ExportOptions, ExportReport, Source, tar_of_tree};
use crate::path::RootedPath;
use crate::tar::{Reader, Writer};

/// Snapshots that are copied.
#[derive(Debug, Clone)]
pub struct Plain {
    dirs: Dirs,
}

impl Plain {
    /// Uses `root`, which is made when missing.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(root: &Path) -> Result<Self, SnapshotError> {
        Ok(Self { dirs: Dirs::open(root)? })
    }

    /// The tree of a chain: the topmost snapshot holds everything.
    fn top(&self, chain: &[SnapshotId]) -> Result<Option<PathBuf>, SnapshotError> {
        chain.last().map(|id| self.dirs.fs(id)).transpose()
    }
}

impl Snapshotter for Plain {
    fn prepare(&self, key: &SnapshotId, parents: &[SnapshotId]) -> Result<MountPlan, SnapshotError> {
        let top = self.top(parents)?;
        let fs = self.dirs.create(key)?;
        if let Some(top) = top {
            let layers = Layers::open(&[top], Format::Plain)
                .map_err(|(_, source)| SnapshotError::Read { id: key.clone(), source })?;
            materialise(&layers, &fs, How::Copy)?;
        }
        Ok(MountPlan::Bind { source: fs, read_only: false })
    }

    fn view(&self, key: &SnapshotId, parents: &[SnapshotId]) -> Result<MountPlan, SnapshotError> {
        let empty = self.dirs.create(key)?;
        let source = self.top(parents)?.unwrap_or(empty);
        Ok(MountPlan::Bind { source, read_only: true })
    }

    fn apply(
        &self,
        key: &SnapshotId,
        _parents: &[SnapshotId],
        layer: &mut Reader<&mut dyn Read>,
        ids: IdPolicy,
    ) -> Result<ApplyReport, SnapshotError> {
        Ok(apply_tar(layer, &self.dirs.fs(key)?, &[], ApplyOptions { format: Format::Plain, ids })?)
    }

    fn diff(
        &self,
        id: &SnapshotId,
        parents: &[SnapshotId],
        stubs: &[RootedPath],
        out: &mut Writer<&mut dyn Write>,
    ) -> Result<DiffReport, SnapshotError> {
        let options = DiffOptions { userxattr: false, stubs };
        Ok(diff_plain(self.top(parents)?.as_deref(), &self.dirs.fs(id)?, options, out)?)
    }

    fn export(
        &self,
        chain: &[SnapshotId],
        options: ExportOptions,
        out: &mut Writer<&mut dyn Write>,
    ) -> Result<ExportReport, SnapshotError> {
        match self.top(chain)? {
            None => Ok(ExportReport::default()),
            Some(top) => Ok(tar_of_tree(Source::Tree(&top), options, out)?),
        }
    }

    fn commit(&self, key: &SnapshotId, id: &SnapshotId) -> Result<Committed, SnapshotError> {
        self.dirs.commit(key, id)
    }

    fn remove(&self, id: &SnapshotId) -> Result<(), SnapshotError> {
        self.dirs.remove(id)
    }

    fn usage(&self, id: &SnapshotId) -> Result<Usage, SnapshotError> {
        self.dirs.usage(id)
    }
}
