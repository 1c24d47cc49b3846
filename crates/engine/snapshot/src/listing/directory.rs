//! In: an unpacked layer on this machine: an overlay diff directory, or a plain tree. Out: its listing. Never: a followed symlink, a write, a changed access time
//! where the kernel lets us avoid it.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use crossdock_oci::Hasher;

use super::builder::{is_inline, number_groups};
use super::{INLINE_BYTES_MAX, Listing, ListingEntry, ListingError};
use crate::disk::{self, Format, Object};
use crate::entry::Entry;
use crate::path::{RootedPath, lossy};

/// How to list a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryOptions {
    /// How whiteouts and opaque directories are written down.
    pub format: Format,
    /// Read every file for its sha256; without it `content` stays unknown and a tree asks for the bytes when it needs them.
    pub contents: bool,
    /// List the root directory itself (its mode, owner and attributes).
    pub root_entry: bool,
}

/// Lists a diff directory. Sockets are left out, as in layers. Files must not change meanwhile.
///
/// # Errors
/// `Directory`.
pub fn from_dir(dir: &Path, options: DirectoryOptions) -> Result<Listing, ListingError> {
    let failed = |path: &RootedPath, source| ListingError::Directory { path: path.below(dir), source };
    let root = disk::open_root(dir).map_err(|source| failed(&RootedPath::root(), source))?;
    let mut walk = Walked { root: root.as_fd(), options, listing: Listing::default(), groups: HashMap::new() };
    if options.root_entry {
        walk.root_entry().map_err(|source| failed(&RootedPath::root(), source))?;
    }
    // Explicit, not recursive: a step of a build can make directories deeper than our stack.
    let mut pending = vec![RootedPath::root()];
    while let Some(parent) = pending.pop() {
        walk.directory(&parent, &mut pending).map_err(|(path, source)| failed(&path, source))?;
    }
    let mut listing = walk.listing;
    listing.entries.sort_unstable_by(|a, b| a.entry.path.cmp(&b.entry.path));
    listing.whiteouts.sort_unstable();
    listing.opaques.sort_unstable();
    listing.inline.sort_unstable();
    number_groups(&mut listing.entries);
    Ok(listing)
}

/// Number of the group and the sha256 of the file, if read.
type Group = (u32, Option<[u8; 32]>);

struct Walked<'a> {
    root: BorrowedFd<'a>,
    options: DirectoryOptions,
    listing: Listing,
    /// Names of one inode, with what was read of it at its first name.
    groups: HashMap<(u64, u64), Group>,
}

impl Walked<'_> {
    fn root_entry(&mut self) -> io::Result<()> {
        let object = disk::stat_fd(self.root)?;
        let xattrs = disk::layer_xattrs(self.root, b"")?;
        self.list(entry_of(RootedPath::root(), &object, crate::entry::EntryKind::Dir, xattrs), None, 0);
        Ok(())
    }

    fn directory(&mut self, parent: &RootedPath, pending: &mut Vec<RootedPath>) -> Result<(), (RootedPath, io::Error)> {
        let in_parent = |source| (parent.clone(), source);
        let fd = disk::open_dir(self.root, parent.as_bytes()).map_err(in_parent)?;
        for name in disk::names(fd.as_fd()).map_err(in_parent)? {
            let path = disk::child(parent, &name);
            let Some(object) = disk::stat(fd.as_fd(), &name).map_err(in_parent)? else { continue };
            if object.is_dir() {
                pending.push(path.clone());
            }
            self.name(fd.as_fd(), &name, path.clone(), &object).map_err(|source| (path, source))?;
        }
        Ok(())
    }

    fn name(&mut self, dir: BorrowedFd<'_>, name: &[u8], path: RootedPath, object: &Object) -> io::Result<()> {
        if self.options.format.opaque_name().is_some() && object.is_whiteout() {
            self.listing.whiteouts.push(path);
            return Ok(());
        }
        let target =
            if matches!(object.kind, disk::ObjectKind::Symlink) { disk::link_text(dir, name)? } else { Vec::new() };
        let Some(kind) = object.entry_kind(target) else {
            return Ok(());
        };
        if let (true, Some(attribute)) = (object.is_dir(), self.options.format.opaque_name())
            && disk::xattr(dir, name, attribute)?.as_deref() == Some(b"y")
        {
            self.listing.opaques.push(path.clone());
        }
        let entry = entry_of(path, object, kind, disk::layer_xattrs(dir, name)?);
        let (group, known) = self.group(object);
        let content = match known {
            Some(content) => Some(content),
            None => self.read(dir, name, &entry)?,
        };
        if group != 0 {
            self.groups.insert(object.identity, (group, content));
        }
        self.list(entry, content, group);
        Ok(())
    }

    fn group(&self, object: &Object) -> Group {
        if !object.is_hard_linked() {
            return (0, None);
        }
        let next = u32::try_from(self.groups.len() + 1).unwrap_or(u32::MAX);
        self.groups.get(&object.identity).copied().unwrap_or((next, None))
    }

    /// The sha256 if asked for; keeps the bytes of inline files in any case.
    fn read(&mut self, dir: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> io::Result<Option<[u8; 32]>> {
        let inline = is_inline(&entry.path) && entry.size_bytes() <= INLINE_BYTES_MAX;
        if !entry.is_file() || !(self.options.contents || inline) {
            return Ok(None);
        }
        let mut file = disk::open_file(dir, name)?;
        let mut hasher = Hasher::new();
        let mut kept = Vec::new();
        let mut buffer = vec![0; (entry.size_bytes() + 1).min(128 << 10) as usize];
        let mut got = 0_u64;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            got += count as u64;
            hasher.update(&buffer[..count]);
            if inline && got <= INLINE_BYTES_MAX {
                kept.extend_from_slice(&buffer[..count]);
            }
        }
        if got != entry.size_bytes() {
            return Err(io::Error::other(format!("{} changed while it was read", lossy(name))));
        }
        if inline {
            self.listing.inline.push((entry.path.clone(), kept));
        }
        Ok(Some(hasher.finish_raw()))
    }

    fn list(&mut self, entry: Entry, content: Option<[u8; 32]>, link_group: u32) {
        self.listing.entries.push(ListingEntry { entry, content, data_offset: None, link_group });
    }
}

fn entry_of(path: RootedPath, object: &Object, kind: crate::entry::EntryKind, xattrs: crate::entry::Xattrs) -> Entry {
    Entry { path, kind, mode: object.mode, uid: object.uid, gid: object.gid, mtime: object.mtime, xattrs }
}
