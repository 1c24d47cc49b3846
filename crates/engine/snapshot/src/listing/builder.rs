//! In: the members of a layer in the order of its tar. Out: a `Listing` of what unpacking it in this order would leave. Never: content bytes, except the
//! inline files; time or memory that a hostile order of names could drive up.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{INLINE_PATHS, Listing, ListingEntry, ListingError, METADATA_BYTES_MAX, SYMLINKS_MAX, WALK_STEPS_MAX};
use crate::entry::{Entry, EntryKind};
use crate::path::RootedPath;
use crate::tar::TarEntry;

/// Replays an archive: a later entry replaces an earlier one of the same path, symlinks of the layer itself are followed for the directory part of a
/// name (as unpacking inside the root does), hard links become further names of their target.
pub struct ListingBuilder {
    /// The names as a tree, so that a name costs its length, however many others there are. The first is the root.
    slots: Vec<Slot>,
    whiteouts: BTreeSet<RootedPath>,
    opaques: BTreeSet<RootedPath>,
    inline: BTreeMap<RootedPath, Vec<u8>>,
    groups: u32,
    metadata_bytes: usize,
    steps: usize,
}

/// A name. Without an entry it is a directory that only follows from longer names.
#[derive(Default)]
struct Slot {
    entry: Option<ListingEntry>,
    children: BTreeMap<Box<[u8]>, usize>,
}

const ROOT: usize = 0;

impl Default for ListingBuilder {
    fn default() -> Self {
        Self {
            slots: vec![Slot::default()],
            whiteouts: BTreeSet::new(),
            opaques: BTreeSet::new(),
            inline: BTreeMap::new(),
            groups: 0,
            metadata_bytes: 0,
            steps: 0,
        }
    }
}

impl ListingBuilder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next member, with the sha256 of its bytes and their offset in the tar where known.
    ///
    /// # Errors
    /// `ParentNotDirectory`, `SymlinkLoop`, `HardLinkToDirectory`, `Path`, `Limit`.
    pub fn push(
        &mut self,
        member: TarEntry,
        content: Option<[u8; 32]>,
        data_offset: Option<u64>,
    ) -> Result<(), ListingError> {
        self.account(&member)?;
        match member {
            TarEntry::Whiteout { path } => self.hide(path, false)?,
            TarEntry::Opaque { dir } => self.hide(dir, true)?,
            TarEntry::Entry(mut entry) => {
                entry.path = self.resolve(entry.path, false)?;
                let listed = ListingEntry { entry, content, data_offset, link_group: 0 };
                let listed = self.link(listed)?;
                self.insert(listed);
            }
        }
        Ok(())
    }

    /// Keeps the bytes of one of [`INLINE_PATHS`]; the entry itself is pushed before.
    pub fn keep_inline(&mut self, path: &RootedPath, bytes: Vec<u8>) {
        self.inline.insert(path.clone(), bytes);
    }

    /// The finished listing.
    pub fn finish(mut self) -> Listing {
        let is_file = |path: &RootedPath| self.find(path).is_some_and(|listed| listed.entry.is_file());
        let inline: Vec<_> =
            self.inline.iter().filter(|(path, _)| is_file(path)).map(|(path, _)| path.clone()).collect();
        let mut entries = Vec::with_capacity(self.slots.len());
        let mut pending = vec![ROOT];
        while let Some(id) = pending.pop() {
            let slot = std::mem::take(&mut self.slots[id]);
            entries.extend(slot.entry);
            pending.extend(slot.children.into_values().rev());
        }
        number_groups(&mut entries);
        Listing {
            entries,
            whiteouts: self.whiteouts.into_iter().collect(),
            opaques: self.opaques.into_iter().collect(),
            inline: inline.into_iter().filter_map(|path| self.inline.remove_entry(&path)).collect(),
        }
    }

    fn hide(&mut self, path: RootedPath, opaque: bool) -> Result<(), ListingError> {
        let resolved = match self.resolve(path, opaque) {
            // Beneath what is no directory there is nothing to hide.
            Err(ListingError::ParentNotDirectory { .. }) => return Ok(()),
            Err(error) => return Err(error),
            Ok(resolved) => resolved,
        };
        if opaque {
            self.opaques.insert(resolved)
        } else {
            self.whiteouts.insert(resolved)
        };
        Ok(())
    }

    fn account(&mut self, member: &TarEntry) -> Result<(), ListingError> {
        let bytes = match member {
            TarEntry::Whiteout { path } | TarEntry::Opaque { dir: path } => path.as_bytes().len(),
            TarEntry::Entry(entry) => {
                let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
                entry.path.as_bytes().len() + entry.symlink_target().map_or(0, <[u8]>::len) + xattrs
            }
        };
        self.metadata_bytes = self.metadata_bytes.saturating_add(bytes);
        if self.metadata_bytes > METADATA_BYTES_MAX {
            return Err(ListingError::Limit { what: "total size of names and attributes", limit: METADATA_BYTES_MAX });
        }
        Ok(())
    }

    /// Turns a hard link into another name of its target, when this layer has that.
    fn link(&mut self, mut listed: ListingEntry) -> Result<ListingEntry, ListingError> {
        let EntryKind::HardLink { target } = &listed.entry.kind else {
            return Ok(listed);
        };
        let target = self.resolve(target.clone(), false)?;
        let next_group = self.groups + 1;
        let object = match self.find_slot(&target).and_then(|id| self.slots[id].entry.as_mut()) {
            Some(object) if object.entry.is_dir() => {
                return Err(ListingError::HardLinkToDirectory { path: listed.entry.path, target });
            }
            Some(object) => object,
            None => {
                listed.entry.kind = EntryKind::HardLink { target };
                return Ok(listed);
            }
        };
        if object.link_group == 0 {
            object.link_group = next_group;
            self.groups = next_group;
        }
        let path = listed.entry.path;
        Ok(ListingEntry { entry: Entry { path, ..object.entry.clone() }, ..object.clone() })
    }

    /// Puts an entry at its resolved path.
    fn insert(&mut self, listed: ListingEntry) {
        if is_inline(&listed.entry.path) {
            self.inline.remove(&listed.entry.path);
        }
        let mut at = ROOT;
        for name in listed.entry.path.components() {
            at = match self.slots[at].children.get(name) {
                Some(&child) => child,
                None => {
                    self.slots.push(Slot::default());
                    let child = self.slots.len() - 1;
                    self.slots[at].children.insert(name.into(), child);
                    child
                }
            };
        }
        let slot = &mut self.slots[at];
        if !listed.entry.is_dir() {
            slot.children.clear();
        }
        slot.entry = Some(listed);
    }

    fn find_slot(&self, path: &RootedPath) -> Option<usize> {
        path.components().try_fold(ROOT, |at, name| self.slots[at].children.get(name).copied())
    }

    pub(crate) fn find(&self, path: &RootedPath) -> Option<&ListingEntry> {
        self.slots[self.find_slot(path)?].entry.as_ref()
    }

    /// The path with symlinks of this layer followed, in the last component only if asked.
    fn resolve(&mut self, path: RootedPath, follow_last: bool) -> Result<RootedPath, ListingError> {
        if self.meets_symlink(&path, follow_last)? { self.follow(&path, follow_last) } else { Ok(path) }
    }

    fn meets_symlink(&self, path: &RootedPath, follow_last: bool) -> Result<bool, ListingError> {
        let mut at = ROOT;
        let mut components = path.components().peekable();
        while let Some(name) = components.next() {
            let Some(&child) = self.slots[at].children.get(name) else {
                return Ok(false);
            };
            let last = components.peek().is_none();
            match &self.slots[child].entry {
                Some(ListingEntry { entry: Entry { kind: EntryKind::Symlink { .. }, .. }, .. }) => {
                    return Ok(follow_last || !last);
                }
                Some(listed) if !listed.entry.is_dir() && !last => {
                    let parent = listed.entry.path.clone();
                    return Err(ListingError::ParentNotDirectory { path: path.clone(), parent });
                }
                _ => at = child,
            }
        }
        Ok(false)
    }

    /// The slow way of `resolve`, taken when there is a symlink.
    fn follow(&mut self, path: &RootedPath, follow_last: bool) -> Result<RootedPath, ListingError> {
        let mut rest: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        // The components so far with their slots; none once they do not exist.
        let mut trail: Vec<(Vec<u8>, Option<usize>)> = Vec::new();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            self.steps += 1;
            if self.steps > WALK_STEPS_MAX {
                return Err(ListingError::Limit { what: "components of names behind symlinks", limit: WALK_STEPS_MAX });
            }
            if name == b".." {
                trail.pop();
                continue;
            }
            let at = trail.last().map_or(Some(ROOT), |(_, slot)| *slot);
            let child = at.and_then(|at| self.slots[at].children.get(name.as_slice()).copied());
            match child.and_then(|child| self.slots[child].entry.as_ref()) {
                Some(ListingEntry { entry: Entry { kind: EntryKind::Symlink { target }, .. }, .. })
                    if follow_last || !rest.is_empty() =>
                {
                    links += 1;
                    if links > SYMLINKS_MAX {
                        return Err(ListingError::SymlinkLoop { path: path.clone() });
                    }
                    if target.starts_with(b"/") {
                        trail.clear();
                    }
                    let names = target.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
                    rest.extend(names.rev().map(<[u8]>::to_vec));
                }
                Some(listed) if !listed.entry.is_dir() && !rest.is_empty() => {
                    let parent = listed.entry.path.clone();
                    return Err(ListingError::ParentNotDirectory { path: path.clone(), parent });
                }
                _ => trail.push((name, child)),
            }
        }
        let names: Vec<Vec<u8>> = trail.into_iter().map(|(name, _)| name).collect();
        Ok(RootedPath::parse(names.join(&b'/'))?)
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
