//! In: a name in an open directory. Out: `Object`, what `lstat` says in our words, its link text and its attributes. Never: a followed symlink, a write.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::entry::{EntryKind, Mtime, Xattrs};

/// The longest list of attribute names the kernel hands out (XATTR_LIST_MAX), in bytes.
const XATTR_LIST_BYTES_MAX: usize = 64 << 10;
/// The longest attribute value the kernel hands out (XATTR_SIZE_MAX), in bytes.
const XATTR_VALUE_BYTES_MAX: usize = 64 << 10;
/// The longest path one system call takes (PATH_MAX without the final NUL), in bytes.
const CALL_PATH_BYTES_MAX: usize = 4095;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A character device; 0:0 is a whiteout in the overlay format.
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
    /// A socket: it belongs to a running process and is never part of a layer.
    Socket,
}

/// The facts `lstat` knows about one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Permission bits with setuid, setgid and sticky: `0o7777`.
    pub mode: u32,
    /// Owner, as this user namespace sees it.
    pub uid: u32,
    /// Group, as this user namespace sees it.
    pub gid: u32,
    /// Time of modification.
    pub mtime: Mtime,
    /// Length of a regular file, else 0.
    pub size_bytes: u64,
    /// Space it takes on the disk.
    pub allocated_bytes: u64,
    /// File system and inode number: names with the same pair are hard links of each other.
    pub identity: (u64, u64),
    /// How many names the inode has.
    pub link_count: u64,
}

impl Object {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == ObjectKind::Dir
    }

    /// Whether it is the mark by which overlayfs hides a name of lower layers.
    pub fn is_whiteout(&self) -> bool {
        self.kind == ObjectKind::CharDevice { major: 0, minor: 0 }
    }

    /// Whether the inode has further names. Directories never have.
    pub fn is_hard_linked(&self) -> bool {
        self.link_count > 1 && !self.is_dir()
    }

    /// The same in a tar's words; none for a socket. `target` is the text of a symlink.
    pub(crate) fn entry_kind(&self, target: Vec<u8>) -> Option<EntryKind> {
        Some(match self.kind {
            ObjectKind::File => EntryKind::File { size_bytes: self.size_bytes },
            ObjectKind::Dir => EntryKind::Dir,
            ObjectKind::Symlink => EntryKind::Symlink { target },
            ObjectKind::CharDevice { major, minor } => EntryKind::CharDevice { major, minor },
            ObjectKind::BlockDevice { major, minor } => EntryKind::BlockDevice { major, minor },
            ObjectKind::Fifo => EntryKind::Fifo,
            ObjectKind::Socket => return None,
        })
    }
}

/// What stands at `path` beneath `dir`, or nothing. The last component is not followed.
pub(crate) fn stat(dir: BorrowedFd<'_>, path: &[u8]) -> io::Result<Option<Object>> {
    let found = within(dir, path, |at, name| {
        Ok(rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)?)
    });
    match found {
        Ok(stat) => Ok(Some(object_of(&stat))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an open descriptor refers to.
pub(crate) fn stat_fd(fd: BorrowedFd<'_>) -> io::Result<Object> {
    Ok(object_of(&rustix::fs::fstat(fd)?))
}

#[allow(clippy::unnecessary_cast, reason = "the widths of these fields differ between architectures")]
fn object_of(stat: &rustix::fs::Stat) -> Object {
    let file_type = FileType::from_raw_mode(stat.st_mode);
    let (major, minor) = (rustix::fs::major(stat.st_rdev as u64), rustix::fs::minor(stat.st_rdev as u64));
    let kind = match file_type {
        FileType::Directory => ObjectKind::Dir,
        FileType::Symlink => ObjectKind::Symlink,
        FileType::CharacterDevice => ObjectKind::CharDevice { major, minor },
        FileType::BlockDevice => ObjectKind::BlockDevice { major, minor },
        FileType::Fifo => ObjectKind::Fifo,
        FileType::Socket => ObjectKind::Socket,
        FileType::RegularFile | FileType::Unknown => ObjectKind::File,
    };
    Object {
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: Mtime { seconds: stat.st_mtime as i64, nanoseconds: stat.st_mtime_nsec as u32 },
        size_bytes: if kind == ObjectKind::File { stat.st_size as u64 } else { 0 },
        allocated_bytes: stat.st_blocks as u64 * 512,
        identity: (stat.st_dev as u64, stat.st_ino as u64),
        link_count: stat.st_nlink as u64,
    }
}

/// Opens `path` beneath `dir`; no component may be a symlink, so the result lies beneath `dir`.
pub(crate) fn open(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    within(dir, path, |at, name| open_beneath(at, name, flags))
}

/// Opens a directory beneath `dir` for reading its names; the empty path is `dir` itself.
pub(crate) fn open_dir(dir: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { &b"."[..] } else { path };
    open(dir, path, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Opens a regular file for reading.
pub(crate) fn open_file(dir: BorrowedFd<'_>, path: &[u8]) -> io::Result<fs_err::File> {
    // Without NONBLOCK an object that turned into a pipe would hang us.
    let fd = open(dir, path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    Ok(fs_err::File::from_parts(std::fs::File::from(fd), String::from_utf8_lossy(path).into_owned()))
}

fn open_beneath(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if !path.contains(&b'/') {
        return Ok(rustix::fs::openat(dir, path, flags, Mode::empty())?);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve)?)
}

/// Calls `act` with a directory and a path short enough for one system call that together mean `path` beneath `dir`.
pub(crate) fn within<T>(
    dir: BorrowedFd<'_>,
    path: &[u8],
    act: impl FnOnce(BorrowedFd<'_>, &[u8]) -> io::Result<T>,
) -> io::Result<T> {
    if path.len() <= CALL_PATH_BYTES_MAX {
        return act(dir, path);
    }
    let mut at: Option<OwnedFd> = None;
    let mut rest = path;
    while rest.len() > CALL_PATH_BYTES_MAX {
        let cut = rest[..CALL_PATH_BYTES_MAX].iter().rposition(|&byte| byte == b'/').ok_or(Errno::NAMETOOLONG)?;
        let from = at.as_ref().map_or(dir, |fd| fd.as_fd());
        let next = open_beneath(from, &rest[..cut], OFlags::PATH | OFlags::DIRECTORY)?;
        at = Some(next);
        rest = &rest[cut + 1..];
    }
    act(at.as_ref().map_or(dir, |fd| fd.as_fd()), rest)
}

/// The text of a symlink.
pub(crate) fn link_text(dir: BorrowedFd<'_>, path: &[u8]) -> io::Result<Vec<u8>> {
    within(dir, path, |at, name| Ok(rustix::fs::readlinkat(at, name, Vec::new())?.into_bytes()))
}

/// The names in an open directory, sorted by bytes, without `.` and `..`.
pub(crate) fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    // A descriptor of its own, because reading moves the position.
    let dir = open_dir(dir, b"")?;
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut names = Vec::new();
    let mut entries = rustix::fs::RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        match entry?.file_name().to_bytes() {
            b"." | b".." => {}
            name => names.push(name.to_vec()),
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether an open directory has no names.
pub(crate) fn is_empty_dir(dir: BorrowedFd<'_>) -> io::Result<bool> {
    let dir = open_dir(dir, b"")?;
    let mut buffer = Vec::with_capacity(4 << 10);
    let mut entries = rustix::fs::RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether an attribute is overlayfs's own bookkeeping.
pub fn is_overlay_xattr(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// Whether layers carry an attribute: capabilities, access lists and what users set. Labels of the host's security modules, `trusted.*` (invisible to
/// rootless builds, whose layers must be the same) and overlayfs's own are not carried.
pub fn is_layer_xattr(name: &[u8]) -> bool {
    let carried =
        name == b"security.capability" || name.starts_with(b"system.posix_acl_") || name.starts_with(b"user.");
    carried && !is_overlay_xattr(name)
}

/// The attributes that layers carry of the object at `path` beneath `dir`. The object is not opened and not followed.
pub(crate) fn layer_xattrs(dir: BorrowedFd<'_>, path: &[u8]) -> io::Result<Xattrs> {
    xattrs_where(dir, path, is_layer_xattr)
}

/// The attributes whose names `wanted` picks.
pub(crate) fn xattrs_where(dir: BorrowedFd<'_>, path: &[u8], wanted: impl Fn(&[u8]) -> bool) -> io::Result<Xattrs> {
    within(dir, path, |at, name| {
        let proc_path = proc_path(at, name);
        let mut xattrs = Xattrs::new();
        for name in attribute_names(&proc_path)?.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            if wanted(name)
                && let Some(value) = attribute(&proc_path, name)?
            {
                xattrs.insert(name.to_vec(), value);
            }
        }
        Ok(xattrs)
    })
}

/// One attribute of the object at `path`, none when it is not set.
pub(crate) fn xattr(dir: BorrowedFd<'_>, path: &[u8], name: &str) -> io::Result<Option<Vec<u8>>> {
    within(dir, path, |at, tail| attribute(&proc_path(at, tail), name.as_bytes()))
}

/// A path that names `name` in the open directory `dir` for calls that take no descriptor.
///
/// The `l…xattr` calls have no `…at` form before Linux 6.13. Only the descriptor's own magic link is followed, never the last component.
pub(crate) fn proc_path(dir: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(if name.is_empty() { b"." } else { name });
    path
}

fn attribute_names(path: &[u8]) -> io::Result<Vec<u8>> {
    let mut names = [0; 512];
    match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(length) => Ok(names[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut names = vec![0; XATTR_LIST_BYTES_MAX];
            let length = rustix::fs::llistxattr(path, &mut names[..])?;
            names.truncate(length);
            Ok(names)
        }
        Err(Errno::OPNOTSUPP) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn attribute(path: &[u8], name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut value = [0; 256];
    match rustix::fs::lgetxattr(path, name, &mut value[..]) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(Errno::RANGE) => {
            let mut value = vec![0; XATTR_VALUE_BYTES_MAX];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..])?;
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether an error means that nothing stands at a path.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR))
}
