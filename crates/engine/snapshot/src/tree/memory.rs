//! In: entries given by hand. Out: a tree without a disk, for reading and testing; and the tree of nothing (`FROM scratch`). Never: a layer.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::Bound;
use std::sync::Arc;

use super::{Node, Tree, TreeError};
use crate::entry::{Entry, EntryKind};
use crate::path::RootedPath;

/// The tree that has only its root.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyTree;

impl Tree for EmptyTree {
    fn lookup(&self, path: &RootedPath) -> Result<Option<Node>, TreeError> {
        Ok(path.is_root().then(Node::default_root))
    }

    fn read_dir(&self, path: &RootedPath) -> Result<Vec<Node>, TreeError> {
        if path.is_root() { Ok(Vec::new()) } else { Err(TreeError::not_found(path)) }
    }

    fn open(&self, path: &RootedPath) -> Result<Box<dyn Read + Send>, TreeError> {
        Err(if path.is_root() { TreeError::NotAFile { path: path.clone() } } else { TreeError::not_found(path) })
    }

    fn content(&self, path: &RootedPath) -> Result<[u8; 32], TreeError> {
        self.open(path).map(|_| [0; 32])
    }
}

#[derive(Debug, Clone)]
struct Object {
    entry: Entry,
    inode: u64,
    bytes: Arc<[u8]>,
}

/// A tree in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    objects: BTreeMap<RootedPath, Object>,
    inodes: u64,
}

impl MemoryTree {
    /// Only the root, mode 0755.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an object at its path, replacing what was there (a directory keeps what is beneath it when a directory replaces it). Missing parents become
    /// directories of mode 0755. The size of a file is that of `bytes`; a `HardLink` becomes another name of its target, if that exists.
    pub fn insert(&mut self, mut entry: Entry, bytes: impl Into<Arc<[u8]>>) -> &mut Self {
        let path = entry.path.clone();
        self.make_parents(&path);
        let bytes = bytes.into();
        self.inodes += 1;
        let object = match &mut entry.kind {
            EntryKind::HardLink { target } => match self.objects.get(target) {
                Some(object) => {
                    Object { entry: Entry { path: path.clone(), ..object.entry.clone() }, ..object.clone() }
                }
                None => return self,
            },
            EntryKind::File { size_bytes } => {
                *size_bytes = bytes.len() as u64;
                Object { entry, inode: self.inodes, bytes }
            }
            _ => Object { entry, inode: self.inodes, bytes: Arc::from([]) },
        };
        let keeps_children = object.entry.is_dir();
        if !keeps_children {
            self.remove(&path);
        }
        self.objects.insert(path, object);
        self
    }

    /// A directory.
    pub fn dir(&mut self, path: &str, mode: u32) -> &mut Self {
        self.insert(Entry::dir(rooted(path), mode), [])
    }

    /// A regular file of mode 0644.
    pub fn file(&mut self, path: &str, bytes: &[u8]) -> &mut Self {
        self.insert(Entry::file(rooted(path), 0, 0o644), bytes)
    }

    /// A symlink.
    pub fn symlink(&mut self, path: &str, target: &str) -> &mut Self {
        self.insert(Entry::symlink(rooted(path), target), [])
    }

    /// Removes an object and everything beneath it.
    pub fn remove(&mut self, path: &RootedPath) -> &mut Self {
        self.objects.retain(|known, _| !known.starts_with(path));
        self
    }

    /// Every object but the root, in the order of paths.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        self.objects.values().filter(|object| !object.entry.path.is_root()).map(|object| self.node(object))
    }

    fn make_parents(&mut self, path: &RootedPath) {
        for parent in path.ancestors().filter(|parent| !parent.is_root()) {
            if !self.objects.get(&parent).is_some_and(|object| object.entry.is_dir()) {
                self.insert(Entry::dir(parent, 0o755), []);
            }
        }
    }

    fn node(&self, object: &Object) -> Node {
        let names = self.objects.values().filter(|other| other.inode == object.inode).count();
        Node { entry: object.entry.clone(), inode: object.inode, link_count: names as u32 }
    }

    fn file_object(&self, path: &RootedPath) -> Result<&Object, TreeError> {
        match self.objects.get(path) {
            Some(object) if object.entry.is_file() => Ok(object),
            Some(_) => Err(TreeError::NotAFile { path: path.clone() }),
            None if path.is_root() => Err(TreeError::NotAFile { path: path.clone() }),
            None => Err(TreeError::not_found(path)),
        }
    }
}

impl Tree for MemoryTree {
    fn lookup(&self, path: &RootedPath) -> Result<Option<Node>, TreeError> {
        let found = self.objects.get(path).map(|object| self.node(object));
        Ok(found.or_else(|| path.is_root().then(Node::default_root)))
    }

    fn read_dir(&self, path: &RootedPath) -> Result<Vec<Node>, TreeError> {
        match self.lookup(path)? {
            None => return Err(TreeError::not_found(path)),
            Some(node) if !node.entry.is_dir() => return Err(TreeError::NotADirectory { path: path.clone() }),
            Some(_) => {}
        }
        let below = self
            .objects
            .range((Bound::Excluded(path), Bound::Unbounded))
            .take_while(|(known, _)| known.starts_with(path));
        let children = below.filter(|(known, _)| known.depth() == path.depth() + 1);
        let mut nodes: Vec<Node> = children.map(|(_, object)| self.node(object)).collect();
        nodes.sort_by(|a, b| a.entry.path.file_name().cmp(&b.entry.path.file_name()));
        Ok(nodes)
    }

    fn open(&self, path: &RootedPath) -> Result<Box<dyn Read + Send>, TreeError> {
        Ok(Box::new(Cursor::new(Arc::clone(&self.file_object(path)?.bytes))))
    }

    fn content(&self, path: &RootedPath) -> Result<[u8; 32], TreeError> {
        Ok(*crossdock_oci::BlobDigest::of(&self.file_object(path)?.bytes).as_bytes())
    }
}

/// Paths in tests and fixtures are literals; a wrong one is a bug of the caller.
fn rooted(path: &str) -> RootedPath {
    RootedPath::parse(path).expect("the caller gives a literal path without '..'")
}
