//! In: an overlay. Out: the entries of the layer that turns its base into it, and the digest of that recipe. Never: a byte of a file.
//!
//! An entry exists if and only if content or metadata differs from the base, plus the directories above it with the metadata
//! they have (architecture.md, decision 10). What a directory that was replaced no longer shows gets a whiteout of its own.
//!
//! | part of an entry | in the recipe |
//! |---|---|
//! | path, kind, mode, owner, attributes, link target, size, content digest | yes |
//! | time given by the source or the op | yes |
//! | time from the clock, or of a directory that existed | no: the layer made earlier is as good |

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use crossdock_snapshot::tar::WHITEOUT_PREFIX;
use crossdock_snapshot::{Entry, EntryKind, Node, RootedPath, Tree as _};
use sha2::{Digest as _, Sha256};

use super::content::Content;
use super::error::FileError;
use super::overlay::{Made, Overlay, TimeOrigin, Upper};

/// Names the content of a layer before it exists: equal recipes give layers of equal trees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipeDigest([u8; 32]);

impl RecipeDigest {
    /// The 32 raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for RecipeDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for RecipeDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RecipeDigest({self})")
    }
}

/// A layer that is known in every detail, but not written.
#[derive(Debug)]
pub struct LayerPlan {
    /// The input the layer lies upon; none for an empty tree.
    pub base: Option<u32>,
    /// Bytes of files that `write` will copy.
    pub copy_bytes: u64,
    /// The recipe's digest.
    pub recipe: RecipeDigest,
    pub(super) items: Vec<Item>,
}

impl LayerPlan {
    /// Whether the base stays as it is: there is no layer to write.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The number of entries, whiteouts included.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The paths of the layer in order; true for those it deletes.
    pub fn paths(&self) -> impl Iterator<Item = (&RootedPath, bool)> {
        self.items.iter().map(|item| match item {
            Item::Whiteout(path) => (path, true),
            Item::Entry(entry, ..) => (&entry.path, false),
        })
    }
}

/// One member of the layer's tar.
#[derive(Debug)]
pub(super) enum Item {
    Whiteout(RootedPath),
    Entry(Box<Entry>, Option<Content>, TimeOrigin),
}

/// The layer that turns the overlay's base into the overlay.
///
/// # Errors
/// What the base says; `ReservedName`.
pub(super) fn plan_layer(overlay: &Overlay, base: Option<u32>) -> Result<LayerPlan, FileError> {
    let mut items: BTreeMap<RootedPath, Item> = BTreeMap::new();
    let mut names: HashMap<u64, RootedPath> = HashMap::new();
    let linked = changed_links(overlay)?;
    for (path, upper) in overlay.changes() {
        match upper {
            Upper::Removed => _ = items.insert(path.clone(), Item::Whiteout(path.clone())),
            Upper::Made(made) => {
                if made.hides {
                    hide_children(overlay, path, &mut items)?;
                }
                let unchanged = !linked.contains(&made.inode) && is_unchanged(overlay, made)?;
                if !unchanged && !path.is_root() {
                    items.insert(path.clone(), entry_of(made, &mut names));
                }
            }
        }
    }
    add_parents(overlay, &mut items)?;
    let items: Vec<Item> = items.into_values().collect();
    let copy_bytes = items.iter().map(copy_bytes).sum();
    Ok(LayerPlan { base, copy_bytes, recipe: digest(&items), items })
}

/// Hard-linked objects of which at least one name differs from the base: all their names get entries.
fn changed_links(overlay: &Overlay) -> Result<HashSet<u64>, FileError> {
    let mut changed = HashSet::new();
    for made in overlay.linked() {
        if !changed.contains(&made.inode) && !is_unchanged(overlay, made)? {
            changed.insert(made.inode);
        }
    }
    Ok(changed)
}

fn entry_of(made: &Made, names: &mut HashMap<u64, RootedPath>) -> Item {
    let mut entry = made.entry.clone();
    if made.entry.is_dir() {
        return Item::Entry(Box::new(entry), None, made.time);
    }
    if let Some(first) = names.get(&made.inode) {
        entry.kind = EntryKind::HardLink { target: first.clone() };
        return Item::Entry(Box::new(entry), None, made.time);
    }
    names.insert(made.inode, entry.path.clone());
    Item::Entry(Box::new(entry), made.content.clone(), made.time)
}

/// What the base has in a directory that was replaced, and the new one has not.
fn hide_children(overlay: &Overlay, dir: &RootedPath, items: &mut BTreeMap<RootedPath, Item>) -> Result<(), FileError> {
    if !overlay.base().lookup(dir)?.is_some_and(|node| node.entry.is_dir()) {
        return Ok(());
    }
    for child in overlay.base().read_dir(dir)? {
        let path = child.entry.path;
        if overlay.made(&path).is_none() {
            items.insert(path.clone(), Item::Whiteout(path));
        }
    }
    Ok(())
}

/// Whether the base has the same at this path. Times of directories do not count: they follow from what is in them.
fn is_unchanged(overlay: &Overlay, made: &Made) -> Result<bool, FileError> {
    let Some(before) = overlay.base().lookup(&made.entry.path)? else {
        return Ok(false);
    };
    let (old, new) = (&before.entry, &made.entry);
    let same = old.kind == new.kind
        && (old.mode, old.uid, old.gid) == (new.mode, new.uid, new.gid)
        && old.xattrs == new.xattrs
        && (new.is_dir() || old.mtime.whole_seconds() == new.mtime.whole_seconds());
    if !same {
        return Ok(false);
    }
    match &made.content {
        Some(content) => Ok(overlay.base().content(&new.path)? == content.sha256),
        None => Ok(true),
    }
}

/// The directories above every item, with what the overlay says about them.
fn add_parents(overlay: &Overlay, items: &mut BTreeMap<RootedPath, Item>) -> Result<(), FileError> {
    let mut missing: BTreeMap<RootedPath, Item> = BTreeMap::new();
    let mut last_parent = RootedPath::root();
    for path in items.keys() {
        if path.file_name().is_some_and(|name| name.starts_with(WHITEOUT_PREFIX)) {
            return Err(FileError::ReservedName { path: path.clone() });
        }
        let parent = path.parent().unwrap_or_default();
        if parent == last_parent {
            continue;
        }
        for above in path.ancestors().filter(|above| !above.is_root()) {
            if items.contains_key(&above) || missing.contains_key(&above) {
                break;
            }
            let Node { entry, .. } =
                overlay.lookup(&above)?.ok_or_else(|| FileError::Missing { call: "lstat", path: above.clone() })?;
            missing.insert(above, Item::Entry(Box::new(entry), None, TimeOrigin::Implied));
        }
        last_parent = parent;
    }
    items.append(&mut missing);
    Ok(())
}

fn copy_bytes(item: &Item) -> u64 {
    match item {
        Item::Entry(_, Some(content), _) => content.size_bytes,
        _ => 0,
    }
}

fn digest(items: &[Item]) -> RecipeDigest {
    let mut hasher = Sha256::new();
    hasher.update(b"crossdock.layer.v1\0");
    for item in items {
        match item {
            Item::Whiteout(path) => {
                hasher.update(b"w");
                put(&mut hasher, path.as_bytes());
            }
            Item::Entry(entry, content, time) => {
                put_entry(&mut hasher, entry, *time);
                if let Some(content) = content {
                    hasher.update(content.sha256);
                }
            }
        }
    }
    RecipeDigest(hasher.finalize().into())
}

fn put_entry(hasher: &mut Sha256, entry: &Entry, time: TimeOrigin) {
    let (tag, numbers, text): (&[u8], [u64; 2], &[u8]) = match &entry.kind {
        EntryKind::File { size_bytes } => (b"f", [*size_bytes, 0], b""),
        EntryKind::Dir => (b"d", [0, 0], b""),
        EntryKind::Symlink { target } => (b"l", [0, 0], target),
        EntryKind::HardLink { target } => (b"h", [0, 0], target.as_bytes()),
        EntryKind::CharDevice { major, minor } => (b"c", [u64::from(*major), u64::from(*minor)], b""),
        EntryKind::BlockDevice { major, minor } => (b"b", [u64::from(*major), u64::from(*minor)], b""),
        EntryKind::Fifo => (b"p", [0, 0], b""),
    };
    hasher.update(tag);
    put(hasher, entry.path.as_bytes());
    put(hasher, text);
    for number in [numbers[0], numbers[1], u64::from(entry.mode), u64::from(entry.uid), u64::from(entry.gid)] {
        hasher.update(number.to_le_bytes());
    }
    match time {
        TimeOrigin::Given => {
            hasher.update(b"t");
            hasher.update(entry.mtime.seconds.to_le_bytes());
        }
        TimeOrigin::Implied => hasher.update(b"-"),
    }
    hasher.update((entry.xattrs.len() as u64).to_le_bytes());
    for (name, value) in &entry.xattrs {
        put(hasher, name);
        put(hasher, value);
    }
}

fn put(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}
