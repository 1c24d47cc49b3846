//! In: the listings of a stack of layers, lowest first. Out: which entry of which layer each path shows. Never: content bytes, a followed symlink.
//!
//! The rules are overlayfs's and the image specification's: whiteouts and opaque marks hide what *lower* layers have, wherever they stand in their own
//! layer; a directory merges with a directory; anything else replaces what is below, with everything beneath it. A name whose parent is not a directory
//! below makes a new directory in its place.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::TreeError;
use crate::entry::EntryKind;
use crate::listing::{Listing, ListingEntry};
use crate::path::RootedPath;

/// Number of a slot.
pub(super) type SlotId = u32;
pub(super) const ROOT: SlotId = 0;

/// What describes an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A directory that no layer describes.
    Implied,
    /// An entry of a layer.
    Listed { layer: u32, index: u32 },
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) origin: Origin,
    pub(super) inode: u64,
    /// By name, for directories.
    pub(super) children: BTreeMap<Box<[u8]>, SlotId>,
}

/// The merged stack.
#[derive(Debug)]
pub(super) struct Merge {
    layers: Vec<Arc<Listing>>,
    slots: Vec<Slot>,
    /// Objects with more than one name.
    link_counts: HashMap<u64, u32>,
}

impl Merge {
    pub(super) fn new(layers: Vec<Arc<Listing>>) -> Result<Self, TreeError> {
        let root = Slot { origin: Origin::Implied, inode: 0, children: BTreeMap::new() };
        let entries: usize = layers.iter().map(|layer| layer.entries().len()).sum();
        let mut slots = Vec::with_capacity(entries + 1);
        slots.push(root);
        let mut merge = Self { layers: Vec::with_capacity(layers.len()), slots, link_counts: HashMap::new() };
        for (number, layer) in layers.into_iter().enumerate() {
            merge.layers.push(Arc::clone(&layer));
            merge.add(number, &layer)?;
        }
        merge.count_links();
        Ok(merge)
    }

    pub(super) fn layers(&self) -> &[Arc<Listing>] {
        &self.layers
    }

    pub(super) fn slot(&self, id: SlotId) -> &Slot {
        &self.slots[id as usize]
    }

    pub(super) fn find(&self, path: &RootedPath) -> Option<SlotId> {
        path.components().try_fold(ROOT, |at, name| self.slot(at).children.get(name).copied())
    }

    /// The entry of a slot; none for a directory that only follows from longer names.
    pub(super) fn listed(&self, id: SlotId) -> Option<(usize, &ListingEntry)> {
        match self.slot(id).origin {
            Origin::Implied => None,
            Origin::Listed { layer, index } => {
                let listed = self.layers.get(layer as usize)?.entries().get(index as usize)?;
                Some((layer as usize, listed))
            }
        }
    }

    pub(super) fn is_dir(&self, id: SlotId) -> bool {
        self.listed(id).is_none_or(|(_, listed)| listed.entry.is_dir())
    }

    pub(super) fn link_count(&self, inode: u64) -> u32 {
        self.link_counts.get(&inode).copied().unwrap_or(1)
    }

    fn add(&mut self, number: usize, layer: &Listing) -> Result<(), TreeError> {
        for dir in layer.opaques() {
            if let Some(id) = self.find(dir) {
                self.slots[id as usize].children.clear();
            }
        }
        for hidden in layer.whiteouts() {
            self.remove(hidden);
        }
        let mut groups: HashMap<u32, u64> = HashMap::new();
        // Entries are sorted: most have the same parent as the one before.
        let mut parent: Option<(&[u8], SlotId)> = None;
        for (index, listed) in layer.entries().iter().enumerate() {
            let Some((dir, name)) = listed.entry.path.split() else {
                self.slots[ROOT as usize].origin = origin(number, index);
                continue;
            };
            let at = match parent {
                Some((known, id)) if known == dir => id,
                _ => self.make_dirs(dir),
            };
            parent = Some((dir, at));
            if let EntryKind::HardLink { target } = &listed.entry.kind {
                self.link_across_layers(at, name, target).ok_or_else(|| TreeError::HardLinkTarget {
                    layer: number,
                    path: listed.entry.path.clone(),
                    target: target.clone(),
                })?;
                continue;
            }
            let id = self.put(at, name, origin(number, index), listed.entry.is_dir());
            if listed.link_group != 0 {
                let inode = self.slots[id as usize].inode;
                self.slots[id as usize].inode = *groups.entry(listed.link_group).or_insert(inode);
            }
        }
        Ok(())
    }

    fn remove(&mut self, path: &RootedPath) {
        let Some((dir, name)) = path.split() else {
            self.slots[ROOT as usize].children.clear();
            return;
        };
        let parent = RootedPath::new_unchecked(dir.to_vec());
        if let Some(id) = self.find(&parent) {
            self.slots[id as usize].children.remove(name);
        }
    }

    /// The directory at `path`; what is missing or no directory on the way becomes one.
    fn make_dirs(&mut self, path: &[u8]) -> SlotId {
        let mut at = ROOT;
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            at = match self.slot(at).children.get(name) {
                Some(&id) if self.is_dir(id) => id,
                _ => self.put(at, name, Origin::Implied, true),
            };
        }
        at
    }

    /// Puts an object under a name. A directory over a directory keeps its children.
    fn put(&mut self, parent: SlotId, name: &[u8], origin: Origin, is_dir: bool) -> SlotId {
        let old = self.slot(parent).children.get(name).copied();
        if let Some(id) = old.filter(|id| is_dir && self.is_dir(*id)) {
            self.slots[id as usize].origin = origin;
            return id;
        }
        let id = self.slots.len() as SlotId;
        self.slots.push(Slot { origin, inode: u64::from(id), children: BTreeMap::new() });
        self.slots[parent as usize].children.insert(name.into(), id);
        id
    }

    fn link_across_layers(&mut self, parent: SlotId, name: &[u8], target: &RootedPath) -> Option<()> {
        let found = self.find(target).filter(|id| !self.is_dir(*id))?;
        let (origin, inode) = (self.slot(found).origin, self.slot(found).inode);
        let id = self.put(parent, name, origin, false);
        self.slots[id as usize].inode = inode;
        Some(())
    }

    fn count_links(&mut self) {
        let mut pending = vec![ROOT];
        let mut first_names = std::collections::HashSet::new();
        while let Some(id) = pending.pop() {
            let slot = &self.slots[id as usize];
            pending.extend(slot.children.values());
            if !first_names.insert(slot.inode) {
                *self.link_counts.entry(slot.inode).or_insert(1) += 1;
            }
        }
    }
}

/// Both numbers fit: `ENTRIES_MAX` bounds the index, memory the layers.
fn origin(layer: usize, index: usize) -> Origin {
    Origin::Listed { layer: layer as u32, index: index as u32 }
}
