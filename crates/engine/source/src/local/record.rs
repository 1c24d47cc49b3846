//! In: what the kernel says about a name. Out: one record of the context. Never: an owner; everything in a context belongs to root.

use std::sync::OnceLock;

use crossdock_snapshot::{Entry, EntryKind, Mtime, RootedPath, Xattrs};
use rustix::fs::{FileType, Statx};

/// A name in a directory of the context.
#[derive(Debug)]
pub(super) struct Record {
    pub name: Box<[u8]>,
    pub kind: Kind,
    pub stamp: Stamp,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Device of the file system, for hard links across mounts.
    pub device: (u32, u32),
    /// Names the inode has anywhere.
    pub links: u32,
    /// Sha256 of a regular file, once it is known.
    pub digest: OnceLock<[u8; 32]>,
}

/// What must be the same for a file to count as unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub size_bytes: u64,
    pub mtime: Mtime,
    pub ctime: Mtime,
    pub inode: u64,
}

/// What a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Dir,
    Symlink(Vec<u8>),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    /// Arrives as an empty file, as BuildKit's clients send it.
    Socket,
}

impl Stamp {
    pub fn of(stat: &Statx) -> Self {
        let time = |stamp: rustix::fs::StatxTimestamp| Mtime { seconds: stamp.tv_sec, nanoseconds: stamp.tv_nsec };
        Self {
            size_bytes: stat.stx_size,
            mtime: time(stat.stx_mtime),
            ctime: time(stat.stx_ctime),
            inode: stat.stx_ino,
        }
    }
}

impl Record {
    pub fn new(name: &[u8], kind: Kind, stat: &Statx) -> Self {
        Self {
            name: name.into(),
            kind,
            stamp: Stamp::of(stat),
            mode: u32::from(stat.stx_mode) & 0o7777,
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            links: stat.stx_nlink,
            digest: OnceLock::new(),
        }
    }

    /// The kind of everything but a symlink; none for what no tree can hold.
    pub fn kind_of(stat: &Statx) -> Option<Kind> {
        Some(match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Dir,
            FileType::Symlink => Kind::Symlink(Vec::new()),
            FileType::CharacterDevice => Kind::CharDevice(stat.stx_rdev_major, stat.stx_rdev_minor),
            FileType::BlockDevice => Kind::BlockDevice(stat.stx_rdev_major, stat.stx_rdev_minor),
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::Unknown => return None,
        })
    }

    /// Its metadata as the build sees it.
    pub fn entry(&self, path: RootedPath) -> Entry {
        let kind = match &self.kind {
            Kind::File => EntryKind::File { size_bytes: self.stamp.size_bytes },
            Kind::Dir => EntryKind::Dir,
            Kind::Symlink(target) => EntryKind::Symlink { target: target.clone() },
            Kind::CharDevice(major, minor) => EntryKind::CharDevice { major: *major, minor: *minor },
            Kind::BlockDevice(major, minor) => EntryKind::BlockDevice { major: *major, minor: *minor },
            Kind::Fifo => EntryKind::Fifo,
            Kind::Socket => EntryKind::File { size_bytes: 0 },
        };
        Entry { path, kind, mode: self.mode, uid: 0, gid: 0, mtime: self.stamp.mtime, xattrs: Xattrs::new() }
    }
}
