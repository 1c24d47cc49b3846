//! In: a path as a process of the sandbox means it. Out: the file it names there. Never: a file outside of that process's root; a step in the path that the process may not take.
//!
//! The kernel resolves a path within a root, but not what depends on who asks: `/proc/self` is another process's here. Such paths are walked by hand.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

/// How many symbolic links one path may pass, as in the kernel.
const LINKS_MAX: usize = 40;
/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 4096;

/// Where a process stands.
#[derive(Debug)]
pub(super) struct Standpoint {
    root: OwnedFd,
    cwd: OwnedFd,
    /// What `/proc/self` means: the process's number in its own namespace, and its thread's.
    process: u32,
    thread: u32,
}

/// What a path starts at.
#[derive(Debug, Clone, Copy)]
pub(super) enum From<'a> {
    Cwd,
    Directory(BorrowedFd<'a>),
}

impl Standpoint {
    /// Looks at a thread through its directory in a /proc.
    pub(super) fn of(directory: &Path, process: u32, thread: u32) -> io::Result<Self> {
        Ok(Self { root: open_path(&directory.join("root"))?, cwd: open_path(&directory.join("cwd"))?, process, thread })
    }

    /// Opens what a path names, as a mere place. Links are followed; the last one only if asked.
    ///
    /// # Errors
    /// What the kernel would tell the process.
    pub(super) fn open(&self, from: From<'_>, path: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        if path.len() >= PATH_BYTES_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        if path.ends_with(b"/") {
            // A directory at best, and those are not executed.
            return Err(Errno::ACCESS);
        }
        let absolute = path.starts_with(b"/");
        let start = match from {
            _ if absolute => self.root.as_fd(),
            From::Cwd => self.cwd.as_fd(),
            From::Directory(directory) => directory,
        };
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, !follow);
        let within = if absolute { ResolveFlags::IN_ROOT } else { ResolveFlags::BENEATH };
        let quick = openat2(start, path, flags, Mode::empty(), within | ResolveFlags::NO_MAGICLINKS);
        quick.or_else(|_| self.walk(start, path, follow))
    }

    fn walk(&self, start: BorrowedFd<'_>, path: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
        let mut here = rustix::io::fcntl_dupfd_cloexec(start, 3)?;
        let mut ahead: VecDeque<Vec<u8>> = words(path);
        let mut links = 0;
        while let Some(word) = ahead.pop_front() {
            if word == b".." {
                if !same(&here, &self.root)? {
                    here = step(&here, b"..")?;
                }
                continue;
            }
            let next = step(&here, &word)?;
            let is_link = FileType::from_raw_mode(fstat(&next)?.st_mode).is_symlink();
            if !is_link || (ahead.is_empty() && !follow) {
                here = next;
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(Errno::LOOP);
            }
            match self.link_of(&here, &next, &word)? {
                Link::Text(target) => {
                    if target.starts_with(b"/") {
                        here = rustix::io::fcntl_dupfd_cloexec(&self.root, 3)?;
                    }
                    words(&target).into_iter().rev().for_each(|word| ahead.push_front(word));
                }
                Link::Place(place) => here = place,
            }
        }
        Ok(here)
    }

    /// Where a symbolic link leads. Links of /proc are places themselves, or depend on who looks.
    fn link_of(&self, directory: &OwnedFd, link: &OwnedFd, word: &[u8]) -> Result<Link, Errno> {
        let of_proc = u64::try_from(rustix::fs::fstatfs(link)?.f_type).unwrap_or_default() == PROC;
        let ask = || rustix::fs::readlinkat(link, "", Vec::new()).map(|text| Link::Text(text.into_bytes()));
        if !of_proc {
            return ask();
        }
        match word {
            b"self" => Ok(Link::Text(self.process.to_string().into_bytes())),
            b"thread-self" => Ok(Link::Text(format!("{}/task/{}", self.process, self.thread).into_bytes())),
            b"mounts" | b"net" => ask(),
            _ => openat(directory, word, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map(Link::Place),
        }
    }

    /// The current directory as a path of the process's own root; `None` when it lies outside.
    pub(super) fn cwd_path(&self) -> Option<Vec<u8>> {
        self.path_of(self.cwd.as_fd())
    }

    /// A descriptor's place as a path of the process's own root; `None` when it has none there.
    pub(super) fn path_of(&self, file: BorrowedFd<'_>) -> Option<Vec<u8>> {
        let root = name(self.root.as_fd()).ok()?;
        let path = name(file).ok()?;
        let root = if root == b"/" { &b""[..] } else { &root };
        let rest = path.strip_prefix(root)?;
        if rest.is_empty() {
            return Some(b"/".to_vec());
        }
        let found = self.open(From::Cwd, rest, true).ok()?;
        (rest.starts_with(b"/") && same(&found, &file).ok()?).then(|| rest.to_vec())
    }
}

enum Link {
    Text(Vec<u8>),
    Place(OwnedFd),
}

/// PROC_SUPER_MAGIC.
const PROC: u64 = 0x9fa0;

fn open_path(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn step(directory: &OwnedFd, word: &[u8]) -> Result<OwnedFd, Errno> {
    openat(directory, word, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Whether two descriptors name one file.
pub(super) fn same(one: &impl AsFd, other: &impl AsFd) -> Result<bool, Errno> {
    let (one, other) = (fstat(one)?, fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

fn name(descriptor: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    use std::os::fd::AsRawFd as _;
    let path = fs_err::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))?;
    Ok(path.as_os_str().as_bytes().to_vec())
}

/// The parts of a path that mean something.
fn words(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|word| !word.is_empty() && *word != b".").map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn standpoint(root: &Path, cwd: &str) -> Standpoint {
        let id = std::process::id();
        Standpoint { root: open_path(root).unwrap(), cwd: open_path(&root.join(cwd)).unwrap(), process: id, thread: id }
    }

    fn tree() -> tempfile::TempDir {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        fs_err::create_dir_all(root.join("bin")).unwrap();
        fs_err::create_dir_all(root.join("home/ann")).unwrap();
        fs_err::write(root.join("bin/sh"), "sh").unwrap();
        fs_err::write(outer.path().join("secret"), "no").unwrap();
        symlink("/bin/sh", root.join("home/ann/absolute")).unwrap();
        symlink("../../../../../bin/sh", root.join("home/ann/up")).unwrap();
        symlink("../../../../secret", root.join("home/ann/out")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("/bin", root.join("usrbin")).unwrap();
        outer
    }

    #[test]
    fn paths_stay_within_the_root() {
        let outer = tree();
        let root = outer.path().join("root");
        let at = standpoint(&root, "home/ann");
        let sh = open_file(&root.join("bin/sh"));
        for path in ["/bin/sh", "absolute", "up", "../../bin/./sh", "/usrbin/sh", "../../../../../bin/sh", "//bin//sh"]
        {
            let found = at.open(From::Cwd, path.as_bytes(), true).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(same(&found, &sh).unwrap(), "{path}");
        }
        for (path, error) in [
            ("/bin/none", Errno::NOENT),
            ("out", Errno::NOENT),
            ("/secret", Errno::NOENT),
            ("/bin/sh/x", Errno::NOTDIR),
            ("/loop", Errno::LOOP),
            ("", Errno::NOENT),
        ] {
            assert_eq!(at.open(From::Cwd, path.as_bytes(), true).unwrap_err(), error, "{path}");
        }
        assert_eq!(at.open(From::Cwd, &[b'a'; 5000], true).unwrap_err(), Errno::NAMETOOLONG);
        let link = at.open(From::Cwd, b"absolute", false).unwrap();
        assert!(FileType::from_raw_mode(fstat(&link).unwrap().st_mode).is_symlink());
        let bin = open_path(&root.join("bin")).unwrap();
        assert!(same(&at.open(From::Directory(bin.as_fd()), b"sh", true).unwrap(), &sh).unwrap());
        assert_eq!(at.cwd_path().unwrap(), b"/home/ann");
        assert_eq!(at.path_of(sh.as_fd()).unwrap(), b"/bin/sh");
        assert_eq!(at.path_of(open_file(&outer.path().join("secret")).as_fd()), None);
    }

    #[test]
    fn proc_is_seen_as_the_process_sees_it() {
        use std::os::fd::AsRawFd as _;
        let at = standpoint(Path::new("/"), "proc");
        let own = open_file(&std::env::current_exe().unwrap());
        assert!(same(&at.open(From::Cwd, b"/proc/self/exe", true).unwrap(), &own).unwrap());
        assert!(same(&at.open(From::Cwd, b"self/exe", true).unwrap(), &own).unwrap());
        let descriptor = format!("/dev/fd/{}", own.as_raw_fd());
        if Path::new("/dev/fd").exists() {
            assert!(same(&at.open(From::Cwd, descriptor.as_bytes(), true).unwrap(), &own).unwrap());
        }
    }

    fn open_file(path: &Path) -> OwnedFd {
        openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }
}
