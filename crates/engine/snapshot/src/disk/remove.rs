//! In: a path or a name in an open directory. Out: nothing is there any more. Never: a followed symlink, a removed file outside the tree, a stack as deep as the tree.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::object;

/// Directories deeper than this are first moved to the top, so that neither descriptors nor path lengths run out.
const DEPTH_MAX: usize = 64;

/// Removes whatever is at `path`: file, symlink (not what it points to) or whole tree. Nothing there is success. Directories without permissions are made
/// writable first, so it also works for an unprivileged owner.
///
/// # Errors
/// The first object that could not be removed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = match rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    remove_at(parent.as_fd(), name.as_bytes())
        .map_err(|error| io::Error::new(error.kind(), format!("remove {}: {error}", path.display())))
}

/// Removes `name` in `dir`, with everything beneath it.
pub(crate) fn remove_at(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        // `dir` may be one of ours without write permission.
        Err(Errno::ACCESS) => {
            open_up(dir, b".")?;
            match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
                Ok(()) => return Ok(()),
                Err(Errno::ISDIR | Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(error) => return Err(error.into()),
    }
    let top = open_for_removal(dir, name)?;
    let mut moved = 0_u64;
    // Emptying the top may move deep directories into it: until nothing was moved.
    loop {
        let before = moved;
        empty(top.as_fd(), top.as_fd(), 0, &mut moved)?;
        if moved == before {
            break;
        }
    }
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

fn empty(top: BorrowedFd<'_>, dir: BorrowedFd<'_>, depth: usize, moved: &mut u64) -> io::Result<()> {
    for name in object::names(dir)? {
        let unlinked = match rustix::fs::unlinkat(dir, &name[..], AtFlags::empty()) {
            Err(Errno::ACCESS) => {
                open_up(dir, b".")?;
                rustix::fs::unlinkat(dir, &name[..], AtFlags::empty())
            }
            other => other,
        };
        match unlinked {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR) => {}
            // POSIX lets unlink of a directory say EPERM; a file really refused fails below with ENOTDIR otherwise.
            Err(Errno::PERM) if object::stat(dir, &name)?.is_some_and(|object| object.is_dir()) => {}
            Err(error) => return Err(error.into()),
        }
        if depth >= DEPTH_MAX {
            lift(top, dir, &name, moved)?;
            continue;
        }
        let child = open_for_removal(dir, &name)?;
        empty(top, child.as_fd(), depth + 1, moved)?;
        rustix::fs::unlinkat(dir, &name[..], AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

/// Moves a deep directory to the top of the tree under a free name.
fn lift(top: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: &[u8], moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        let free = format!(".crossdock-deep-{moved}");
        match rustix::fs::renameat_with(dir, name, top, free.as_str(), rustix::fs::RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            // A directory without permissions cannot change its parent.
            Err(Errno::ACCESS) => {
                open_up(dir, name)?;
                rustix::fs::renameat(dir, name, top, free.as_str())?;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn open_for_removal(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    match object::open_dir(dir, name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(dir, name)?;
            object::open_dir(dir, name)
        }
        other => other,
    }
}

/// Lets the owner read, write and search a directory.
fn open_up(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    // There is no chmod that does not follow symlinks before Linux 6.6; an `O_PATH` descriptor and its magic link do not either.
    let fd = rustix::fs::openat(
        dir,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let itself = object::proc_path(fd.as_fd(), b"");
    // Without search permission even `fd/.` is out of reach: name the descriptor itself.
    let itself = itself.strip_suffix(b"/.").unwrap_or(&itself);
    Ok(rustix::fs::chmod(itself, Mode::RWXU)?)
}
