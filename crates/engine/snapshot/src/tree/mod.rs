//! In: a root file system in whatever form it is known. Out: one read-only view of it. Never: a write, a followed symlink (except in `resolve`), a mount.

mod layered;
mod memory;
mod merge;
mod resolve;

pub use layered::{ContentOpener, LayeredTree};
pub use memory::{EmptyTree, MemoryTree};
pub use resolve::{Resolved, near_names, resolve, resolve_parent};

use std::io::{self, Read};

use crate::entry::Entry;
use crate::path::{PathError, RootedPath};

/// One object of a tree. Its kind is never `HardLink`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its metadata; `entry.path` is the name it was asked for.
    pub entry: Entry,
    /// Identity within this tree: names that are hard links of one object share it. Unique otherwise, not stable between trees.
    pub inode: u64,
    /// How many names of this tree share `inode`, at least 1 (directories: 1).
    pub link_count: u32,
}

/// Why a question about a tree has no answer.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Nothing at this path.
    #[error("{path}: not found{}", suggestion(.near))]
    NotFound {
        /// The path asked for.
        path: RootedPath,
        /// Up to two names like it that do exist.
        near: Vec<RootedPath>,
    },
    /// A directory was needed.
    #[error("{path}: not a directory")]
    NotADirectory {
        /// The path of the other object.
        path: RootedPath,
    },
    /// A regular file was needed.
    #[error("{path}: not a regular file")]
    NotAFile {
        /// The path of the other object.
        path: RootedPath,
    },
    /// Symlinks lead to each other.
    #[error("{path}: more than {limit} symbolic links on the way, they seem to lead in a circle through {through}")]
    SymlinkLoop {
        /// The path asked for.
        path: RootedPath,
        /// The link at which the limit was reached.
        through: RootedPath,
        /// The limit.
        limit: usize,
    },
    /// A hard link names an object that no layer below has.
    #[error("layer {layer}: hard link {path} names {target}, which does not exist there")]
    HardLinkTarget {
        /// Number of the layer, lowest is 0.
        layer: usize,
        /// The name.
        path: RootedPath,
        /// The missing object.
        target: RootedPath,
    },
    /// What a layer makes of the ones below depends on the order of its members, which its listing does not say: list it as unpacked.
    #[error(
        "layer {layer}: its names lead through symbolic links of the layers below, and it changes those; unpack it to see what it makes"
    )]
    InDoubt {
        /// Number of the layer, lowest is 0.
        layer: usize,
    },
    /// A named limit is exceeded.
    #[error("{path}: {what} exceed the limit of {limit}")]
    Limit {
        /// The path at which it was.
        path: RootedPath,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A pattern is malformed.
    #[error("pattern {pattern:?}: syntax error in pattern")]
    BadPattern {
        /// The pattern (lossy).
        pattern: String,
    },
    /// A path or a symlink's target is not usable.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Content could not be read.
    #[error("read {path}: {source}")]
    Read {
        /// Where.
        path: RootedPath,
        /// What the operating system or the store says.
        source: io::Error,
    },
}

fn suggestion(near: &[RootedPath]) -> String {
    match near {
        [] => String::new(),
        [one] => format!(" (is it {one}?)"),
        [one, two, ..] => format!(" (is it {one} or {two}?)"),
    }
}

impl Node {
    /// The root of a tree that says nothing about it.
    pub(crate) fn default_root() -> Self {
        Self { entry: Entry::dir(RootedPath::root(), 0o755), inode: 0, link_count: 1 }
    }
}

impl TreeError {
    /// `NotFound` without suggestions.
    pub fn not_found(path: &RootedPath) -> Self {
        Self::NotFound { path: path.clone(), near: Vec::new() }
    }
}

/// A read-only root file system. Paths are taken literally: a symlink on the way is not followed, what lies "beneath" it does not exist.
pub trait Tree: Send + Sync {
    /// The object at a path. The root always exists (mode 0755 when nothing describes it).
    ///
    /// # Errors
    /// `Read` when the tree lives on a disk that fails.
    fn lookup(&self, path: &RootedPath) -> Result<Option<Node>, TreeError>;

    /// The objects directly in a directory, sorted by name.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, `Read`.
    fn read_dir(&self, path: &RootedPath) -> Result<Vec<Node>, TreeError>;

    /// The bytes of a regular file.
    ///
    /// # Errors
    /// `NotFound`, `NotAFile`, `Read`.
    fn open(&self, path: &RootedPath) -> Result<Box<dyn Read + Send>, TreeError>;

    /// The sha256 of a regular file's bytes; answered without reading where it is known.
    ///
    /// # Errors
    /// `NotFound`, `NotAFile`, `Read`.
    fn content(&self, path: &RootedPath) -> Result<[u8; 32], TreeError>;
}

#[cfg(test)]
mod agreement;
#[cfg(test)]
pub(crate) mod tests;
