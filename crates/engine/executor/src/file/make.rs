//! In: mkdir, mkfile, symlink and rm actions. Out: the overlay after them. Never: a copy from another tree.

use crossdock_llb::{MkDirAction, MkFileAction, RmAction, SymlinkAction};
use crossdock_snapshot::{Entry, EntryKind, Mtime, RootedPath, Tree as _};

use super::content::Content;
use super::error::FileError;
use super::overlay::{Made, Overlay, TimeOrigin};
use super::owner::Ids;
use super::resolve::{LastLink, resolve};
use super::wildcard;

const SETGID: u32 = 0o2000;

/// Owner and time of what an action makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// `None`: root, or what the object had before.
    pub owner: Option<Ids>,
    /// `None`: the clock.
    pub time: Option<Mtime>,
    /// What the clock says.
    pub now: Mtime,
}

impl Stamp {
    /// The time of new objects, and whether it belongs to the recipe.
    pub fn mtime(&self) -> (Mtime, TimeOrigin) {
        self.time.map_or((self.now, TimeOrigin::Implied), |time| (time, TimeOrigin::Given))
    }
}

/// The time an action names, in whole seconds as layers hold it.
pub(super) fn action_time(timestamp_ns: Option<i64>) -> Option<Mtime> {
    timestamp_ns.map(|ns| Mtime::from_seconds(ns.div_euclid(1_000_000_000)))
}

/// Makes a directory and those above it that are missing; those that exist stay as they are. `path` is free of symlinks.
///
/// # Errors
/// `NotADirectory` when something else is in the way.
pub(super) fn make_dirs(overlay: &mut Overlay, path: &RootedPath, mode: u32, stamp: Stamp) -> Result<(), FileError> {
    let mut missing = Vec::new();
    for place in std::iter::once(path.clone()).chain(path.ancestors()) {
        match overlay.lookup(&place)? {
            Some(node) if node.entry.is_dir() => break,
            Some(_) => return Err(FileError::NotADirectory { call: "mkdir", path: place }),
            None => missing.push(place),
        }
    }
    missing.iter().rev().try_for_each(|place| make_dir(overlay, place, mode, stamp))
}

/// Makes one directory where nothing is.
fn make_dir(overlay: &mut Overlay, path: &RootedPath, mode: u32, stamp: Stamp) -> Result<(), FileError> {
    let mut entry = Entry::dir(path.clone(), mode & 0o777);
    inherit_group(overlay, &mut entry)?;
    if let Some(owner) = stamp.owner {
        (entry.uid, entry.gid) = (owner.uid, owner.gid);
    }
    place(overlay, entry, None, stamp);
    Ok(())
}

/// In a directory with the setgid bit new objects get its group, new directories the bit as well, as the kernel does it.
fn inherit_group(overlay: &Overlay, entry: &mut Entry) -> Result<(), FileError> {
    let parent = entry.path.parent().unwrap_or_default();
    if let Some(parent) = overlay.lookup(&parent)?.filter(|parent| parent.entry.mode & SETGID != 0) {
        entry.gid = parent.entry.gid;
        if entry.is_dir() {
            entry.mode |= SETGID;
        }
    }
    Ok(())
}

fn place(overlay: &mut Overlay, mut entry: Entry, content: Option<Content>, stamp: Stamp) {
    let (mtime, time) = stamp.mtime();
    entry.mtime = mtime;
    let hides = entry.is_dir();
    let inode = overlay.new_inode();
    overlay.put(Made { entry, content, inode, hides, time });
}

/// WORKDIR and `llb.Mkdir`.
pub(super) fn mkdir(overlay: &mut Overlay, action: &MkDirAction, stamp: Stamp) -> Result<(), FileError> {
    let path = resolve(overlay, &RootedPath::parse_lexical(&action.path)?, LastLink::Follow)?;
    if action.make_parents {
        return make_dirs(overlay, &path, action.mode, stamp);
    }
    if overlay.lookup(&path)?.is_some() {
        return Ok(());
    }
    require_parent(overlay, &path, "mkdir")?;
    make_dir(overlay, &path, action.mode, stamp)
}

/// `llb.Mkfile`: an existing file keeps its mode, and its owner unless the action names one.
pub(super) fn mkfile(overlay: &mut Overlay, action: &MkFileAction, stamp: Stamp) -> Result<(), FileError> {
    let path = resolve(overlay, &RootedPath::parse_lexical(&action.path)?, LastLink::Follow)?;
    let kind = EntryKind::File { size_bytes: action.data.len() as u64 };
    let mut entry = match overlay.lookup(&path)? {
        Some(node) if node.entry.is_dir() => return Err(FileError::IsADirectory { path }),
        Some(node) if node.entry.is_file() => Entry { kind, ..node.entry },
        Some(_) => Entry::new(path.clone(), kind, action.mode & 0o777),
        None => {
            require_parent(overlay, &path, "open")?;
            let mut entry = Entry::new(path.clone(), kind, action.mode & 0o777);
            inherit_group(overlay, &mut entry)?;
            entry
        }
    };
    if let Some(owner) = stamp.owner {
        (entry.uid, entry.gid) = (owner.uid, owner.gid);
    }
    place(overlay, entry, Some(Content::inline(&action.data)), stamp);
    Ok(())
}

/// `llb.Symlink`.
pub(super) fn symlink(overlay: &mut Overlay, action: &SymlinkAction, stamp: Stamp) -> Result<(), FileError> {
    let path = resolve(overlay, &RootedPath::parse_lexical(&action.new_path)?, LastLink::Follow)?;
    if overlay.lookup(&path)?.is_some() {
        return Err(FileError::Exists { target: action.old_path.clone(), path });
    }
    require_parent(overlay, &path, "symlink")?;
    let mut entry = Entry::symlink(path, action.old_path.as_bytes());
    inherit_group(overlay, &mut entry)?;
    if let Some(owner) = stamp.owner {
        (entry.uid, entry.gid) = (owner.uid, owner.gid);
    }
    place(overlay, entry, None, stamp);
    Ok(())
}

/// `llb.Rm`: a symlink as the last component is removed itself.
pub(super) fn rm(overlay: &mut Overlay, action: &RmAction) -> Result<(), FileError> {
    let path = RootedPath::parse_lexical(&action.path)?;
    if !action.allow_wildcard {
        return rm_path(overlay, &path, action.allow_not_found);
    }
    for found in wildcard::expand(overlay, &path)? {
        rm_path(overlay, &found, action.allow_not_found)?;
    }
    Ok(())
}

fn rm_path(overlay: &mut Overlay, path: &RootedPath, allow_not_found: bool) -> Result<(), FileError> {
    let path = resolve(overlay, path, LastLink::Keep)?;
    if path.is_root() {
        return Err(FileError::RemoveRoot { path });
    }
    if !allow_not_found {
        let end = resolve(overlay, &path, LastLink::Follow)?;
        if overlay.lookup(&end)?.is_none() {
            return Err(FileError::Missing { call: "rm", path });
        }
    }
    overlay.remove(&path)
}

fn require_parent(overlay: &Overlay, path: &RootedPath, call: &'static str) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or_default();
    match overlay.lookup(&parent)? {
        Some(node) if node.entry.is_dir() => Ok(()),
        Some(_) => Err(FileError::NotADirectory { call, path: path.clone() }),
        None => Err(FileError::Missing { call, path: path.clone() }),
    }
}
