//! In: the listings of a stack of layers, lowest first. Out: which entry of which layer each path shows. Never: content bytes, a path outside the root.
//!
//! The rules are the ones by which [`crate::apply`] unpacks, so that a listed stack and an unpacked one are the same tree (property test):
//! - whiteouts and opaque marks hide what *lower* layers have, wherever they stand in their own layer;
//! - a directory merges with a directory; anything else replaces what is below, with everything beneath it;
//! - the directory part of a name follows the symlinks of the layers below, unless its own layer has a directory there;
//! - directories that only follow from longer names are 0755 root, the root of the tree always is.
//!
//! A listing does not say in which order its members came. That matters in one case: names that lead through symlinks of lower layers, in a layer that
//! changes symlinks or directories itself. Such a layer is in doubt: an exact merge refuses it ([`TreeError::InDoubt`]), and the caller lists what
//! unpacking makes of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::TreeError;
use super::resolve::SYMLINKS_MAX;
use crate::entry::EntryKind;
use crate::listing::{Listing, ListingEntry, WALK_STEPS_MAX};
use crate::path::RootedPath;

/// Number of a slot.
pub(super) type SlotId = u32;
pub(super) const ROOT: SlotId = 0;

/// What describes an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A directory that no layer describes.
    Implied,
    /// An entry of a layer.
    Listed { layer: u32, index: u32 },
}

#[derive(Debug)]
pub(super) struct Slot {
    origin: Origin,
    pub(super) inode: u64,
    /// By name, for directories.
    pub(super) children: BTreeMap<Box<[u8]>, SlotId>,
}

/// A directory that the directory part of a name leads to.
#[derive(Debug, Clone)]
struct Entered {
    slot: SlotId,
    /// Its path, when symlinks were followed.
    moved: Option<RootedPath>,
}

/// The merged stack.
#[derive(Debug)]
pub(super) struct Merge {
    layers: Vec<Arc<Listing>>,
    slots: Vec<Slot>,
    /// Objects with more than one name.
    link_counts: HashMap<u64, u32>,
    /// Where an unpacked layer has an entry whose directory part met symlinks of lower layers.
    moved: HashMap<SlotId, RootedPath>,
    steps: usize,
    /// What the layer in hand has done so far.
    done: Done,
}

/// What makes the order of a layer's members matter, when both are so.
#[derive(Debug, Default, Clone, Copy)]
struct Done {
    /// A name of it led through a symlink.
    followed: bool,
    /// It makes symlinks, or replaces or removes what may lead elsewhere.
    changed: bool,
}

impl Merge {
    /// Merges layers; with `exact` a layer in doubt is an error.
    pub(super) fn new(layers: Vec<Arc<Listing>>, exact: bool) -> Result<Self, TreeError> {
        let root = Slot { origin: Origin::Implied, inode: 0, children: BTreeMap::new() };
        let entries: usize = layers.iter().map(|layer| layer.entries().len()).sum();
        let mut slots = Vec::with_capacity(entries + 1);
        slots.push(root);
        let mut merge = Self {
            layers: Vec::with_capacity(layers.len()),
            slots,
            link_counts: HashMap::new(),
            moved: HashMap::new(),
            steps: 0,
            done: Done::default(),
        };
        for (number, layer) in layers.into_iter().enumerate() {
            merge.layers.push(Arc::clone(&layer));
            merge.done = Done::default();
            let outcome = merge.layer(number, &layer);
            // What failed on a way through symlinks may be there when the order is right.
            if exact && merge.done.followed && (merge.done.changed || outcome.is_err()) {
                return Err(TreeError::InDoubt { layer: number });
            }
            outcome?;
        }
        merge.count_links();
        Ok(merge)
    }

    fn layer(&mut self, number: usize, layer: &Listing) -> Result<(), TreeError> {
        self.make_way(layer)?;
        self.hide(layer)?;
        self.add(number, layer)
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

    /// Where the unpacked layer has the object, when that is not the path its listing says.
    pub(super) fn moved(&self, id: SlotId) -> Option<&RootedPath> {
        self.moved.get(&id)
    }

    pub(super) fn is_dir(&self, id: SlotId) -> bool {
        self.listed(id).is_none_or(|(_, listed)| listed.entry.is_dir())
    }

    pub(super) fn link_count(&self, inode: u64) -> u32 {
        self.link_counts.get(&inode).copied().unwrap_or(1)
    }

    /// Removes what a directory of this layer replaces, so that names beneath it are not led elsewhere.
    fn make_way(&mut self, layer: &Listing) -> Result<(), TreeError> {
        for listed in layer.entries().iter().filter(|listed| listed.entry.is_dir()) {
            let Some((dir, name)) = listed.entry.path.split() else { continue };
            // Where symlinks lead, the entry itself may replace one of them: it is left to its turn.
            let Some(Entered { slot: parent, moved: None }) = self.enter(dir, &listed.entry.path, false)? else {
                continue;
            };
            let child = self.slot(parent).children.get(name).copied();
            if child.is_some_and(|child| !self.is_dir(child)) {
                self.done.changed = true;
                self.slots[parent as usize].children.remove(name);
            }
        }
        Ok(())
    }

    fn hide(&mut self, layer: &Listing) -> Result<(), TreeError> {
        for path in layer.opaques() {
            if let Some(dir) = self.enter(path.as_bytes(), path, false)? {
                self.done.changed = true;
                self.slots[dir.slot as usize].children.clear();
            }
        }
        for path in layer.whiteouts() {
            let Some((dir, name)) = path.split() else { continue };
            if let Some(parent) = self.enter(dir, path, false)? {
                self.done.changed |= self.slots[parent.slot as usize].children.remove(name).is_some();
            }
        }
        Ok(())
    }

    fn add(&mut self, number: usize, layer: &Listing) -> Result<(), TreeError> {
        let mut groups: HashMap<u32, u64> = HashMap::new();
        let mut copied_up: HashSet<SlotId> = HashSet::new();
        // Entries are sorted: most have the same parent as the one before.
        let mut parent: Option<(&[u8], Entered)> = None;
        for (index, listed) in layer.entries().iter().enumerate() {
            let path = &listed.entry.path;
            let Some((dir, name)) = path.split() else { continue };
            let at = match parent.take() {
                Some((known, at)) if known == dir => at,
                _ => self.enter(dir, path, true)?.unwrap_or(Entered { slot: ROOT, moved: None }),
            };
            if let EntryKind::HardLink { target } = &listed.entry.kind {
                let linked = self.link_across_layers(at.slot, name, target, &mut copied_up)?;
                linked.ok_or_else(|| TreeError::HardLinkTarget {
                    layer: number,
                    path: path.clone(),
                    target: target.clone(),
                })?;
            } else {
                let id = self.put(at.slot, name, origin(number, index), listed.entry.is_dir());
                if listed.link_group != 0 {
                    let inode = self.slots[id as usize].inode;
                    self.slots[id as usize].inode = *groups.entry(listed.link_group).or_insert(inode);
                }
                if let Some(moved) = &at.moved {
                    self.moved.insert(id, moved.child(name));
                }
            }
            parent = Some((dir, at));
        }
        Ok(())
    }

    /// The directory at `path`, symlinks followed. With `make`, what is missing or no directory on the way becomes one.
    fn enter(&mut self, path: &[u8], entry: &RootedPath, make: bool) -> Result<Option<Entered>, TreeError> {
        let mut at = ROOT;
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            at = match self.slot(at).children.get(name).copied() {
                Some(id) if self.is_dir(id) => id,
                Some(id) if self.link_target(id).is_some() => return self.follow(path, entry, make),
                _ if make => self.put(at, name, Origin::Implied, true),
                _ => return Ok(None),
            };
        }
        Ok(Some(Entered { slot: at, moved: None }))
    }

    /// The slow way of `enter`, taken when there is a symlink.
    fn follow(&mut self, path: &[u8], entry: &RootedPath, make: bool) -> Result<Option<Entered>, TreeError> {
        let mut rest: Vec<Vec<u8>> = path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut trail: Vec<(SlotId, Vec<u8>)> = Vec::new();
        let mut links = 0;
        self.done.followed = true;
        while let Some(name) = rest.pop() {
            self.steps += 1;
            if self.steps > WALK_STEPS_MAX {
                let what = "components of names behind symlinks";
                return Err(TreeError::Limit { path: entry.clone(), what, limit: WALK_STEPS_MAX });
            }
            if name == b".." {
                trail.pop();
                continue;
            }
            let at = trail.last().map_or(ROOT, |(id, _)| *id);
            let child = self.slot(at).children.get(name.as_slice()).copied();
            if let Some(target) = child.and_then(|id| self.link_target(id)) {
                links += 1;
                if links > SYMLINKS_MAX {
                    let through = RootedPath::parse(names(&trail))?.join(&name)?;
                    return Err(TreeError::SymlinkLoop { path: entry.clone(), through, limit: SYMLINKS_MAX });
                }
                if target.starts_with(b"/") {
                    trail.clear();
                }
                let names = target.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
                rest.extend(names.rev().map(<[u8]>::to_vec));
                continue;
            }
            let id = match child {
                Some(id) if self.is_dir(id) => id,
                _ if make => self.put(at, &name, Origin::Implied, true),
                _ => return Ok(None),
            };
            trail.push((id, name));
        }
        let slot = trail.last().map_or(ROOT, |(id, _)| *id);
        Ok(Some(Entered { slot, moved: Some(RootedPath::parse(names(&trail))?) }))
    }

    fn link_target(&self, id: SlotId) -> Option<&[u8]> {
        self.listed(id).and_then(|(_, listed)| listed.entry.symlink_target())
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
        let leads = |id: SlotId| self.is_dir(id) || self.link_target(id).is_some();
        self.done.changed |= self.link_target(id).is_some() || old.is_some_and(|old| leads(old) || leads(id));
        id
    }

    /// Another name for a file of a lower layer. Unpacking copies that file up: it parts from its names in lower layers.
    fn link_across_layers(
        &mut self,
        parent: SlotId,
        name: &[u8],
        target: &RootedPath,
        copied_up: &mut HashSet<SlotId>,
    ) -> Result<Option<()>, TreeError> {
        let Some((dir, target_name)) = target.split() else { return Ok(None) };
        let Some(dir) = self.enter(dir, target, false)? else { return Ok(None) };
        let found = self.slot(dir.slot).children.get(target_name).copied();
        let Some(found) = found.filter(|id| !self.is_dir(*id)) else { return Ok(None) };
        if copied_up.insert(found) {
            self.slots[found as usize].inode = self.slots.len() as u64;
        }
        let (origin, inode) = (self.slot(found).origin, self.slot(found).inode);
        let id = self.put(parent, name, origin, false);
        copied_up.insert(id);
        self.slots[id as usize].inode = inode;
        if let Some(moved) = self.moved.get(&found).cloned() {
            self.moved.insert(id, moved);
        }
        Ok(Some(()))
    }

    fn count_links(&mut self) {
        let mut pending = vec![ROOT];
        let mut first_names = HashSet::new();
        while let Some(id) = pending.pop() {
            let slot = &self.slots[id as usize];
            pending.extend(slot.children.values());
            if !first_names.insert(slot.inode) {
                *self.link_counts.entry(slot.inode).or_insert(1) += 1;
            }
        }
    }
}

fn names(trail: &[(SlotId, Vec<u8>)]) -> Vec<u8> {
    trail.iter().map(|(_, name)| name.as_slice()).collect::<Vec<_>>().join(&b'/')
}

/// Both numbers fit: `ENTRIES_MAX` bounds the index, memory the layers.
fn origin(layer: usize, index: usize) -> Origin {
    Origin::Listed { layer: layer as u32, index: index as u32 }
}
