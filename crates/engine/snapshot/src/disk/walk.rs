//! In: layers. Out: every object of their merge, each directory before what it holds, in the order of [`RootedPath`]. Never: recursion, more memory than the
//! names of the directories on the way.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use super::layers::{Found, Layers, Merged, child, open_root};
use super::object::{self, Object};
use crate::path::RootedPath;

/// One object of a merge.
pub(crate) struct Step {
    pub path: RootedPath,
    pub object: Object,
    /// The layer that provides it; for a directory the topmost.
    pub layer: u16,
}

/// A walk over a merge, without its root.
pub(crate) struct Walk<'l> {
    layers: &'l Layers,
    /// Names still to visit, for each directory on the way; the last is the deepest.
    pending: Vec<(RootedPath, std::collections::btree_map::IntoIter<Vec<u8>, Found>)>,
    /// The directory to descend into before the next name.
    enter: Option<(RootedPath, Merged)>,
}

impl<'l> Walk<'l> {
    pub fn new(layers: &'l Layers) -> Self {
        Self { layers, pending: Vec::new(), enter: Some((RootedPath::root(), layers.root())) }
    }

    /// The next object.
    ///
    /// # Errors
    /// The directory that could not be read, and why.
    pub fn step(&mut self) -> Result<Option<Step>, (RootedPath, io::Error)> {
        if let Some((dir, merged)) = self.enter.take() {
            let children = self.layers.children(&merged, &dir).map_err(|error| (dir.clone(), error))?;
            self.pending.push((dir, children.into_iter()));
        }
        while let Some((dir, children)) = self.pending.last_mut() {
            match children.next() {
                None => {
                    self.pending.pop();
                }
                Some((_, Found::Nothing)) => {}
                Some((name, Found::Other { object, layer })) => {
                    return Ok(Some(Step { path: child(dir, &name), object, layer }));
                }
                Some((name, Found::Dir { object, merged })) => {
                    let path = child(dir, &name);
                    let layer = merged[0];
                    self.enter = Some((path.clone(), merged));
                    return Ok(Some(Step { path, object, layer }));
                }
            }
        }
        Ok(None)
    }
}

/// The space a tree takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Allocated blocks, hard links counted once.
    pub size_bytes: u64,
    /// Objects, hard links counted once, whiteouts included.
    pub inodes: u64,
}

/// Measures one directory with everything beneath it.
///
/// # Errors
/// The first directory that could not be read.
pub fn usage(path: &Path) -> io::Result<Usage> {
    let root = open_root(path)?;
    let mut usage = Usage::default();
    let mut linked = HashSet::new();
    let mut dirs = vec![RootedPath::root()];
    let mut count = |object: &Object| {
        if !object.is_hard_linked() || linked.insert(object.identity) {
            usage.size_bytes += object.allocated_bytes;
            usage.inodes += 1;
        }
    };
    count(&object::stat_fd(root.as_fd())?);
    while let Some(dir) = dirs.pop() {
        let fd = object::open_dir(root.as_fd(), dir.as_bytes())?;
        for name in object::names(fd.as_fd())? {
            let Some(object) = object::stat(fd.as_fd(), &name)? else { continue };
            count(&object);
            if object.is_dir() {
                dirs.push(child(&dir, &name));
            }
        }
    }
    Ok(usage)
}
