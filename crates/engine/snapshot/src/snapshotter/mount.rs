//! In: a plan of directories. Out: one mount in this process's mount namespace. Never: an option left to the kernel's defaults where it decides about layers.
//!
//! Overlays are mounted with `redirect_dir=nofollow,metacopy=off,index=off` (a layer could not express what these record), `volatile` (nothing below needs to
//! survive a power cut: an unfinished snapshot has no row, so fsync inside steps and the sync at unmount would be waste) and, in user namespaces, `userxattr`.
//! Names are relative to the snapshots' root. Linux ≥ 6.5 takes lower layers one by one (`lowerdir+`); before, they share the 4 KiB of mount(2)'s options.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags};

use super::SnapshotError;
use crate::disk::remove_tree;

/// Lower layers of one overlay; more are merged into one directory first. The kernel's own limit is 500, every one costs look-ups.
pub const LOWERS_MAX: usize = 100;

/// How to show a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountPlan {
    /// The directory itself.
    Bind {
        /// The directory.
        source: PathBuf,
        /// Whether the mount is read-only.
        read_only: bool,
    },
    /// A merge of directories.
    Overlay(OverlayPlan),
}

/// The directories of an overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayPlan {
    /// Where relative names start.
    pub base: PathBuf,
    /// Relative names, topmost first: at least 1, at least 2 without `upper`, at most [`LOWERS_MAX`].
    pub lowers: Vec<PathBuf>,
    /// Relative names of the directory written to and of the kernel's working directory; none: read-only.
    pub upper: Option<(PathBuf, PathBuf)>,
    /// Marks are `user.overlay.*`: needed in user namespaces.
    pub userxattr: bool,
}

impl MountPlan {
    /// Mounts it on the existing directory `target`. Changes this process's working directory for the time of the call: for single-threaded workers only.
    ///
    /// # Errors
    /// `Mount`, with the kernel's words.
    pub fn mount(&self, target: &Path) -> Result<(), SnapshotError> {
        match self {
            Self::Bind { source, read_only } => bind(source, target, *read_only)
                .map_err(|error| mount_error(source.display().to_string(), target, error, String::new())),
            Self::Overlay(plan) => plan.mount(target),
        }
    }
}

impl OverlayPlan {
    fn mount(&self, target: &Path) -> Result<(), SnapshotError> {
        let what = || format!("overlay of {} layers", self.lowers.len());
        if let Some((_, work)) = &self.upper {
            // What an earlier mount left there would make the kernel refuse a volatile one.
            self.renew(&self.base.join(work)).map_err(|error| mount_error(what(), target, error, String::new()))?;
        }
        let mounted = in_directory(&self.base, target, |target| match self.mount_by_steps_if_known(target) {
            Err((error, _)) if matches!(Errno::from_io_error(&error), Some(Errno::NOSYS | Errno::NOTSUP)) => {
                self.mount_at_once(target).map_err(|error| (error, String::new()))
            }
            // Kernels before 6.5 take any name into a context and refuse it as a whole, without a word on which.
            Err((error, kernel)) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                self.mount_at_once(target).map_err(|_| (error, kernel))
            }
            other => other,
        });
        mounted.map_err(|(error, kernel)| mount_error(what(), target, error, kernel))
    }

    fn renew(&self, work: &Path) -> io::Result<()> {
        remove_tree(work)?;
        Ok(rustix::fs::mkdir(work, Mode::RWXU)?)
    }

    /// The options besides the directories. `userxattr` and `volatile` are flags without value.
    fn options(&self) -> Vec<(&'static str, Option<&[u8]>)> {
        let off = Some(&b"off"[..]);
        // On kernels built to follow redirects `off` means `follow`, which user namespaces refuse: `nofollow` is the off that is meant.
        let mut options = vec![("redirect_dir", Some(&b"nofollow"[..])), ("metacopy", off), ("index", off)];
        if let Some((upper, work)) = &self.upper {
            options.push(("upperdir", Some(upper.as_os_str().as_bytes())));
            options.push(("workdir", Some(work.as_os_str().as_bytes())));
            options.push(("volatile", None));
        }
        if self.userxattr {
            options.push(("userxattr", None));
        }
        options
    }

    /// Older kernels would write a line into their log for every attempt.
    fn mount_by_steps_if_known(&self, target: &Path) -> Result<(), (io::Error, String)> {
        if knows_steps(&rustix::system::uname().release().to_string_lossy()) {
            self.mount_by_steps(target)
        } else {
            Err((Errno::NOTSUP.into(), String::new()))
        }
    }

    /// Linux ≥ 6.5. `NOTSUP` when this kernel does not know `lowerdir+`.
    fn mount_by_steps(&self, target: &Path) -> Result<(), (io::Error, String)> {
        let plain = |error: Errno| (io::Error::from(error), String::new());
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(plain)?;
        for (number, lower) in self.lowers.iter().enumerate() {
            match rustix::mount::fsconfig_set_string(&context, "lowerdir+", lower) {
                Err(Errno::INVAL) if number == 0 => return Err(plain(Errno::NOTSUP)),
                other => other.map_err(|error| explained(&context, error))?,
            }
        }
        for (key, value) in self.options() {
            let set = match value {
                Some(value) => rustix::mount::fsconfig_set_string(&context, key, value),
                None => rustix::mount::fsconfig_set_flag(&context, key),
            };
            set.map_err(|error| explained(&context, error))?;
        }
        rustix::mount::fsconfig_create(&context).map_err(|error| explained(&context, error))?;
        let mount = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
            .map_err(|error| explained(&context, error))?;
        rustix::mount::move_mount(&mount, "", rustix::fs::CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(plain)
    }

    /// Older kernels: one string.
    fn mount_at_once(&self, target: &Path) -> io::Result<()> {
        let mut data = b"lowerdir=".to_vec();
        data.extend(self.lowers.iter().map(|lower| lower.as_os_str().as_bytes()).collect::<Vec<_>>().join(&b':'));
        for (key, value) in self.options() {
            data.push(b',');
            data.extend_from_slice(key.as_bytes());
            if let Some(value) = value {
                data.push(b'=');
                data.extend_from_slice(value);
            }
        }
        let mount = |data: Vec<u8>| -> Result<(), Errno> {
            let data = std::ffi::CString::new(data).map_err(|_| Errno::INVAL)?;
            rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), data.as_c_str())
        };
        match mount(data.clone()) {
            // `volatile` came with Linux 5.10.
            Err(Errno::INVAL) => Ok(mount(without_volatile(&data))?),
            other => Ok(other?),
        }
    }
}

/// Whether a kernel of this release takes lower layers one by one.
fn knows_steps(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 5)
}

fn without_volatile(data: &[u8]) -> Vec<u8> {
    data.split(|&byte| byte == b',').filter(|option| *option != b"volatile").collect::<Vec<_>>().join(&b',')
}

/// Reads the kernel's log of a mount context.
fn explained(context: &OwnedFd, error: Errno) -> (io::Error, String) {
    let mut words = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length) = rustix::io::read(context, &mut buffer[..]) {
        if length == 0 {
            break;
        }
        words.push(String::from_utf8_lossy(&buffer[..length]).trim().to_owned());
    }
    (error.into(), words.join("; "))
}

/// Runs `act` with `dir` as working directory; `target` stays what it means in the present one.
fn in_directory<T>(
    dir: &Path,
    target: &Path,
    act: impl FnOnce(&Path) -> Result<T, (io::Error, String)>,
) -> Result<T, (io::Error, String)> {
    let plain = |error: io::Error| (error, String::new());
    let target = std::path::absolute(target).map_err(plain)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let before = rustix::fs::open(".", flags, Mode::empty()).map_err(|error| plain(error.into()))?;
    rustix::process::chdir(dir).map_err(|error| plain(error.into()))?;
    let result = act(&target);
    rustix::process::fchdir(before).map_err(|error| plain(error.into()))?;
    result
}

fn bind(source: &Path, target: &Path, read_only: bool) -> io::Result<()> {
    rustix::mount::mount_bind(source, target)?;
    if read_only {
        // Flags inherited from the file system's own mount may be locked in a user namespace: name them again.
        let mut flags = MountFlags::BIND | MountFlags::RDONLY;
        let there = rustix::fs::statvfs(target)?.f_flag;
        for (seen, flag) in [
            (rustix::fs::StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
            (rustix::fs::StatVfsMountFlags::NODEV, MountFlags::NODEV),
            (rustix::fs::StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
            (rustix::fs::StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
            (rustix::fs::StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
            (rustix::fs::StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
        ] {
            if there.contains(seen) {
                flags |= flag;
            }
        }
        rustix::mount::mount_remount(target, flags, c"")?;
    }
    Ok(())
}

fn mount_error(what: String, target: &Path, source: io::Error, kernel: String) -> SnapshotError {
    SnapshotError::Mount { what, target: target.to_path_buf(), source, kernel }
}

/// `<id>/<part>`, relative to the snapshots' root.
pub(super) fn relative(id: &super::SnapshotId, part: &str) -> PathBuf {
    PathBuf::from(OsString::from_vec([id.as_str().as_bytes(), b"/", part.as_bytes()].concat()))
}

#[cfg(test)]
mod tests;
