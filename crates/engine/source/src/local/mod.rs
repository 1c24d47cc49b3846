//! In: a directory on the host, ignore patterns, the paths that COPY and ADD name. Out: the build context as a `Tree`. Never: a copy of it, an owner, a file that changed unnoticed.
//!
//! The context is read in place (architecture.md, decision 4). One walk on several threads takes down what is there; digests
//! come from the stat index or from reading, each file once:
//!
//! | what a file has | counts |
//! |---|---|
//! | path, kind, permission bits, link text, bytes | yes |
//! | owner and group | no: everything belongs to root |
//! | extended attributes | no: BuildKit's layers do not have them either |
//! | time of modification | kept for the copy, no part of a key |
//! | size, mtime, ctime, inode | the stat index: all the same means the bytes are the same, unless the file was just written |

mod error;
mod filter;
mod hash;
mod index;
mod record;
mod survey;
mod tree;
mod walk;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use crossdock_dockerfile::ignore::Patterns;
use crossdock_snapshot::RootedPath;
use crossdock_snapshot::tree::near_names;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags};

#[cfg(test)]
mod tests;

pub use error::{ContextError, is_changed};
pub use survey::{Seen, Survey, SurveyError, survey};

use filter::Filter;
use index::StatIndex;
use tree::Links;
use walk::Walked;

/// What of a directory is the context.
#[derive(Debug)]
pub struct ContextOptions<'a> {
    /// `.dockerignore`.
    pub ignore: Option<&'a Patterns>,
    /// The paths that instructions name, with wildcards (`local.followpaths`); links on their way are followed. Empty: everything.
    pub follow: &'a [String],
    /// Patterns of paths to take (`local.includepattern`). Empty: everything, or what `follow` says.
    pub include: &'a [String],
    /// The stat index of this context in the state directory; none: every file is read.
    pub index: Option<PathBuf>,
    /// Threads that walk and hash.
    pub threads: usize,
}

/// A build context: a live directory as the build sees it.
pub struct ContextTree {
    root: OwnedFd,
    root_path: PathBuf,
    filter: Filter,
    walked: Walked,
    index: StatIndex,
    index_path: Option<PathBuf>,
    threads: usize,
    read_bytes: AtomicU64,
    /// Made at the first question about a hard link.
    links: OnceLock<Option<Links>>,
    walked_at: SystemTime,
}

impl ContextTree {
    /// Walks the directory `root`, which may be a symlink to it.
    ///
    /// # Errors
    /// `Root`, `Unreadable`, `Path`, `Pattern`.
    pub fn open(root: &Path, options: ContextOptions<'_>) -> Result<Self, ContextError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty())
            .map_err(|errno| ContextError::Root { root: root.to_path_buf(), source: errno.into() })?;
        let mut include = options.include.to_vec();
        if !options.follow.is_empty() {
            let followed = filter::follow(fd.as_fd(), options.follow);
            // All of the context: patterns would only take away from it.
            if followed.is_empty() { include.clear() } else { include.extend(followed) }
        }
        let filter = Filter::new(options.ignore, &include)?;
        let walked_at = SystemTime::now();
        let walked = walk::walk(&fd, root, &filter, options.threads)?;
        let index = options.index.as_deref().map(StatIndex::load).unwrap_or_default();
        let tree = Self {
            root: fd,
            root_path: root.to_path_buf(),
            filter,
            walked,
            index,
            index_path: options.index,
            threads: options.threads.max(1),
            read_bytes: AtomicU64::new(0),
            links: OnceLock::new(),
            walked_at,
        };
        tree.recall();
        Ok(tree)
    }

    /// The directory as it was given.
    pub fn root(&self) -> &Path {
        &self.root_path
    }

    /// Names in the context, directories included.
    pub fn len(&self) -> usize {
        self.walked.dirs.iter().map(|dir| dir.records.len()).sum()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The line of the ignore file that hides a path which is there, or would be.
    pub fn hidden_by(&self, path: &RootedPath) -> Option<String> {
        self.filter.hiding(path)
    }

    /// Names like that of a path which is not there, looked for in the whole directory as the ignore file leaves it: the
    /// context itself may hold only what instructions name. Never an error: suggestions are a courtesy.
    pub fn near_missing(&self, path: &RootedPath) -> Vec<RootedPath> {
        let ignore = self.filter.ignored();
        let options = ContextOptions { ignore, follow: &[], include: &[], index: None, threads: self.threads };
        Self::open(&self.root_path, options).map(|whole| near_names(&whole, path)).unwrap_or_default()
    }
}

impl fmt::Debug for ContextTree {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ContextTree({:?}, {} names)", self.root_path, self.len())
    }
}
