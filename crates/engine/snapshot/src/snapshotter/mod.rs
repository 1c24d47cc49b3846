//! In: ids of committed snapshots, layers to unpack, trees to compare. Out: directories under one root, and how to mount them. Never: a database, a mount of its
//! own accord (only [`MountPlan::mount`] mounts, in the caller's mount namespace), a change to a committed snapshot.
//!
//! A snapshot is a directory `<root>/<id>/` with `fs` inside (and `work`, `flat` while it is active). Who is whose parent is known to the caller, who passes the
//! whole chain, lowest first, every time: rows live in the content store, directories here. Life: `prepare` → (`apply`, or mount and run) → `diff` → `commit` →
//! `remove`. The root of every tree is 0755 root; layers do not describe it.
//!
//! All of this runs in the keeper's worker: as root, or as root of a user namespace.

mod error;
mod mount;
mod overlay;
mod plain;
pub mod testsuite;

use std::fmt;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

pub use error::SnapshotError;
pub use mount::{LOWERS_MAX, MountPlan, OverlayPlan};
pub use overlay::Overlay;
pub use plain::Plain;

use crate::apply::ApplyReport;
use crate::diff::DiffReport;
use crate::disk::{IdPolicy, Usage, is_empty_dir, open_root, remove_tree, usage};
use crate::export::{ExportOptions, ExportReport};
use crate::path::RootedPath;
use crate::tar::{Reader, Writer};

/// The longest id, in bytes: 100 lower layers must fit into the 4 KiB of mount options that kernels before 6.5 take.
pub const SNAPSHOT_ID_BYTES_MAX: usize = 32;

/// The name of a snapshot's directory: 1 to 32 of `a-z 0-9 _`, so that it means nothing special in mount options.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(String);

impl SnapshotId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for SnapshotId {
    type Err = SnapshotError;
    fn from_str(text: &str) -> Result<Self, SnapshotError> {
        let clean = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if text.is_empty() || text.len() > SNAPSHOT_ID_BYTES_MAX || !clean {
            return Err(SnapshotError::BadId { id: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What a commit leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Space and inodes of its directory.
    pub usage: Usage,
    /// Whether its directory holds nothing: an overlay leaves it out of mounts.
    pub is_empty: bool,
}

/// Snapshots of one kind under one root. Both kinds make the same trees and, from them, the same layer bytes ([`testsuite`]).
///
/// `parents` is always the whole chain of committed snapshots, lowest first.
pub trait Snapshotter {
    /// Makes an active snapshot on top of `parents`, and says how to mount it for writing.
    ///
    /// # Errors
    /// `Taken` when `key` exists, `Missing` for a parent without directory, or what the file system says.
    fn prepare(&self, key: &SnapshotId, parents: &[SnapshotId]) -> Result<MountPlan, SnapshotError>;

    /// Says how to mount `parents` read-only. `key` holds what that needs and is removed with `remove`.
    ///
    /// # Errors
    /// As `prepare`.
    fn view(&self, key: &SnapshotId, parents: &[SnapshotId]) -> Result<MountPlan, SnapshotError>;

    /// Unpacks a layer into an active snapshot that was prepared on `parents` and never used. After an error the snapshot must be removed.
    ///
    /// # Errors
    /// `Apply`, `Missing`.
    fn apply(
        &self,
        key: &SnapshotId,
        parents: &[SnapshotId],
        layer: &mut Reader<&mut dyn Read>,
        ids: IdPolicy,
    ) -> Result<ApplyReport, SnapshotError>;

    /// Writes what an active or committed snapshot changes in `parents` as a layer; `stubs` as in [`crate::diff::DiffOptions`].
    ///
    /// # Errors
    /// `Diff`, `Missing`.
    fn diff(
        &self,
        id: &SnapshotId,
        parents: &[SnapshotId],
        stubs: &[RootedPath],
        out: &mut Writer<&mut dyn Write>,
    ) -> Result<DiffReport, SnapshotError>;

    /// Writes the whole tree that a chain of committed snapshots shows.
    ///
    /// # Errors
    /// `Export`, `Missing`.
    fn export(
        &self,
        chain: &[SnapshotId],
        options: ExportOptions,
        out: &mut Writer<&mut dyn Write>,
    ) -> Result<ExportReport, SnapshotError>;

    /// Makes an active snapshot, unmounted by now, a committed one under the name `id` (which may be `key` itself).
    ///
    /// # Errors
    /// `Taken` when another process committed the same first: remove `key` then. `Missing`.
    fn commit(&self, key: &SnapshotId, id: &SnapshotId) -> Result<Committed, SnapshotError>;

    /// Removes a snapshot, active or committed, unmounted by now. Nothing there is success.
    ///
    /// # Errors
    /// The first object that could not be removed.
    fn remove(&self, id: &SnapshotId) -> Result<(), SnapshotError>;

    /// Space and inodes of a snapshot's directory.
    ///
    /// # Errors
    /// `Missing`, or what the file system says.
    fn usage(&self, id: &SnapshotId) -> Result<Usage, SnapshotError>;
}

/// The directories both kinds keep.
#[derive(Debug, Clone)]
struct Dirs {
    root: PathBuf,
}

impl Dirs {
    fn open(root: &Path) -> Result<Self, SnapshotError> {
        fs_err::create_dir_all(root).map_err(SnapshotError::create)?;
        Ok(Self { root: root.to_path_buf() })
    }

    fn snapshot(&self, id: &SnapshotId) -> PathBuf {
        self.root.join(id.as_str())
    }

    /// The tree of a snapshot, which must exist.
    fn fs(&self, id: &SnapshotId) -> Result<PathBuf, SnapshotError> {
        let path = self.snapshot(id).join("fs");
        if path.is_dir() { Ok(path) } else { Err(SnapshotError::Missing { id: id.clone(), path }) }
    }

    /// Makes `<key>/` for its owner alone, with `fs` inside as the root of a tree.
    fn create(&self, key: &SnapshotId) -> Result<PathBuf, SnapshotError> {
        let dir = self.snapshot(key);
        match fs_err::create_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(SnapshotError::Taken { id: key.clone(), path: dir });
            }
            other => other.map_err(SnapshotError::create)?,
        }
        fs_err::set_permissions(&dir, Permissions::from_mode(0o700)).map_err(SnapshotError::create)?;
        let fs = dir.join("fs");
        fs_err::create_dir(&fs).map_err(SnapshotError::create)?;
        fs_err::set_permissions(&fs, Permissions::from_mode(0o755)).map_err(SnapshotError::create)?;
        Ok(fs)
    }

    fn commit(&self, key: &SnapshotId, id: &SnapshotId) -> Result<Committed, SnapshotError> {
        let fs = self.fs(key)?;
        for scratch in ["work", "flat"] {
            let path = self.snapshot(key).join(scratch);
            remove_tree(&path).map_err(|source| SnapshotError::Remove { id: key.clone(), source })?;
        }
        let read_error = |source| SnapshotError::Read { id: key.clone(), source };
        let root = open_root(&fs).map_err(read_error)?;
        let is_empty = is_empty_dir(root.as_fd()).map_err(read_error)?;
        let usage = usage(&fs).map_err(read_error)?;
        if key != id {
            let (from, to) = (self.snapshot(key), self.snapshot(id));
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(rustix::fs::CWD, &from, rustix::fs::CWD, &to, flags) {
                Err(rustix::io::Errno::EXIST) => return Err(SnapshotError::Taken { id: id.clone(), path: to }),
                other => other.map_err(|error| SnapshotError::Commit { id: id.clone(), source: error.into() })?,
            }
        }
        Ok(Committed { usage, is_empty })
    }

    fn remove(&self, id: &SnapshotId) -> Result<(), SnapshotError> {
        remove_tree(&self.snapshot(id)).map_err(|source| SnapshotError::Remove { id: id.clone(), source })
    }

    fn usage(&self, id: &SnapshotId) -> Result<Usage, SnapshotError> {
        usage(&self.fs(id)?).map_err(|source| SnapshotError::Read { id: id.clone(), source })
    }
}

/// Whether this process lives in a user namespace other than the machine's first: then overlays need `userxattr` and device nodes cannot be made.
pub fn in_user_namespace() -> bool {
    let map = fs_err::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let fields: Vec<&str> = map.split_whitespace().collect();
    fields != ["0", "0", "4294967295"]
}
