//! In: the members of a layer in the order of its tar. Out: a `Listing` of what unpacking it in this order would leave. Never: content bytes, except the inline files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use super::{INLINE_PATHS, Listing, ListingEntry, ListingError, SYMLINKS_MAX};
use crate::entry::{Entry, EntryKind};
use crate::path::RootedPath;
use crate::tar::TarEntry;

/// Replays an archive: a later entry replaces an earlier one of the same path, symlinks of the layer itself are followed for the directory part of a
/// name (as unpacking inside the root does), hard links become further names of their target.
#[derive(Default)]
pub struct ListingBuilder {
    entries: BTreeMap<RootedPath, ListingEntry>,
    whiteouts: BTreeSet<RootedPath>,
    opaques: BTreeSet<RootedPath>,
    inline: BTreeMap<RootedPath, Vec<u8>>,
    groups: u32,
    /// Directories known to need no following; cleared when anything but a new name or a directory arrives.
    plain_parents: BTreeSet<Vec<u8>>,
}

impl ListingBuilder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next member, with the sha256 of its bytes and their offset in the tar where known.
    ///
    /// # Errors
    /// `ParentNotDirectory`, `SymlinkLoop`, `HardLinkToDirectory`, `Path`.
    pub fn push(
        &mut self,
        member: TarEntry,
        content: Option<[u8; 32]>,
        data_offset: Option<u64>,
    ) -> Result<(), ListingError> {
        match member {
            TarEntry::Whiteout { path } => {
                let path = self.resolve_parent(path)?;
                self.whiteouts.insert(path);
            }
            TarEntry::Opaque { dir } => {
                let dir = self.resolve(&dir, true)?;
                self.opaques.insert(dir);
            }
            TarEntry::Entry(mut entry) => {
                entry.path = self.resolve_parent(entry.path)?;
                let listed = ListingEntry { entry, content, data_offset, link_group: 0 };
                let listed = self.link(listed)?;
                self.insert(listed);
            }
        }
        Ok(())
    }

    /// Keeps the bytes of one of [`INLINE_PATHS`]; the entry itself is pushed before.
    pub fn keep_inline(&mut self, path: &RootedPath, bytes: Vec<u8>) {
        if self.entries.contains_key(path) {
            self.inline.insert(path.clone(), bytes);
        }
    }

    /// The finished listing.
    pub fn finish(self) -> Listing {
        let mut entries: Vec<ListingEntry> = self.entries.into_values().collect();
        number_groups(&mut entries);
        Listing {
            entries,
            whiteouts: self.whiteouts.into_iter().collect(),
            opaques: self.opaques.into_iter().collect(),
            inline: self.inline.into_iter().collect(),
        }
    }

    /// Turns a hard link into another name of its target, when this layer has that.
    fn link(&mut self, mut listed: ListingEntry) -> Result<ListingEntry, ListingError> {
        let EntryKind::HardLink { target } = &listed.entry.kind else {
            return Ok(listed);
        };
        let target = self.resolve_parent(target.clone())?;
        let Some(object) = self.entries.get_mut(&target) else {
            listed.entry.kind = EntryKind::HardLink { target };
            return Ok(listed);
        };
        if object.entry.is_dir() {
            return Err(ListingError::HardLinkToDirectory { path: listed.entry.path, target });
        }
        if object.link_group == 0 {
            self.groups += 1;
            object.link_group = self.groups;
        }
        let path = listed.entry.path;
        Ok(ListingEntry { entry: Entry { path, ..object.entry.clone() }, ..object.clone() })
    }

    fn insert(&mut self, listed: ListingEntry) {
        let path = listed.entry.path.clone();
        let is_dir = listed.entry.is_dir();
        if !is_dir && !self.plain_parents.is_empty() && self.plain_parents.contains(path.as_bytes()) {
            // What had names beneath it is a directory no more.
            self.plain_parents.clear();
        }
        self.inline.remove(&path);
        let Some(old) = self.entries.insert(path.clone(), listed) else {
            if !is_dir {
                self.drop_beneath(&path);
            }
            return;
        };
        if !(is_dir && old.entry.is_dir()) {
            self.plain_parents.clear();
            self.drop_beneath(&path);
        }
    }

    /// Removes what an object that is no directory took the place of.
    fn drop_beneath(&mut self, path: &RootedPath) {
        let after = (Bound::Excluded(path), Bound::Unbounded);
        let is_beneath =
            |(beneath, _): (&RootedPath, &ListingEntry)| beneath.starts_with(path).then(|| beneath.clone());
        while let Some(beneath) = self.entries.range(after).next().and_then(is_beneath) {
            self.entries.remove(&beneath);
            self.inline.remove(&beneath);
        }
    }

    /// The path with symlinks of this layer followed in all but its last component.
    fn resolve_parent(&mut self, path: RootedPath) -> Result<RootedPath, ListingError> {
        let Some((parent, _)) = path.split() else {
            return Ok(path);
        };
        if parent.is_empty() || self.plain_parents.contains(parent) {
            return Ok(path);
        }
        let parent = parent.to_vec();
        let resolved = self.resolve(&path, false)?;
        if resolved == path {
            self.plain_parents.insert(parent);
        }
        Ok(resolved)
    }

    fn resolve(&self, path: &RootedPath, follow_last: bool) -> Result<RootedPath, ListingError> {
        let mut rest: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut resolved = RootedPath::root();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == b".." {
                resolved = resolved.parent().unwrap_or_default();
                continue;
            }
            let next = resolved.join(&name)?;
            let last = rest.is_empty();
            match self.entries.get(&next).map(|listed| &listed.entry.kind) {
                Some(EntryKind::Symlink { target }) if !last || follow_last => {
                    links += 1;
                    if links > SYMLINKS_MAX {
                        return Err(ListingError::SymlinkLoop { path: path.clone() });
                    }
                    if target.starts_with(b"/") {
                        resolved = RootedPath::root();
                    }
                    let names = target.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
                    rest.extend(names.rev().map(<[u8]>::to_vec));
                }
                Some(EntryKind::Dir) | None => resolved = next,
                Some(_) if last => resolved = next,
                Some(_) => return Err(ListingError::ParentNotDirectory { path: path.clone(), parent: next }),
            }
        }
        Ok(resolved)
    }
}

/// Whether the bytes of this path are kept.
pub(super) fn is_inline(path: &RootedPath) -> bool {
    INLINE_PATHS.iter().any(|inline| path.as_bytes() == inline.as_bytes())
}

/// Numbers groups by their first name and dissolves those of which one name is left.
pub(super) fn number_groups(entries: &mut [ListingEntry]) {
    let mut members: HashMap<u32, u32> = HashMap::new();
    for listed in entries.iter().filter(|listed| listed.link_group != 0) {
        *members.entry(listed.link_group).or_default() += 1;
    }
    if members.is_empty() {
        return;
    }
    let mut numbers: HashMap<u32, u32> = HashMap::new();
    for listed in entries.iter_mut().filter(|listed| listed.link_group != 0) {
        if members.get(&listed.link_group) == Some(&1) {
            listed.link_group = 0;
            continue;
        }
        let next = numbers.len() as u32 + 1;
        listed.link_group = *numbers.entry(listed.link_group).or_insert(next);
    }
}
