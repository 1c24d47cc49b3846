//! In: snapshots as diff directories in overlayfs's own format. Out: merges of them. Never: a copied file, except copy-up targets of hard links and where more
//! than [`LOWERS_MAX`] layers must become one and the file system refuses links.

use std::io::{Read, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use super::mount::relative;
use super::{Committed, Dirs, LOWERS_MAX, MountPlan, OverlayPlan, SnapshotError, SnapshotId, Snapshotter};
use crate::apply::{ApplyOptions, ApplyReport, apply_tar};
use crate::diff::{DiffOptions, DiffReport, diff_overlay};
use crate::disk::{Format, How, IdPolicy, Layers, Usage, is_empty_dir, materialise, open_root};
use crate::export::{ExportOptions, ExportReport, Source, tar_of_tree};
use crate::path::RootedPath;
use crate::tar::{Reader, Writer};

/// Snapshots that the kernel merges.
#[derive(Debug, Clone)]
pub struct Overlay {
    dirs: Dirs,
    userxattr: bool,
}

impl Overlay {
    /// Uses `root`, which is made when missing. `userxattr`: see [`super::in_user_namespace`]; all snapshots of one root must agree on it.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(root: &Path, userxattr: bool) -> Result<Self, SnapshotError> {
        Ok(Self { dirs: Dirs::open(root)?, userxattr })
    }

    /// Mounts a small overlay under the root and takes it away again: whether kernel, namespace and file system allow it. For a process in a mount
    /// namespace of its own.
    ///
    /// # Errors
    /// `Mount` with the kernel's reason: use [`super::Plain`] then.
    pub fn probe(&self) -> Result<(), SnapshotError> {
        let key: SnapshotId = format!("probe_{}", std::process::id()).parse()?;
        self.dirs.remove(&key)?;
        self.dirs.create(&key)?;
        let dir = self.dirs.snapshot(&key);
        let lower = dir.join("lower");
        let target = dir.join("target");
        for made in [&lower, &target] {
            fs_err::create_dir(made).map_err(SnapshotError::create)?;
        }
        let plan = MountPlan::Overlay(OverlayPlan {
            base: self.dirs.root.clone(),
            lowers: vec![relative(&key, "lower")],
            upper: Some((relative(&key, "fs"), relative(&key, "work"))),
            userxattr: self.userxattr,
        });
        let mounted = plan.mount(&target);
        if mounted.is_ok() {
            let flags = rustix::mount::UnmountFlags::DETACH | rustix::mount::UnmountFlags::NOFOLLOW;
            rustix::mount::unmount(&target, flags).map_err(|error| SnapshotError::Mount {
                what: "nothing any more".to_owned(),
                target,
                source: error.into(),
                kernel: String::new(),
            })?;
        }
        self.dirs.remove(&key)?;
        mounted
    }

    fn format(&self) -> Format {
        Format::Overlay { userxattr: self.userxattr }
    }

    /// The diff directories of a chain, topmost first.
    fn lowers(&self, parents: &[SnapshotId]) -> Result<Vec<PathBuf>, SnapshotError> {
        parents.iter().rev().map(|id| self.dirs.fs(id)).collect()
    }

    /// Names of the lower layers for a mount, topmost first: without empty ones, at most [`LOWERS_MAX`].
    fn lowers_to_mount(&self, key: &SnapshotId, parents: &[SnapshotId]) -> Result<Vec<PathBuf>, SnapshotError> {
        let mut names = Vec::with_capacity(parents.len());
        for id in parents.iter().rev() {
            let path = self.dirs.fs(id)?;
            let is_empty = open_root(&path).and_then(|fd| is_empty_dir(fd.as_fd()));
            if !is_empty.map_err(|source| SnapshotError::Read { id: id.clone(), source })? {
                names.push(relative(id, "fs"));
            }
        }
        if names.len() > LOWERS_MAX {
            let merged = names.split_off(LOWERS_MAX - 1);
            names.push(self.flatten(key, &merged)?);
        }
        Ok(names)
    }

    /// Merges the lowest layers into `<key>/flat`, which lives as long as the active snapshot or view.
    fn flatten(&self, key: &SnapshotId, names: &[PathBuf]) -> Result<PathBuf, SnapshotError> {
        let flat = self.dirs.snapshot(key).join("flat");
        fs_err::create_dir(&flat).map_err(SnapshotError::create)?;
        let paths: Vec<PathBuf> = names.iter().map(|name| self.dirs.root.join(name)).collect();
        let layers = Layers::open(&paths, self.format())
            .map_err(|(_, source)| SnapshotError::Read { id: key.clone(), source })?;
        materialise(&layers, &flat, How::Link)?;
        Ok(relative(key, "flat"))
    }
}

impl Snapshotter for Overlay {
    fn prepare(&self, key: &SnapshotId, parents: &[SnapshotId]) -> Result<MountPlan, SnapshotError> {
        let fs = self.dirs.create(key)?;
        let lowers = self.lowers_to_mount(key, parents)?;
        if lowers.is_empty() {
            // Nothing to merge with: overlayfs needs a lower layer, and does not have to be asked.
            return Ok(MountPlan::Bind { source: fs, read_only: false });
        }
        Ok(MountPlan::Overlay(OverlayPlan {
            base: self.dirs.root.clone(),
            lowers,
            upper: Some((relative(key, "fs"), relative(key, "work"))),
            userxattr: self.userxattr,
        }))
    }

    fn view(&self, key: &SnapshotId, parents: &[SnapshotId]) -> Result<MountPlan, SnapshotError> {
        let empty = self.dirs.create(key)?;
        let mut lowers = self.lowers_to_mount(key, parents)?;
        Ok(match lowers.len() {
            0 => MountPlan::Bind { source: empty, read_only: true },
            1 => MountPlan::Bind { source: self.dirs.root.join(lowers.remove(0)), read_only: true },
            _ => MountPlan::Overlay(OverlayPlan {
                base: self.dirs.root.clone(),
                lowers,
                upper: None,
                userxattr: self.userxattr,
            }),
        })
    }

    fn apply(
        &self,
        key: &SnapshotId,
        parents: &[SnapshotId],
        layer: &mut Reader<&mut dyn Read>,
        ids: IdPolicy,
    ) -> Result<ApplyReport, SnapshotError> {
        let options = ApplyOptions { format: self.format(), ids };
        Ok(apply_tar(layer, &self.dirs.fs(key)?, &self.lowers(parents)?, options)?)
    }

    fn diff(
        &self,
        id: &SnapshotId,
        parents: &[SnapshotId],
        stubs: &[RootedPath],
        out: &mut Writer<&mut dyn Write>,
    ) -> Result<DiffReport, SnapshotError> {
        let options = DiffOptions { userxattr: self.userxattr, stubs };
        Ok(diff_overlay(&self.dirs.fs(id)?, &self.lowers(parents)?, options, out)?)
    }

    fn export(
        &self,
        chain: &[SnapshotId],
        options: ExportOptions,
        out: &mut Writer<&mut dyn Write>,
    ) -> Result<ExportReport, SnapshotError> {
        let lowers = self.lowers(chain)?;
        Ok(tar_of_tree(Source::Layers { lowers: &lowers, userxattr: self.userxattr }, options, out)?)
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
