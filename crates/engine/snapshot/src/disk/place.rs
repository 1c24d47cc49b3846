//! In: facts of one object and an open directory. Out: that object, made there with owner, mode, attributes and times in the order the kernel needs. Never: a
//! followed symlink, an object outside the directory, a silent loss: what cannot be made here is counted.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::object::{self, Object, is_layer_xattr, is_overlay_xattr};
use crate::entry::{Entry, Mtime, Xattrs};
use crate::path::RootedPath;

/// The attribute by which a directory hands an access list to what is made in it.
pub(crate) const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";
const ACCESS_ACL: &[u8] = b"system.posix_acl_access";

/// What happens to owners that are not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdPolicy {
    /// They are set (root, or a user namespace with all sub-ids). An id that is not mapped is an error.
    Keep,
    /// Everything belongs to 0 (a user namespace with one id); what this changes is counted.
    ClampTo0,
    /// They are left as they come: everything new belongs to whoever writes (files for a user, outside of any snapshot).
    Leave,
}

/// How often something was left out, and where first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub count: u64,
    /// The first path it happened to.
    pub first: Option<RootedPath>,
}

impl Tally {
    pub(crate) fn add(&mut self, path: &RootedPath) {
        self.count += 1;
        self.first.get_or_insert_with(|| path.clone());
    }
}

/// What this process may not make and therefore left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Owners other than 0 ([`IdPolicy::ClampTo0`]).
    pub owners: Tally,
    /// Attributes that the kernel refused or that layers do not carry (host labels, `trusted.*`).
    pub xattrs: Tally,
    /// Device nodes: impossible in user namespaces. The name does not exist in the snapshot; the layer's blob still has it. A device 0:0 is always left
    /// out, because it would be a whiteout.
    pub devices: Tally,
}

/// Why an object could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("{action}: {source}")]
    Failed { action: &'static str, source: io::Error },
    #[error("owner {uid}:{gid} is not mapped")]
    IdNotMapped { uid: u32, gid: u32 },
}

impl PlaceError {
    /// What was tried, and why it failed.
    pub fn into_parts(self) -> (&'static str, io::Error) {
        match self {
            Self::Failed { action, source } => (action, source),
            Self::IdNotMapped { uid, gid } => {
                ("set owner", io::Error::other(format!("owner {uid}:{gid} has no meaning in this user namespace")))
            }
        }
    }
}

/// Turns an error of the operating system into ours.
pub(crate) fn failed<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> PlaceError {
    move |error| PlaceError::Failed { action, source: error.into() }
}

/// Metadata to give to an object.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Mtime,
    pub xattrs: &'a Xattrs,
}

impl<'a> Facts<'a> {
    pub fn of_entry(entry: &'a Entry) -> Self {
        Self { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime, xattrs: &entry.xattrs }
    }

    pub fn of_object(object: &Object, xattrs: &'a Xattrs) -> Self {
        Self { mode: object.mode, uid: object.uid, gid: object.gid, mtime: object.mtime, xattrs }
    }
}

/// The kinds that have neither bytes nor children.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NodeKind<'a> {
    Symlink(&'a [u8]),
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
}

/// Makes objects; `path` arguments only name them in the counts.
pub(crate) struct Placer {
    pub ids: IdPolicy,
    pub left_out: LeftOut,
}

/// The directory something is made in.
#[derive(Clone, Copy)]
pub(crate) struct Within<'d> {
    pub fd: BorrowedFd<'d>,
    /// Whether it hands its group or an access list to what is made in it.
    pub inherits: bool,
}

impl Placer {
    pub fn new(ids: IdPolicy) -> Self {
        Self { ids, left_out: LeftOut::default() }
    }

    /// A new regular file, still empty. Fails with `EEXIST` when the name is taken.
    pub fn create_file(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<std::fs::File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(std::fs::File::from(fd))
    }

    /// Owner, mode, attributes and times of a regular file, after its bytes: writing would drop capabilities.
    pub fn finish_file(
        &mut self,
        file: &std::fs::File,
        dir: Within<'_>,
        path: &RootedPath,
        facts: &Facts<'_>,
    ) -> Result<(), PlaceError> {
        self.own_fd(file.as_fd(), dir, path, facts)?;
        rustix::fs::fchmod(file, Mode::from_raw_mode(facts.mode)).map_err(failed("set mode"))?;
        self.set_xattrs(path, facts, dir.inherits, |name, value| set_or_remove_fd(file.as_fd(), name, value))?;
        rustix::fs::futimens(file, &timestamps(facts.mtime)).map_err(failed("set times"))
    }

    /// Makes a directory and opens it. Fails with `EEXIST` when the name is taken. Its facts follow with `finish_dir`.
    pub fn create_dir(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
        rustix::fs::mkdirat(dir, name, Mode::RWXU)?;
        object::open_dir(dir, name)
    }

    /// Owner, mode and attributes of a directory. Its times come last, when nothing is made in it any more.
    pub fn finish_dir(
        &mut self,
        fd: BorrowedFd<'_>,
        dir: Within<'_>,
        path: &RootedPath,
        facts: &Facts<'_>,
    ) -> Result<(), PlaceError> {
        self.own_fd(fd, dir, path, facts)?;
        rustix::fs::fchmod(fd, Mode::from_raw_mode(facts.mode)).map_err(failed("set mode"))?;
        self.set_xattrs(path, facts, dir.inherits, |name, value| set_or_remove_fd(fd, name, value))
    }

    /// Gives an existing directory exactly these facts: attributes it has beyond them go.
    pub fn update_dir(&mut self, fd: BorrowedFd<'_>, path: &RootedPath, facts: &Facts<'_>) -> Result<(), PlaceError> {
        let stale = object::xattrs_where(fd, b"", |name| is_layer_xattr(name) && !facts.xattrs.contains_key(name));
        for name in stale.map_err(failed("list attributes"))?.keys() {
            rustix::fs::fremovexattr(fd, name.as_slice()).map_err(failed("remove attribute"))?;
        }
        // As in a directory that hands down its group: the owner must be set even when it is 0:0.
        self.finish_dir(fd, Within { fd, inherits: true }, path, facts)
    }

    /// A symlink, device or pipe with all its facts. Fails with `EEXIST` when the name is taken; false when it was left out.
    pub fn create_node(
        &mut self,
        dir: Within<'_>,
        name: &[u8],
        path: &RootedPath,
        kind: NodeKind<'_>,
        facts: &Facts<'_>,
    ) -> Result<bool, PlaceError> {
        let mode = Mode::from_raw_mode(facts.mode);
        let made = match kind {
            NodeKind::Symlink(target) => rustix::fs::symlinkat(target, dir.fd, name),
            NodeKind::Fifo => rustix::fs::mknodat(dir.fd, name, FileType::Fifo, mode, 0),
            NodeKind::CharDevice { major: 0, minor: 0 } => Err(Errno::PERM),
            NodeKind::CharDevice { major, minor } => {
                rustix::fs::mknodat(dir.fd, name, FileType::CharacterDevice, mode, rustix::fs::makedev(major, minor))
            }
            NodeKind::BlockDevice { major, minor } => {
                rustix::fs::mknodat(dir.fd, name, FileType::BlockDevice, mode, rustix::fs::makedev(major, minor))
            }
        };
        match made {
            Err(Errno::PERM) if matches!(kind, NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. }) => {
                self.left_out.devices.add(path);
                return Ok(false);
            }
            other => other.map_err(failed("create"))?,
        }
        if let Some((uid, gid)) = self.owner(dir, path, facts) {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(dir.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| owner_failed(e, facts))?;
        }
        let is_symlink = matches!(kind, NodeKind::Symlink(_));
        if !is_symlink {
            // The umask and chown took bits away; the name was made by us and is no symlink.
            rustix::fs::chmodat(dir.fd, name, mode, AtFlags::empty()).map_err(failed("set mode"))?;
        }
        let proc_path = object::proc_path(dir.fd, name);
        self.set_xattrs(path, facts, dir.inherits && !is_symlink, |name, value| match value {
            Some(value) => rustix::fs::lsetxattr(proc_path.as_slice(), name, value, rustix::fs::XattrFlags::empty()),
            None => rustix::fs::lremovexattr(proc_path.as_slice(), name),
        })?;
        set_times(dir.fd, name, facts.mtime).map_err(failed("set times"))?;
        Ok(true)
    }

    fn own_fd(
        &mut self,
        fd: BorrowedFd<'_>,
        dir: Within<'_>,
        path: &RootedPath,
        facts: &Facts<'_>,
    ) -> Result<(), PlaceError> {
        let Some((uid, gid)) = self.owner(dir, path, facts) else { return Ok(()) };
        rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(|e| owner_failed(e, facts))
    }

    /// The owner to set; none when a new object has it already.
    fn owner(&mut self, dir: Within<'_>, path: &RootedPath, facts: &Facts<'_>) -> Option<(u32, u32)> {
        match (self.ids, facts.uid, facts.gid) {
            (IdPolicy::Leave, _, _) => None,
            (_, 0, 0) => dir.inherits.then_some((0, 0)),
            (IdPolicy::Keep, uid, gid) => Some((uid, gid)),
            (IdPolicy::ClampTo0, _, _) => {
                self.left_out.owners.add(path);
                dir.inherits.then_some((0, 0))
            }
        }
    }

    fn set_xattrs(
        &mut self,
        path: &RootedPath,
        facts: &Facts<'_>,
        inherits: bool,
        set: impl Fn(&[u8], Option<&[u8]>) -> rustix::io::Result<()>,
    ) -> Result<(), PlaceError> {
        if inherits {
            for name in [ACCESS_ACL, DEFAULT_ACL].into_iter().filter(|name| !facts.xattrs.contains_key(*name)) {
                // Not there, not supported, not for this kind of object: nothing was inherited.
                let _ = set(name, None);
            }
        }
        for (name, value) in facts.xattrs.iter().filter(|(name, _)| !is_overlay_xattr(name)) {
            if !is_layer_xattr(name) {
                self.left_out.xattrs.add(path);
                continue;
            }
            match set(name, Some(value)) {
                Ok(()) => {}
                Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::INVAL | Errno::RANGE | Errno::TOOBIG) => {
                    self.left_out.xattrs.add(path);
                }
                Err(error) => return Err(failed("set attribute")(error)),
            }
        }
        Ok(())
    }
}

/// Sets the time of modification (and of access, so that nothing depends on the clock) of `name` in `dir`, which is not followed.
pub(crate) fn set_times(dir: BorrowedFd<'_>, name: &[u8], mtime: Mtime) -> io::Result<()> {
    Ok(rustix::fs::utimensat(dir, name, &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn timestamps(mtime: Mtime) -> Timestamps {
    let time = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn set_or_remove_fd(fd: BorrowedFd<'_>, name: &[u8], value: Option<&[u8]>) -> rustix::io::Result<()> {
    match value {
        Some(value) => rustix::fs::fsetxattr(fd, name, value, rustix::fs::XattrFlags::empty()),
        None => rustix::fs::fremovexattr(fd, name),
    }
}

/// The kernel says `EINVAL` for an id that has no meaning in this user namespace.
fn owner_failed(error: Errno, facts: &Facts<'_>) -> PlaceError {
    match error {
        Errno::INVAL | Errno::OVERFLOW => PlaceError::IdNotMapped { uid: facts.uid, gid: facts.gid },
        error => failed("set owner")(error),
    }
}
