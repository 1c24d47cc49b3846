//! In: the emulator's file. Out: names of it that a step can execute, one for each right it must give. Never: a file in the step's layer.
//!
//! The step sees a small file system in memory at [`INSIDE`], read-only. An emulator executed by a link of the program's name is called like the
//! program in process lists. Set-id programs get a copy of the emulator with the same owner, bits and capabilities, made when first needed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, StatVfsMountFlags, XattrFlags};
use rustix::mount::{MountFlags, mount, mount_bind};
use rustix::process::{Gid, Uid};

/// Where the step sees the emulators.
pub(crate) const INSIDE: &str = "/dev/.crossdock";
/// The emulator's file in the directory of each variant.
const FILE: &str = ".qemu";
/// The attribute that holds a file's capabilities.
const CAPABILITIES: &str = "security.capability";
/// More names than that are not made; further programs share one.
const NAMES_MAX: usize = 4096;

/// What a set-id program, or one with capabilities, gives to who executes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rights {
    /// The owner whose rights it gives.
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// The attribute's bytes.
    pub(super) capabilities: Vec<u8>,
}

impl Rights {
    /// The directory of the emulator's variant.
    fn directory(&self) -> String {
        if *self == Self::default() {
            return "plain".to_owned();
        }
        let id = |id: Option<u32>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let capabilities: String = self.capabilities.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}.{}.{capabilities}", id(self.uid), id(self.gid))
    }
}

/// The emulators of one step.
#[derive(Debug)]
pub(super) struct Emulators {
    /// Where the file system lies outside of the step.
    place: PathBuf,
    qemu: PathBuf,
    made: BTreeSet<PathBuf>,
    /// Device and number of every file, to recognise them.
    ids: Vec<(u64, u64)>,
}

/// Puts the plain emulator in place; `place` is an empty directory that becomes the file system.
///
/// # Errors
/// What the kernel says.
pub(crate) fn prepare(place: &Path, qemu: &Path) -> io::Result<()> {
    mount("emulators", place, "tmpfs", MountFlags::NODEV, Some(c"mode=755"))?;
    let directory = place.join(Rights::default().directory());
    fs_err::create_dir(&directory)?;
    let file = directory.join(FILE);
    // A file of the host's is shared by all steps; where it may not be executed, a copy is.
    let noexec = rustix::fs::statvfs(qemu)?.f_flag.contains(StatVfsMountFlags::NOEXEC);
    fs_err::File::create(&file)?;
    if noexec || mount_bind(qemu, &file).is_err() {
        copy(qemu, &file, &Rights::default())?;
    }
    fs_err::set_permissions(&directory, std::fs::Permissions::from_mode(0o755))
}

impl Emulators {
    /// What [`prepare`] has put in place.
    pub(super) fn at(place: PathBuf, qemu: PathBuf) -> io::Result<Self> {
        let mut own = Self { place, qemu, made: BTreeSet::new(), ids: Vec::new() };
        own.recognise(&own.place.join(Rights::default().directory()).join(FILE))?;
        Ok(own)
    }

    fn recognise(&mut self, file: &Path) -> io::Result<()> {
        let status = fs_err::metadata(file)?;
        self.ids.push((status.dev(), status.ino()));
        Ok(())
    }

    /// Whether a file is one of these emulators.
    pub(super) fn holds(&self, status: &rustix::fs::Stat) -> bool {
        self.ids.contains(&(status.st_dev, status.st_ino))
    }

    /// The path, within [`INSIDE`], of an emulator that gives these rights and is called like the program.
    ///
    /// # Errors
    /// When it has to be made and cannot be.
    pub(super) fn path(&mut self, rights: &Rights, program: &[u8]) -> io::Result<Vec<u8>> {
        let directory = PathBuf::from(rights.directory());
        let file = directory.join(FILE);
        if *rights != Rights::default() && !self.made.contains(&file) {
            let outside = self.place.join(&directory);
            fs_err::create_dir(&outside)?;
            fs_err::set_permissions(&outside, std::fs::Permissions::from_mode(0o755))?;
            copy(&self.qemu, &outside.join(FILE), rights)?;
            self.recognise(&outside.join(FILE))?;
            self.made.insert(file.clone());
        }
        let name = program.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if name.is_empty() || name == FILE.as_bytes() || name == b".." || name == b"." || self.made.len() >= NAMES_MAX {
            return Ok(file.as_os_str().as_bytes().to_vec());
        }
        let link = directory.join(OsStr::from_bytes(name));
        if !self.made.contains(&link) {
            std::os::unix::fs::symlink(FILE, self.place.join(&link))?;
            self.made.insert(link.clone());
        }
        Ok(link.as_os_str().as_bytes().to_vec())
    }

    /// Device and number of the file at a path that [`Emulators::path`] gave.
    pub(super) fn id(&self, path: &[u8]) -> io::Result<(u64, u64)> {
        let status = fs_err::metadata(self.place.join(OsStr::from_bytes(path)))?;
        Ok((status.dev(), status.ino()))
    }
}

/// Copies the emulator with an owner, bits and capabilities.
fn copy(qemu: &Path, target: &Path, rights: &Rights) -> io::Result<()> {
    let mut source = fs_err::File::open(qemu)?;
    let mut file = fs_err::File::create(target)?;
    io::copy(&mut source, &mut file)?;
    let file = file.into_file();
    let (uid, gid) = (rights.uid.unwrap_or(0), rights.gid.unwrap_or(0));
    // Where only one id exists, every file is its own already.
    let owned = rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    if uid != 0 || gid != 0 {
        owned?;
    }
    let mut mode = Mode::from_raw_mode(0o555);
    mode.set(Mode::SUID, rights.uid.is_some());
    mode.set(Mode::SGID, rights.gid.is_some());
    rustix::fs::fchmod(&file, mode)?;
    if !rights.capabilities.is_empty() {
        rustix::fs::fsetxattr(&file, CAPABILITIES, &rights.capabilities, XattrFlags::empty())?;
    }
    Ok(())
}

/// What a program gives to who executes it; nothing where its mount forbids that. `file` is open for reading.
pub(super) fn rights_of(file: &File, status: &rustix::fs::Stat) -> io::Result<Rights> {
    let mode = Mode::from_raw_mode(status.st_mode);
    let mut capabilities = [0; 64];
    let attribute = rustix::fs::fgetxattr(file, CAPABILITIES, &mut capabilities);
    let rights = Rights {
        uid: mode.contains(Mode::SUID).then_some(status.st_uid),
        gid: mode.contains(Mode::SGID | Mode::XGRP).then_some(status.st_gid),
        capabilities: attribute.map_or_else(|_| Vec::new(), |length| capabilities[..length].to_vec()),
    };
    if rights == Rights::default() || rustix::fs::fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::NOSUID) {
        return Ok(Rights::default());
    }
    Ok(rights)
}

/// Opens the step's view of the emulators through a process of the step's.
///
/// # Errors
/// When the process is gone.
pub(super) fn seen_by(directory: &Path) -> io::Result<OwnedFd> {
    let root = rustix::fs::open(directory.join("root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let inside = INSIDE.trim_start_matches('/');
    Ok(rustix::fs::openat(root.as_fd(), inside, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens an emulator in the step's view for reading: such a descriptor can be handed over.
///
/// # Errors
/// What the kernel says.
pub(super) fn open_in(view: &OwnedFd, path: &[u8]) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(view, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Whether a path names this file, looked at with the rights of the moment.
pub(super) fn is_file(found: &OwnedFd, id: (u64, u64)) -> bool {
    rustix::fs::statat(found, "", AtFlags::EMPTY_PATH).is_ok_and(|status| (status.st_dev, status.st_ino) == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emulators() -> (tempfile::TempDir, Emulators) {
        let directory = tempfile::tempdir().unwrap();
        let plain = directory.path().join("plain");
        fs_err::create_dir(&plain).unwrap();
        fs_err::write(plain.join(FILE), "qemu").unwrap();
        let emulators = Emulators::at(directory.path().to_owned(), plain.join(FILE)).unwrap();
        (directory, emulators)
    }

    #[test]
    fn names_lead_to_the_emulator() {
        let (directory, mut emulators) = emulators();
        let path = emulators.path(&Rights::default(), b"/bin/sh").unwrap();
        assert_eq!(path, b"plain/sh");
        assert_eq!(emulators.path(&Rights::default(), b"./sh").unwrap(), b"plain/sh");
        assert_eq!(emulators.path(&Rights::default(), b"/x/.qemu").unwrap(), b"plain/.qemu");
        assert_eq!(emulators.path(&Rights::default(), b"/x/..").unwrap(), b"plain/.qemu");
        assert_eq!(fs_err::read(directory.path().join("plain/sh")).unwrap(), b"qemu");
        let status = rustix::fs::stat(directory.path().join("plain/sh")).unwrap();
        assert!(emulators.holds(&status) && emulators.id(&path).unwrap() == (status.st_dev, status.st_ino));
    }

    #[test]
    fn set_id_programs_get_a_copy_with_their_bits() {
        let (directory, mut emulators) = emulators();
        let own = fs_err::metadata(directory.path()).unwrap();
        let rights = Rights { uid: Some(own.uid()), gid: None, capabilities: Vec::new() };
        if own.uid() != 0 {
            println!("skipped: needs root");
            return;
        }
        let path = emulators.path(&rights, b"/bin/su").unwrap();
        assert_eq!(path, b"0.-./su");
        let copy = fs_err::metadata(directory.path().join("0.-./.qemu")).unwrap();
        assert_eq!((copy.mode() & 0o7777, copy.uid()), (0o4555, 0));
        let file = fs_err::File::open(directory.path().join("0.-./su")).unwrap().into_file();
        let status = rustix::fs::fstat(&file).unwrap();
        assert_eq!(rights_of(&file, &status).unwrap(), rights);
    }
}
