//! In: files, a directory, and work. Out: the work's result, done by a thread that sees just these files in the directory. Never: a mount anybody else sees.

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;

use crate::kernel::process;

/// Does the work on a thread with a mount namespace of its own, in which the directory holds these files (name, source) and
/// nothing else. The namespace ends with the work; files the kernel keeps open live on.
///
/// # Errors
/// When the namespace or a mount in it is refused: this takes the rights of root.
pub fn with_files_in<T: Send>(
    directory: &Path,
    files: &[(String, PathBuf)],
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            process::unshare(UnshareFlags::FS | UnshareFlags::NEWNS)?;
            rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            show(directory, files)?;
            Ok(work())
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn show(directory: &Path, files: &[(String, PathBuf)]) -> io::Result<()> {
    // Opened before the directory is covered: that may be where they lie.
    let opened =
        files.iter().map(|(name, source)| Ok((name, fs_err::File::open(source)?))).collect::<io::Result<Vec<_>>>()?;
    rustix::mount::mount("tmpfs", directory, "tmpfs", MountFlags::empty(), Some(c"mode=0755"))?;
    for (name, source) in &opened {
        let place = directory.join(name);
        fs_err::write(&place, "")?;
        rustix::mount::mount_bind(format!("/proc/thread-self/fd/{}", source.as_raw_fd()), &place)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_holds_the_files_for_the_work_alone() {
        let directory = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("own"), "own").unwrap();
        fs_err::write(outside.path().join("source"), "shown").unwrap();
        let files = [("a".to_owned(), outside.path().join("source")), ("b".to_owned(), directory.path().join("own"))];
        let seen = with_files_in(directory.path(), &files, || {
            let read = |name: &str| fs_err::read_to_string(directory.path().join(name)).unwrap_or_default();
            [read("a"), read("b"), read("own")]
        });
        match seen {
            Ok(seen) => assert_eq!(seen, ["shown", "own", ""]),
            Err(error) => println!("skipped: {error}"),
        }
        assert_eq!(fs_err::read_to_string(directory.path().join("own")).unwrap(), "own");
        assert!(!directory.path().join("a").exists());
    }
}
