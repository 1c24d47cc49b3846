//! In: the mount point of binfmt_misc. Out: entries added to it and removed from it. Never: an entry touched that nobody named.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags};

use super::error::RegisterError;
use super::line::Line;
use crate::registered::TableState;

/// The kernel's table, open for changes.
#[derive(Debug)]
pub struct Table {
    directory: PathBuf,
    mounted_here: bool,
}

/// What became of a table that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It is as it was found: mounted, or not.
    AsFound,
    /// It was mounted for this, and stays so: a kernel forgets the entries of a table nobody has mounted.
    StaysMounted,
}

impl Table {
    /// Opens the table for changes; mounts it when it is not there.
    ///
    /// # Errors
    /// When it cannot be mounted or written.
    pub fn open(directory: &Path) -> Result<Self, RegisterError> {
        // Some kernels show the files of a mounted table only after the directory has been read once.
        drop(fs_err::read_dir(directory).map(Iterator::count));
        let mounted_here = !directory.join("status").exists();
        if mounted_here {
            rustix::mount::mount("binfmt_misc", directory, "binfmt_misc", MountFlags::empty(), None)
                .map_err(|source| RegisterError::Mount { directory: directory.to_owned(), source: source.into() })?;
        }
        let table = Self { directory: directory.to_owned(), mounted_here };
        match table.check() {
            Ok(()) => Ok(table),
            Err(error) => {
                table.close()?;
                Err(error)
            }
        }
    }

    /// Whether entries can be written: opening the file changes nothing.
    fn check(&self) -> Result<(), RegisterError> {
        use rustix::io::Errno;
        let path = self.register_path();
        let Err(errno) = open(&path) else { return Ok(()) };
        Err(match errno {
            Errno::NOENT => RegisterError::NotMounted { path },
            Errno::PERM | Errno::ACCESS => RegisterError::NotPermitted { path },
            Errno::ROFS => RegisterError::ReadOnly { path },
            other => RegisterError::Open { path, source: other.into() },
        })
    }

    /// Where the table is mounted.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file that takes registrations.
    pub fn register_path(&self) -> PathBuf {
        self.directory.join("register")
    }

    /// The entries as they are now.
    pub fn state(&self) -> TableState {
        TableState::read(&self.directory)
    }

    /// Writes a registration.
    ///
    /// # Errors
    /// What the kernel says, without words of ours.
    pub fn add(&self, line: &Line) -> io::Result<()> {
        put(&self.register_path(), line.to_string().as_bytes())
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// What the kernel says, without words of ours.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        put(&self.directory.join(name), b"-1")
    }

    /// Unmounts what [`Table::open`] mounted, unless there are entries, which would go with it.
    ///
    /// # Errors
    /// When it cannot be unmounted.
    pub fn close(self) -> Result<Closed, RegisterError> {
        if !self.mounted_here {
            return Ok(Closed::AsFound);
        }
        if !self.state().entries.is_empty() {
            return Ok(Closed::StaysMounted);
        }
        rustix::mount::unmount(&self.directory, UnmountFlags::empty())
            .map_err(|source| RegisterError::Unmount { directory: self.directory, source: source.into() })?;
        Ok(Closed::AsFound)
    }
}

/// Opens a file of the table for writing, with the kernel's own word on failure.
fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
}

/// One write is one command to the table.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = open(path)?;
    match rustix::io::write(&file, bytes)? {
        written if written == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}
