//! In: a path inside a root. Out: a descriptor of what is there, made when missing, and the record of what was made. Never: a step out of the root, whatever its symbolic links say.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps, openat2};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// How many symbolic links one path may pass, as in the kernel.
const LINKS_MAX: usize = 40;

/// What a mount point must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// A mount point that was made because it was missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stub {
    /// Relative to the root, free of links.
    pub(super) path: String,
    pub(super) directory: bool,
    /// Not the mount point itself but a directory on the way to it.
    pub(super) parent: bool,
}

/// The root of a sandbox while it is built from outside.
#[derive(Debug)]
pub(super) struct Root {
    descriptor: OwnedFd,
    /// The device of the root file system; stubs elsewhere are nobody's concern.
    device: u64,
    pub(super) stubs: Vec<Stub>,
}

impl Root {
    /// Opens a mounted root.
    pub(super) fn open(path: &std::path::Path) -> io::Result<Self> {
        let descriptor = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let device = rustix::fs::fstat(&descriptor)?.st_dev;
        Ok(Self { descriptor, device, stubs: Vec::new() })
    }

    /// Opens a path for use as a mount's end, following links within the root; `None` when it is missing.
    pub(super) fn find(&self, path: &str) -> io::Result<Option<OwnedFd>> {
        match self.open_at(path, OFlags::empty()) {
            Ok(descriptor) => Ok(Some(descriptor)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a path, making what is missing: directories 0755, a file 0644, owned by root.
    pub(super) fn find_or_make(&mut self, path: &str, kind: Kind) -> io::Result<OwnedFd> {
        if let Some(found) = self.find(path)? {
            return Ok(found);
        }
        let place = self.make(path, kind)?;
        Ok(self.open_at(&place, OFlags::empty())?)
    }

    fn open_at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = path.trim_start_matches('/');
        let path = if path.is_empty() { "." } else { path };
        openat2(
            &self.descriptor,
            path,
            OFlags::PATH | OFlags::CLOEXEC | flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    }

    fn open_literally(&self, path: &str) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "." } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(&self.descriptor, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
    }

    /// Walks a path by hand, making what is missing. Gives back the path free of links.
    fn make(&mut self, path: &str, kind: Kind) -> io::Result<String> {
        let mut ahead: VecDeque<String> = words(path).collect();
        let mut behind: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(word) = ahead.pop_front() {
            if word == ".." {
                behind.pop();
                continue;
            }
            behind.push(word);
            let here = behind.join("/");
            let found = match self.open_at(&here, OFlags::NOFOLLOW) {
                Ok(found) => found,
                Err(Errno::NOENT) => {
                    let last = ahead.is_empty();
                    self.make_one(&here, last, if last { kind } else { Kind::Directory })?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode).is_symlink() {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::LOOP.into());
                }
                let target = rustix::fs::readlinkat(&found, "", Vec::new())?.to_string_lossy().into_owned();
                behind.pop();
                if target.starts_with('/') {
                    behind.clear();
                }
                words(&target).rev().for_each(|word| ahead.push_front(word));
            }
        }
        Ok(behind.join("/"))
    }

    fn make_one(&mut self, path: &str, last: bool, kind: Kind) -> io::Result<()> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.open_at(parent, OFlags::DIRECTORY)?;
        let before = rustix::fs::fstat(&parent)?;
        match kind {
            Kind::Directory => rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?,
            Kind::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                drop(rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?);
            }
        }
        set_times(&parent, &before)?;
        if before.st_dev == self.device {
            self.stubs.push(Stub { path: path.to_owned(), directory: kind == Kind::Directory, parent: !last });
        }
        Ok(())
    }

    /// Removes what was made, unless the step has put it to use: then it is the step's. The times of the directories around stay as they are.
    pub(super) fn remove_stubs(&self, stubs: &[Stub], parents_too: bool) {
        for stub in stubs.iter().rev().filter(|stub| parents_too || !stub.parent) {
            // A stub that cannot be removed is in use, or gone already.
            let _ = self.remove_stub(stub);
        }
    }

    fn remove_stub(&self, stub: &Stub) -> io::Result<()> {
        let (parent, name) = stub.path.rsplit_once('/').unwrap_or(("", &stub.path));
        // The step may have put a link where a directory was; what that leads to is the step's.
        let parent = self.open_literally(parent)?;
        let before = rustix::fs::fstat(&parent)?;
        if stub.directory {
            rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?;
        } else {
            let file = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if file.st_size != 0 || !rustix::fs::FileType::from_raw_mode(file.st_mode).is_file() {
                return Ok(());
            }
            rustix::fs::unlinkat(&parent, name, AtFlags::empty())?;
        }
        set_times(&parent, &before)
    }
}

/// The parts of a path that mean something.
fn words(path: &str) -> impl DoubleEndedIterator<Item = String> + '_ {
    path.split('/').filter(|word| !word.is_empty() && *word != ".").map(str::to_owned)
}

fn set_times(directory: &OwnedFd, status: &rustix::fs::Stat) -> io::Result<()> {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    let times = Timestamps {
        last_access: time(status.st_atime, status.st_atime_nsec),
        last_modification: time(status.st_mtime, status.st_mtime_nsec),
    };
    // The descriptor is a mere path, which futimens refuses.
    Ok(rustix::fs::utimensat(rustix::fs::CWD, descriptor_path(directory), &times, AtFlags::empty())?)
}

/// A path that names an open descriptor, for calls that take paths alone.
pub(super) fn descriptor_path(descriptor: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn missing_mount_points_are_made_inside_the_root_and_removed_again() {
        let outer = tempfile::tempdir().unwrap();
        let directory = outer.path().join("root");
        fs_err::create_dir_all(directory.join("etc")).unwrap();
        symlink("/run/dns/resolv.conf", directory.join("etc/resolv.conf")).unwrap();
        symlink("../../../../..", directory.join("up")).unwrap();
        let old = fs_err::metadata(directory.join("etc")).unwrap().mtime_nsec();
        let mut root = Root::open(&directory).unwrap();
        root.find_or_make("/etc/resolv.conf", Kind::File).unwrap();
        root.find_or_make("/up/escape", Kind::Directory).unwrap();
        root.find_or_make("/etc/hosts", Kind::File).unwrap();
        assert!(directory.join("run/dns/resolv.conf").is_file() && directory.join("escape").is_dir());
        assert!(!outer.path().join("escape").exists());
        assert_eq!(fs_err::metadata(directory.join("etc")).unwrap().mtime_nsec(), old);
        fs_err::write(directory.join("escape/used"), "").unwrap();
        let stubs = root.stubs.clone();
        root.remove_stubs(&stubs, true);
        let left: Vec<_> = fs_err::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(!directory.join("run").exists() && directory.join("escape/used").exists());
        assert!(!directory.join("etc/hosts").exists());
        assert_eq!(fs_err::metadata(directory.join("etc")).unwrap().mtime_nsec(), old);
    }

    #[test]
    fn what_is_there_is_no_stub_and_loops_end() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("proc")).unwrap();
        symlink("loop", directory.path().join("loop")).unwrap();
        let mut root = Root::open(directory.path()).unwrap();
        root.find_or_make("/proc", Kind::Directory).unwrap();
        assert!(root.find_or_make("/loop/x", Kind::Directory).is_err());
        assert!(root.stubs.is_empty());
        assert!(root.find("/absent/x").unwrap().is_none());
    }
}
