//! In: a base tree and changes to it. Out: the changed tree, again as a `Tree`. Never: a byte of a file, a path out of the root, a change of the base.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::ops::Bound;
use std::sync::Arc;

use crossdock_snapshot::{Entry, Node, RootedPath, Tree, TreeError};

use super::content::Content;
use super::error::FileError;

/// Inode numbers given here begin with this bit, so that they never meet one of the base.
const OWN_INODE: u64 = 1 << 63;

/// Where a time of modification comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeOrigin {
    /// The source or the op says it: part of the recipe.
    Given,
    /// The clock, or the directory as it was: not part of the recipe.
    Implied,
}

/// An object that differs from the base.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub entry: Entry,
    /// Of regular files.
    pub content: Option<Content>,
    /// Names with one inode are hard links of each other.
    pub inode: u64,
    /// A directory that shows nothing of the base's directory of the same name.
    pub hides: bool,
    pub time: TimeOrigin,
}

#[derive(Debug, Clone)]
pub(super) enum Upper {
    Removed,
    Made(Box<Made>),
}

/// A base with an in-memory layer of changes on top.
#[derive(Clone)]
pub(super) struct Overlay {
    base: Arc<dyn Tree>,
    upper: BTreeMap<RootedPath, Upper>,
    /// Names that were linked to each other; checked against `upper` when used.
    links: HashMap<u64, Vec<RootedPath>>,
    next_inode: u64,
}

impl Overlay {
    /// No changes yet.
    pub fn new(base: Arc<dyn Tree>) -> Self {
        Self { base, upper: BTreeMap::new(), links: HashMap::new(), next_inode: OWN_INODE }
    }

    /// What lies below.
    pub fn base(&self) -> &Arc<dyn Tree> {
        &self.base
    }

    /// All changes, in path order.
    pub fn changes(&self) -> impl Iterator<Item = (&RootedPath, &Upper)> {
        self.upper.iter()
    }

    /// The change at a path, if there is one.
    pub fn made(&self, path: &RootedPath) -> Option<&Made> {
        match self.upper.get(path) {
            Some(Upper::Made(made)) => Some(made),
            _ => None,
        }
    }

    /// The names that are hard links of others.
    pub fn linked(&self) -> impl Iterator<Item = &Made> {
        let names = self.links.iter().flat_map(|(inode, names)| names.iter().map(move |name| (inode, name)));
        names.filter_map(|(inode, name)| self.made(name).filter(|made| made.inode == *inode))
    }

    /// A number no other object has.
    pub fn new_inode(&mut self) -> u64 {
        self.next_inode += 1;
        self.next_inode
    }

    /// Puts an object at its path. What was there must be gone, or be of no kind that has children.
    pub fn put(&mut self, made: Made) {
        self.upper.insert(made.entry.path.clone(), Upper::Made(Box::new(made)));
    }

    /// A new name for the object `name`; `entry` is its metadata from now on, for every name.
    pub fn link(&mut self, name: &RootedPath, entry: &Entry, time: TimeOrigin) -> Result<(), FileError> {
        let first = self.copy_up(name)?;
        let (inode, content) = (first.inode, first.content.clone());
        let same = Entry { path: name.clone(), ..entry.clone() } == first.entry && first.time == time;
        self.links.entry(inode).or_insert_with(|| vec![name.clone()]).push(entry.path.clone());
        self.put(Made { entry: entry.clone(), content, inode, hides: false, time });
        if !same {
            self.describe_all(inode, entry, time);
        }
        Ok(())
    }

    /// The object at a path, in the upper layer, so that it can be changed. The path must exist.
    pub fn copy_up(&mut self, path: &RootedPath) -> Result<&mut Made, FileError> {
        if self.made(path).is_none() {
            let node = self.lookup(path)?.ok_or_else(|| TreeError::not_found(path))?;
            let size_bytes = node.entry.size_bytes();
            let content = node.entry.is_file().then(|| Content::of_tree(&self.base, path, size_bytes)).transpose()?;
            let inode = self.new_inode();
            self.put(Made { entry: node.entry, content, inode, hides: false, time: TimeOrigin::Implied });
        }
        match self.upper.get_mut(path) {
            Some(Upper::Made(made)) => Ok(made),
            _ => Err(TreeError::not_found(path).into()),
        }
    }

    /// Removes a path with everything beneath it.
    pub fn remove(&mut self, path: &RootedPath) -> Result<(), FileError> {
        let beneath: Vec<RootedPath> = self.beneath(path).map(|(path, _)| path.clone()).collect();
        for gone in beneath {
            self.upper.remove(&gone);
        }
        self.upper.remove(path);
        if self.base_shows(path) && self.base.lookup(path)?.is_some() {
            self.upper.insert(path.clone(), Upper::Removed);
        }
        Ok(())
    }

    /// The bytes of a regular file.
    pub fn content_of(&self, path: &RootedPath) -> Result<Content, TreeError> {
        let node = self.lookup(path)?.ok_or_else(|| TreeError::not_found(path))?;
        if !node.entry.is_file() {
            return Err(TreeError::NotAFile { path: path.clone() });
        }
        if let Some(content) = self.made(path).and_then(|made| made.content.clone()) {
            return Ok(content);
        }
        Content::of_tree(&self.base, path, node.entry.size_bytes())
    }

    /// Whether the base decides what is at `path`, when the upper layer itself says nothing about it.
    fn base_shows(&self, path: &RootedPath) -> bool {
        match self.nearest_above(path) {
            None => true,
            Some(Upper::Removed) => false,
            Some(Upper::Made(made)) => made.entry.is_dir() && !made.hides,
        }
    }

    /// The change at the nearest directory above `path` that has one.
    ///
    /// In path order everything between a directory and a path beneath it lies beneath the directory as well, so each step
    /// goes to the last change before, and from there to what it has in common with `path`: no look at every ancestor.
    fn nearest_above(&self, path: &RootedPath) -> Option<&Upper> {
        let (found, upper) = self.upper.range(..path).next_back()?;
        if path.starts_with(found) {
            return Some(upper);
        }
        let mut common = common_dir(found, path);
        loop {
            let (found, upper) = self.upper.range(..=&common).next_back()?;
            if path.starts_with(found) {
                return Some(upper);
            }
            common = common_dir(found, path);
        }
    }

    fn beneath(&self, dir: &RootedPath) -> impl Iterator<Item = (&RootedPath, &Upper)> {
        let above = dir.clone();
        self.upper
            .range((Bound::Excluded(dir.clone()), Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(&above))
    }

    /// Gives all names of one object the metadata of `entry`.
    fn describe_all(&mut self, inode: u64, entry: &Entry, time: TimeOrigin) {
        let names = self.links.get(&inode).map_or(&[][..], Vec::as_slice);
        for name in names {
            match self.upper.get_mut(name) {
                Some(Upper::Made(made)) if made.inode == inode => {
                    made.entry = Entry { path: name.clone(), ..entry.clone() };
                    made.time = time;
                }
                _ => {}
            }
        }
    }

    fn node(&self, made: &Made) -> Node {
        let names = self.links.get(&made.inode).map_or(1, Vec::len);
        Node { entry: made.entry.clone(), inode: made.inode, link_count: u32::try_from(names).unwrap_or(u32::MAX) }
    }
}

/// The deepest directory that both paths lie in.
fn common_dir(left: &RootedPath, right: &RootedPath) -> RootedPath {
    let shared = left.components().zip(right.components()).take_while(|(a, b)| a == b);
    let names: Vec<&[u8]> = shared.map(|(name, _)| name).collect();
    RootedPath::parse(names.join(&b'/')).unwrap_or_default()
}

impl Tree for Overlay {
    fn lookup(&self, path: &RootedPath) -> Result<Option<Node>, TreeError> {
        match self.upper.get(path) {
            Some(Upper::Removed) => Ok(None),
            Some(Upper::Made(made)) => Ok(Some(self.node(made))),
            None if self.base_shows(path) => self.base.lookup(path),
            None => Ok(None),
        }
    }

    fn read_dir(&self, path: &RootedPath) -> Result<Vec<Node>, TreeError> {
        let dir = self.lookup(path)?.ok_or_else(|| TreeError::not_found(path))?;
        if !dir.entry.is_dir() {
            return Err(TreeError::NotADirectory { path: path.clone() });
        }
        let shows_base = match self.upper.get(path) {
            Some(Upper::Made(made)) => !made.hides,
            _ => true,
        };
        let mut nodes: BTreeMap<RootedPath, Node> = BTreeMap::new();
        if shows_base {
            nodes.extend(self.base.read_dir(path)?.into_iter().map(|node| (node.entry.path.clone(), node)));
        }
        let depth = path.depth() + 1;
        for (path, upper) in self.beneath(path).filter(|(path, _)| path.depth() == depth) {
            match upper {
                Upper::Removed => nodes.remove(path),
                Upper::Made(made) => nodes.insert(path.clone(), self.node(made)),
            };
        }
        Ok(nodes.into_values().collect())
    }

    fn open(&self, path: &RootedPath) -> Result<Box<dyn Read + Send>, TreeError> {
        self.content_of(path)?.open()
    }

    fn content(&self, path: &RootedPath) -> Result<[u8; 32], TreeError> {
        self.content_of(path).map(|content| content.sha256)
    }
}
