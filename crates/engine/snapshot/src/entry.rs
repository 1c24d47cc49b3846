//! In: facts about one file system object. Out: `Entry`, the same words for tars, listings, trees and directories. Never: content bytes.

use std::collections::BTreeMap;

use crate::path::RootedPath;

/// Extended attributes by full name (`security.capability`), values of any bytes.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Its length.
        size_bytes: u64,
    },
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink {
        /// The text of the link, uninterpreted.
        target: Vec<u8>,
    },
    /// Another name of an entry of the same archive. Occurs in tars, and in listings when the target is in a lower layer; never in trees.
    HardLink {
        /// The other name.
        target: RootedPath,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// A time of modification since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mtime {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999 nanoseconds on top.
    pub nanoseconds: u32,
}

impl Mtime {
    /// The start of 1970.
    pub const EPOCH: Self = Self { seconds: 0, nanoseconds: 0 };

    /// A time of whole seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }

    /// The time without its fraction, as layers hold it.
    pub const fn whole_seconds(self) -> Self {
        Self { seconds: self.seconds, nanoseconds: 0 }
    }
}

/// The metadata of one object at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: RootedPath,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky: `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of modification.
    pub mtime: Mtime,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Entry {
    /// A directory owned by root, without times or attributes: what a missing parent becomes with mode `0o755`.
    pub fn dir(path: RootedPath, mode: u32) -> Self {
        Self::new(path, EntryKind::Dir, mode)
    }

    /// A file owned by root, without times or attributes.
    pub fn file(path: RootedPath, size_bytes: u64, mode: u32) -> Self {
        Self::new(path, EntryKind::File { size_bytes }, mode)
    }

    /// A symlink owned by root.
    pub fn symlink(path: RootedPath, target: impl Into<Vec<u8>>) -> Self {
        Self::new(path, EntryKind::Symlink { target: target.into() }, 0o777)
    }

    /// Any kind, owned by root, without times or attributes.
    pub fn new(path: RootedPath, kind: EntryKind, mode: u32) -> Self {
        Self { path, kind, mode: mode & 0o7777, uid: 0, gid: 0, mtime: Mtime::EPOCH, xattrs: Xattrs::new() }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, EntryKind::Dir)
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, EntryKind::File { .. })
    }

    /// The text of a symlink.
    pub fn symlink_target(&self) -> Option<&[u8]> {
        match &self.kind {
            EntryKind::Symlink { target } => Some(target),
            _ => None,
        }
    }

    /// The length of a regular file, 0 for everything else.
    pub fn size_bytes(&self) -> u64 {
        match self.kind {
            EntryKind::File { size_bytes } => size_bytes,
            _ => 0,
        }
    }
}
