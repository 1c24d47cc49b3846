//! In: a layer's whiteouts and opaque marks. Out: names that lower layers no longer show. Never: the loss of what this layer itself writes, whatever the order.

use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{FileType, Mode, XattrFlags};

use super::dirs::Dir;
use super::{Apply, ApplyError, below_error, write_error};
use crate::disk::{Format, Found, child, names, open_dir, remove_at, stat, xattr};
use crate::path::RootedPath;

impl Apply<'_> {
    /// `.wh.name`
    pub(super) fn whiteout(&mut self, path: &RootedPath) -> Result<(), ApplyError> {
        self.report.whiteouts += 1;
        let Some((parent, name)) = path.split() else { return Ok(()) };
        // Without a directory there is nothing to hide.
        let Some(dir) = self.find_dirs(parent, path)? else { return Ok(()) };
        let real = child(&dir.path, name);
        match self.format {
            Format::Plain => self.remove_unwritten(&dir, name, &real),
            Format::Overlay { .. } => self.hide(&dir, name, &real),
        }
    }

    /// `.wh..wh..opq`
    pub(super) fn opaque(&mut self, path: &RootedPath) -> Result<(), ApplyError> {
        self.report.whiteouts += 1;
        let Some(dir) = self.find_dirs(path.as_bytes(), path)? else { return Ok(()) };
        match self.format {
            Format::Plain => self.prune(&dir.path),
            // Overlayfs ignores the mark on a root: its names are hidden one by one, when it is known which of them this layer has.
            Format::Overlay { .. } if dir.path.is_root() => {
                self.root_opaque = true;
                Ok(())
            }
            Format::Overlay { .. } => self.make_opaque(dir.fd.as_fd(), &dir.path),
        }
    }

    /// The root's opaque mark, in the overlay format.
    pub(super) fn hide_root(&mut self) -> Result<(), ApplyError> {
        let root = RootedPath::root();
        let Some(dir) = self.find_dirs(b"", &root)? else { return Ok(()) };
        let below = self.below.children(&dir.merged, &root).map_err(below_error(&root))?;
        for name in below.keys() {
            self.hide(&dir, name, &child(&root, name))?;
        }
        Ok(())
    }

    pub(super) fn hide(&mut self, dir: &Dir, name: &[u8], path: &RootedPath) -> Result<(), ApplyError> {
        if matches!(self.below.find(&dir.merged, path).map_err(below_error(path))?, Found::Nothing) {
            return Ok(());
        }
        match stat(dir.fd.as_fd(), name).map_err(write_error(path, "stat"))? {
            Some(object) if object.is_dir() && self.written.contains(path) => {
                let fd = open_dir(dir.fd.as_fd(), name).map_err(write_error(path, "open directory"))?;
                return self.make_opaque(fd.as_fd(), path);
            }
            // A copy of the directory below, made on the way to something that then was not there.
            Some(object) if object.is_dir() => {
                remove_at(dir.fd.as_fd(), name).map_err(write_error(path, "remove"))?;
                self.forget_beneath(path);
            }
            // A file of this layer, or a whiteout, hides the name already.
            Some(_) => return Ok(()),
            None => {}
        }
        self.cover(path);
        rustix::fs::mknodat(dir.fd.as_fd(), name, FileType::CharacterDevice, Mode::empty(), 0)
            .map_err(|error| write_error(path, "create whiteout")(error.into()))
    }

    /// Removes a whiteout at `name`; whether there was one.
    pub(super) fn clear_whiteout(&mut self, dir: &Dir, name: &[u8], path: &RootedPath) -> Result<bool, ApplyError> {
        let there = stat(dir.fd.as_fd(), name).map_err(write_error(path, "stat"))?;
        if !there.is_some_and(|object| object.is_whiteout()) {
            return Ok(false);
        }
        remove_at(dir.fd.as_fd(), name).map_err(write_error(path, "remove whiteout"))?;
        Ok(true)
    }

    /// Hides what lower layers have in a directory that this layer writes to, copies made on the way to something included.
    fn make_opaque(&mut self, fd: BorrowedFd<'_>, path: &RootedPath) -> Result<(), ApplyError> {
        self.mark_opaque(fd, path)?;
        self.prune(path)?;
        self.forget_dirs();
        Ok(())
    }

    /// Lets a directory hide what lower layers have at its path.
    pub(super) fn mark_opaque(&self, fd: BorrowedFd<'_>, path: &RootedPath) -> Result<(), ApplyError> {
        let Some(name) = self.format.opaque_name() else { return Ok(()) };
        rustix::fs::fsetxattr(fd, name, b"y", XattrFlags::empty())
            .map_err(|error| write_error(path, "mark directory as opaque")(error.into()))
    }

    pub(super) fn has_opaque_mark(&self, fd: BorrowedFd<'_>, path: &RootedPath) -> Result<bool, ApplyError> {
        let Some(name) = self.format.opaque_name() else { return Ok(false) };
        Ok(xattr(fd, b"", name).map_err(write_error(path, "read attribute"))?.as_deref() == Some(b"y"))
    }

    /// Plain: removes `name` unless this layer wrote it; of a directory it wrote, what it did not write.
    pub(super) fn remove_unwritten(&mut self, dir: &Dir, name: &[u8], path: &RootedPath) -> Result<(), ApplyError> {
        if self.written.contains(path) {
            let object = stat(dir.fd.as_fd(), name).map_err(write_error(path, "stat"))?;
            return if object.is_some_and(|object| object.is_dir()) { self.prune(path) } else { Ok(()) };
        }
        remove_at(dir.fd.as_fd(), name).map_err(write_error(path, "remove"))?;
        self.forget_beneath(path);
        Ok(())
    }

    /// Removes what this layer did not write beneath `path`. In the overlay format that can only be directories.
    fn prune(&mut self, path: &RootedPath) -> Result<(), ApplyError> {
        let mut dirs = vec![path.clone()];
        while let Some(path) = dirs.pop() {
            // A literal path: `written` holds no path through a symlink.
            let fd = open_dir(self.root.as_fd(), path.as_bytes()).map_err(write_error(&path, "open directory"))?;
            for name in names(fd.as_fd()).map_err(write_error(&path, "read directory"))? {
                let path = child(&path, &name);
                let object = stat(fd.as_fd(), &name).map_err(write_error(&path, "stat"))?;
                let is_dir = object.is_some_and(|object| object.is_dir());
                match (self.written.contains(&path), is_dir) {
                    (true, true) => dirs.push(path),
                    (true, false) => {}
                    (false, false) if self.format != Format::Plain => {}
                    (false, _) => {
                        remove_at(fd.as_fd(), &name).map_err(write_error(&path, "remove"))?;
                        self.forget_beneath(&path);
                    }
                }
            }
        }
        Ok(())
    }

    /// Drops what is remembered of `path` and everything beneath it: it is gone.
    pub(super) fn forget_beneath(&mut self, path: &RootedPath) {
        while let Some(gone) = self.times.range(path.clone()..).next().map(|(at, _)| at.clone()) {
            if !gone.starts_with(path) {
                break;
            }
            self.times.remove(&gone);
        }
        while let Some(gone) = self.written.range(path.clone()..).next().cloned() {
            if !gone.starts_with(path) {
                break;
            }
            self.written.remove(&gone);
        }
        self.forget_dirs();
    }
}
