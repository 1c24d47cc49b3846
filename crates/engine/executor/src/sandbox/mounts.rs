//! In: the plan, the root. Out: the plan's mounts made beneath the root. Never: a mount point resolved by a path the image controls; only by descriptors held within the root.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crossdock_llb::Security;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind, mount_bind_recursive, mount_remount};

use super::devices;
use super::follow::emulators::INSIDE;
use super::plan::{MASKED, NO_SUID_DEV_EXEC, Planned, READONLY, What};
use super::spec::{ExecSpec, MountSource};
use super::target::{Kind, Root, descriptor_path};
use crate::error::ExecutorError;
use crate::keeper::blocked::{HostFacts, RefusedCall, diagnose};

/// Where the pieces of a sandbox lie before it has them: a file system in memory that only this step's processes see.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// The mount point of the root.
    pub(super) fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    /// Files of the sandbox's own making.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The mount point of a tree that a mount shows part of.
    pub(super) fn tree(&self, index: usize) -> PathBuf {
        self.0.join(format!("tree-{index}"))
    }

    /// What is written and thrown away.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.0.join(format!("scratch-{name}"))
    }

    /// An empty directory, shown instead of masked ones.
    pub(super) fn empty(&self) -> PathBuf {
        self.0.join("empty")
    }

    /// The emulators of a followed step.
    pub(super) fn emulators(&self) -> PathBuf {
        self.0.join("emulators")
    }

    /// A /proc of the worker's pid namespace.
    pub(super) fn proc(&self) -> PathBuf {
        self.0.join("proc")
    }

    /// The mount point of the step's own binfmt_misc.
    pub(super) fn binfmt(&self) -> PathBuf {
        self.0.join("binfmt")
    }
}

/// The bits of a mode that chmod sets.
const MODE_MASK: u32 = 0o7777;

/// Makes one mount of the plan.
pub(super) fn perform(planned: &Planned, spec: &ExecSpec, root: &mut Root, place: &Place) -> Result<(), ExecutorError> {
    let fail = |error: io::Error| ExecutorError::io("mount", &planned.dest, &error);
    match &planned.what {
        What::Fresh { kind, flags, options, otherwise } => {
            let target = root.find_or_make(&planned.dest, Kind::Directory).map_err(fail)?;
            fresh(kind, &target, *flags, options, otherwise.as_deref())
                .map_err(|error| refused(kind, &planned.dest, error))
        }
        What::Memory { flags, options } => {
            let found = root.find(&planned.dest).map_err(fail)?;
            let own = found.map(|found| rustix::fs::fstat(&found)).transpose().map_err(|error| fail(error.into()))?;
            let target = root.find_or_make(&planned.dest, Kind::Directory).map_err(fail)?;
            // A directory that is there lends its mode, as with runc.
            let options = match own {
                Some(own) if !options.contains("mode=") => {
                    format!("mode={:o},{options}", own.st_mode & MODE_MASK)
                }
                _ => options.clone(),
            };
            fresh("tmpfs", &target, *flags, options.trim_end_matches(','), None).map_err(|error| fail(error.into()))
        }
        What::Sys { readonly } => {
            let target = root.find_or_make(&planned.dest, Kind::Directory).map_err(fail)?;
            let bound = sys(&target, *readonly).map_err(|error| fail(error.into()))?;
            if bound && *readonly { tighten(root, &planned.dest, MountFlags::RDONLY, true) } else { Ok(()) }
        }
        What::Dev => {
            let target = root.find_or_make(&planned.dest, Kind::Directory).map_err(fail)?;
            let nodev = if spec.security == Security::Sandbox { MountFlags::NODEV } else { MountFlags::empty() };
            fresh("tmpfs", &target, MountFlags::NOSUID | MountFlags::STRICTATIME | nodev, "mode=755,size=65536k", None)
                .map_err(|error| fail(error.into()))?;
            // The first descriptor names the covered directory; a second look finds the mount on top of it.
            let inside = root.find(&planned.dest).map_err(fail)?.ok_or_else(|| fail(io::ErrorKind::NotFound.into()))?;
            devices::fill(Path::new(&descriptor_path(&inside)), spec.security)
                .map_err(|(name, error)| ExecutorError::io("make device", name, &error))?;
            if spec.is_followed() { show_emulators(root, &inside, place) } else { Ok(()) }
        }
        What::OwnFile { name, readonly } => {
            let target = root.find_or_make(&planned.dest, Kind::File).map_err(fail)?;
            mount_bind(place.file(name), descriptor_path(&target)).map_err(|error| fail(error.into()))?;
            // A file of ours is text, never a program or a device.
            let readonly = if *readonly { MountFlags::RDONLY } else { MountFlags::empty() };
            tighten(root, &planned.dest, readonly | NO_SUID_DEV_EXEC, false)
        }
        What::User { index, readonly } => {
            let source = user_source(spec, *index, place)?;
            let kind = rustix::fs::fstat(&source).map_err(|error| fail(error.into()))?;
            let kind = rustix::fs::FileType::from_raw_mode(kind.st_mode);
            let directory = kind.is_dir();
            let target =
                root.find_or_make(&planned.dest, if directory { Kind::Directory } else { Kind::File }).map_err(fail)?;
            mount_bind_recursive(descriptor_path(&source), descriptor_path(&target))
                .map_err(|error| fail(error.into()))?;
            let mut flags = if *readonly { MountFlags::RDONLY } else { MountFlags::empty() };
            // A device that the user shows by name is meant to be used.
            if spec.security == Security::Sandbox && !kind.is_char_device() && !kind.is_block_device() {
                flags |= MountFlags::NODEV;
            }
            tighten(root, &planned.dest, flags, true)
        }
    }
}

/// Makes directories that can be written to in a root that is about to be read-only: mounts of their own.
pub(super) fn keep_writable(directories: &[String], root: &mut Root) -> Result<(), ExecutorError> {
    for directory in directories {
        let fail = |error: io::Error| ExecutorError::io("make directory", directory, &error);
        let target = root.find_or_make(directory, Kind::Directory).map_err(fail)?;
        mount_bind_recursive(descriptor_path(&target), descriptor_path(&target)).map_err(|error| fail(error.into()))?;
    }
    Ok(())
}

/// Shows a followed step its emulators, beneath a /dev that is in memory.
fn show_emulators(root: &Root, dev: &OwnedFd, place: &Place) -> Result<(), ExecutorError> {
    let fail = |error: io::Error| ExecutorError::io("show", "the emulators", &error);
    let name = INSIDE.rsplit('/').next().unwrap_or_default();
    let target = PathBuf::from(descriptor_path(dev)).join(name);
    fs_err::create_dir(&target).map_err(fail)?;
    mount_bind_recursive(place.emulators(), &target).map_err(|error| fail(error.into()))?;
    tighten(root, INSIDE, MountFlags::RDONLY, true)
}

fn fresh(kind: &str, target: &OwnedFd, flags: MountFlags, options: &str, otherwise: Option<&str>) -> Result<(), Errno> {
    let attempt = |options: &str| {
        let options = CString::new(options).unwrap_or_default();
        mount(kind, descriptor_path(target), kind, flags, options.as_c_str())
    };
    match (attempt(options), otherwise) {
        (Err(Errno::INVAL), Some(otherwise)) => attempt(otherwise),
        (outcome, _) => outcome,
    }
}

/// A refusal of /proc in a container has a cause worth naming.
pub(super) fn refused(kind: &str, dest: &str, error: Errno) -> ExecutorError {
    if kind == "proc" && error == Errno::PERM {
        return diagnose(RefusedCall::MountProc, error.raw_os_error(), &HostFacts::probe()).into();
    }
    ExecutorError::io("mount", dest, &error.into())
}

/// Mounts a sysfs. A user namespace that shares the host's network may not have its own: then the host's is shown, and the answer is true.
fn sys(target: &OwnedFd, readonly: bool) -> Result<bool, Errno> {
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if readonly {
        flags |= MountFlags::RDONLY;
    }
    match mount("sysfs", descriptor_path(target), "sysfs", flags, None) {
        Ok(()) => Ok(false),
        Err(Errno::PERM | Errno::ACCESS) => mount_bind_recursive("/sys", descriptor_path(target)).map(|()| true),
        Err(error) => Err(error),
    }
}

/// What a user's mount shows.
fn user_source(spec: &ExecSpec, index: usize, place: &Place) -> Result<OwnedFd, ExecutorError> {
    let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    match &spec.mounts[index].source {
        MountSource::Host(path) => open(path.as_path()).map_err(|error| ExecutorError::io("open", path, &error.into())),
        MountSource::Tree { selector, .. } => {
            let fail = |error: Errno| {
                ExecutorError::io("open", format!("/{}", selector.trim_start_matches('/')), &error.into())
            };
            let tree = open(&place.tree(index)).map_err(fail)?;
            let selector = selector.trim_start_matches('/');
            let selector = if selector.is_empty() { "." } else { selector };
            openat2(
                &tree,
                selector,
                OFlags::PATH | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            )
            .map_err(fail)
        }
        MountSource::Tmpfs(_) | MountSource::File { .. } => {
            Err(ExecutorError::BadStep { what: "a mount without a source was planned as one with".to_owned() })
        }
    }
}

/// Tightens what is mounted at a path of the root.
pub(super) fn tighten(root: &Root, dest: &str, flags: MountFlags, recursive: bool) -> Result<(), ExecutorError> {
    let fail = |error: io::Error| ExecutorError::io("tighten the mount at", dest, &error);
    let mounted = root.find(dest).map_err(fail)?.ok_or_else(|| fail(io::ErrorKind::NotFound.into()))?;
    tighten_at(&descriptor_path(&mounted), flags, recursive).map_err(fail)
}

/// Adds flags (RDONLY, NODEV, …) to the mount at a path, and to all beneath it.
pub(super) fn tighten_at(path: &str, flags: MountFlags, recursive: bool) -> io::Result<()> {
    /// RDONLY, NOSUID, NODEV and NOEXEC have one number everywhere.
    const KEPT: u64 = 0xf;
    let text = CString::new(path).map_err(io::Error::other)?;
    match crate::kernel::mount::add_flags(&text, flags.bits().into(), recursive) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
            // A remount must repeat the flags a user namespace may not clear.
            let status = rustix::fs::statvfs(path)?;
            let kept = MountFlags::from_bits_truncate(u32::try_from(status.f_flag.bits() & KEPT).unwrap_or_default());
            Ok(mount_remount(path, MountFlags::BIND | flags | kept, c"")?)
        }
        outcome => outcome,
    }
}

/// Hides and protects what runc hides and protects.
pub(super) fn protect(root: &Root, place: &Place) -> Result<(), ExecutorError> {
    for path in MASKED {
        let fail = |error: io::Error| ExecutorError::io("mask", path, &error);
        let Some(target) = root.find(path).map_err(fail)? else { continue };
        let status = rustix::fs::fstat(&target).map_err(|error| fail(error.into()))?;
        let cover = if rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir() {
            place.empty()
        } else {
            PathBuf::from("/dev/null")
        };
        mount_bind(cover, descriptor_path(&target)).map_err(|error| fail(error.into()))?;
    }
    for path in READONLY {
        let fail = |error: Errno| ExecutorError::io("protect", path, &error.into());
        let found = root.find(path).map_err(|error| ExecutorError::io("protect", path, &error))?;
        let Some(target) = found else { continue };
        mount_bind_recursive(descriptor_path(&target), descriptor_path(&target)).map_err(fail)?;
        tighten(root, path, MountFlags::RDONLY, true)?;
    }
    Ok(())
}
