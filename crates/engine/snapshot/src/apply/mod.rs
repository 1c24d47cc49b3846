//! In: a layer's tar, and the directories of the layers below. Out: the layer as a directory, and what of it could not be made here. Never: a path outside
//! the directory, a write into the layers below, a followed magic link, memory that grows with the size of a file.
//!
//! Every object is made by name in an open directory, without following that name. Directories on the way are entered one component at a time ([`dirs`]); a
//! symlink among them is followed inside the *merged* root, so that `bin/x` on a base whose `bin` is a link to `usr/bin` lands in `usr/bin/x`, and an
//! absolute link or `..` cannot lead out.
//!
//! | layer says | overlay format | plain tree |
//! |---|---|---|
//! | entry | replaces what is there; a directory over a directory keeps its children | same |
//! | `.wh.x`, this layer has no `x` | device 0:0, nothing when the layers below have no `x` | `x` is removed |
//! | `.wh.x` and a directory `x`, in any order | `x` is opaque | what this layer did not write in `x` is removed |
//! | `.wh..wh..opq` in `d` | `d` is opaque; in the root: a device 0:0 for every name of the layers below that this layer has not | as above |
//! | `a/b` without `a` | `a` with the facts of the layers below, else 0755 root and the time of `a/b` | same |
//! | hard link to a file of the layers below | that file is copied up, then linked | linked |
//! | root (`./`) | ignored, as containerd does: the root of every snapshot is 0755 root | same |
//!
//! Attributes: those layers carry ([`crate::disk::is_layer_xattr`]). What the kernel refuses, and device nodes in a user namespace, are left out and counted
//! ([`LeftOut`]): the blob still has them, the snapshot has not.

mod dirs;
mod entry;
mod whiteout;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::disk::{Format, IdPolicy, Layers, LeftOut, PlaceError, Placer, open_root, set_times_within};
use crate::entry::Mtime;
use crate::path::RootedPath;
use crate::tar::{Reader, TarEntry, TarError};
use dirs::Dir;

/// How to unpack.
#[derive(Debug, Clone, Copy)]
pub struct ApplyOptions {
    /// How whiteouts are written down. With `Plain` there are no lower layers: the destination holds the tree below.
    pub format: Format,
    /// What happens to owners.
    pub ids: IdPolicy,
}

/// What was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplyReport {
    /// Objects made, whiteouts not counted.
    pub entries: u64,
    /// Whiteouts and opaque marks in the layer.
    pub whiteouts: u64,
    /// Bytes of files, holes included.
    pub content_bytes: u64,
    /// What could not be made here.
    pub left_out: LeftOut,
}

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The archive is malformed or cut short.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The destination or a lower layer could not be opened.
    #[error("open {}: {source}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// An object could not be made.
    #[error("unpack {path}: {action}: {source}")]
    Write {
        /// The entry.
        path: RootedPath,
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A layer below could not be read.
    #[error("unpack {path}: read the layers below: {source}")]
    ReadBelow {
        /// The path in the layers.
        path: RootedPath,
        /// The cause.
        source: io::Error,
    },
    /// A component of the entry's directory is a file.
    #[error("unpack {path}: {parent} is not a directory")]
    ParentNotADirectory {
        /// The entry.
        path: RootedPath,
        /// What is in its way.
        parent: RootedPath,
    },
    /// Symlinks on the way lead to each other.
    #[error("unpack {path}: more than {} symbolic links on the way", dirs::LINKS_MAX)]
    SymlinkLoop {
        /// The entry.
        path: RootedPath,
    },
    /// A hard link names nothing.
    #[error("unpack {path}: it is a hard link to {target}, which neither this layer nor one below has")]
    LinkTargetMissing {
        /// The link.
        path: RootedPath,
        /// What it names.
        target: RootedPath,
    },
    /// A hard link names a directory.
    #[error("unpack {path}: it is a hard link to {target}, which is a directory")]
    LinkTargetIsDirectory {
        /// The link.
        path: RootedPath,
        /// What it names.
        target: RootedPath,
    },
    /// Rootless: the owner is outside the mapped ids.
    #[error(
        "unpack {path}: its owner {uid}:{gid} is outside the ids of this user namespace; give your user more ids in /etc/subuid and /etc/subgid, or build as root"
    )]
    IdNotMapped {
        /// The entry.
        path: RootedPath,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

/// Unpacks a layer into `dest`: a fresh diff directory (overlay format; `lowers` are the diff directories below, topmost first), or the whole tree below
/// (plain format; `lowers` is empty). After an error `dest` is to be thrown away.
///
/// # Errors
/// The first entry that could not be read or made.
pub fn apply_tar<R: Read>(
    reader: &mut Reader<R>,
    dest: &Path,
    lowers: &[PathBuf],
    options: ApplyOptions,
) -> Result<ApplyReport, ApplyError> {
    let open_error = |(path, source)| ApplyError::Open { path, source };
    let root = open_root(dest).map_err(|source| open_error((dest.to_path_buf(), source)))?;
    let below = Layers::open(lowers, options.format).map_err(open_error)?;
    let mut apply = Apply::new(root, &below, options)?;
    while let Some(item) = reader.next_item()? {
        match &item.entry {
            TarEntry::Entry(entry) if entry.path.is_root() => {}
            TarEntry::Entry(entry) => apply.entry(entry, reader)?,
            TarEntry::Whiteout { path } => apply.whiteout(path)?,
            TarEntry::Opaque { dir } => apply.opaque(dir)?,
        }
    }
    apply.finish()
}

/// The state of one call of `apply_tar`.
struct Apply<'a> {
    root: OwnedFd,
    below: &'a Layers,
    format: Format,
    placer: Placer,
    /// Directories entered, by the path they were asked for. Emptied whenever a directory, a symlink or a whiteout changes.
    dirs: HashMap<Vec<u8>, Rc<Dir>>,
    /// Symlinks of the layers below that were followed, without symlinks in their own paths.
    links_below: HashSet<RootedPath>,
    /// The final time of every directory that was made or changed; their times are set last.
    times: BTreeMap<RootedPath, Mtime>,
    /// What this layer made, and the directories above (overlay format: directories only). Whiteouts spare it.
    written: BTreeSet<RootedPath>,
    /// The layer hides everything in the root.
    root_opaque: bool,
    report: ApplyReport,
}

impl<'a> Apply<'a> {
    fn new(root: OwnedFd, below: &'a Layers, options: ApplyOptions) -> Result<Self, ApplyError> {
        let mut apply = Self {
            root,
            below,
            format: options.format,
            placer: Placer::new(options.ids),
            dirs: HashMap::new(),
            links_below: HashSet::new(),
            times: BTreeMap::new(),
            written: BTreeSet::new(),
            root_opaque: false,
            report: ApplyReport::default(),
        };
        apply.keep_root_time()?;
        Ok(apply)
    }

    fn finish(mut self) -> Result<ApplyReport, ApplyError> {
        if self.root_opaque {
            self.hide_root()?;
        }
        // Deepest first; setting a time does not change the time of the directory above, but a reader of this loop need not know.
        for (path, mtime) in self.times.iter().rev() {
            set_times_within(&self.root, path, *mtime).map_err(write_error(path, "set times"))?;
        }
        self.report.left_out = self.placer.left_out;
        Ok(self.report)
    }
}

fn write_error(path: &RootedPath, action: &'static str) -> impl FnOnce(io::Error) -> ApplyError {
    move |source| ApplyError::Write { path: path.clone(), action, source }
}

fn below_error(path: &RootedPath) -> impl FnOnce(io::Error) -> ApplyError {
    move |source| ApplyError::ReadBelow { path: path.clone(), source }
}

fn place_error(path: &RootedPath) -> impl FnOnce(PlaceError) -> ApplyError {
    move |error| match error {
        PlaceError::Failed { action, source } => ApplyError::Write { path: path.clone(), action, source },
        PlaceError::IdNotMapped { uid, gid } => ApplyError::IdNotMapped { path: path.clone(), uid, gid },
    }
}

#[cfg(test)]
mod tests;
