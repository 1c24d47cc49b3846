//! In: nothing. Out: the tree of a file op without input: an empty root. Never: anything else.

use std::io::Read;

use crossdock_snapshot::{Entry, Node, RootedPath, Tree, TreeError};

/// A root directory with nothing in it.
pub(super) struct Nothing;

impl Tree for Nothing {
    fn lookup(&self, path: &RootedPath) -> Result<Option<Node>, TreeError> {
        let root = || Node { entry: Entry::dir(RootedPath::root(), 0o755), inode: 1, link_count: 1 };
        Ok(path.is_root().then(root))
    }

    fn read_dir(&self, path: &RootedPath) -> Result<Vec<Node>, TreeError> {
        if path.is_root() { Ok(Vec::new()) } else { Err(TreeError::not_found(path)) }
    }

    fn open(&self, path: &RootedPath) -> Result<Box<dyn Read + Send>, TreeError> {
        Err(TreeError::not_found(path))
    }

    fn content(&self, path: &RootedPath) -> Result<[u8; 32], TreeError> {
        Err(TreeError::not_found(path))
    }
}
