//! In: the directory part of an entry's path. Out: that directory of the destination, open, made where only lower layers have it. Never: a directory outside
//! the destination, more than [`LINKS_MAX`] followed symlinks, more than [`OPEN_DIRS_MAX`] descriptors.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;

use super::{Apply, ApplyError, below_error, place_error, write_error};
use crate::disk::{
    Facts, Found, Layers, Merged, ObjectKind, Within, child, layer_xattrs, link_text, open_dir, stat, stat_fd, xattr,
};
use crate::entry::{Mtime, Xattrs};
use crate::path::RootedPath;

/// Symlinks followed on the way to one entry.
pub(super) const LINKS_MAX: usize = 255;
/// Directories kept open.
const OPEN_DIRS_MAX: usize = 64;

/// A directory of the destination.
#[derive(Debug)]
pub(super) struct Dir {
    pub fd: OwnedFd,
    /// Its path without symlinks.
    pub path: RootedPath,
    /// The lower layers whose names it shows.
    pub merged: Merged,
    /// Whether what is made in it inherits its group or an access list.
    pub inherits: bool,
}

impl Dir {
    pub fn within(&self) -> Within<'_> {
        Within { fd: self.fd.as_fd(), inherits: self.inherits }
    }
}

/// What stands at one component.
enum Component {
    Dir(Rc<Dir>),
    Link(Vec<u8>),
    Missing,
    Blocked,
}

impl Apply<'_> {
    /// The directory at `path`, made when missing: with the facts of the layers below, else 0755 root with `mtime`.
    pub(super) fn make_dirs(&mut self, path: &[u8], entry: &RootedPath, mtime: Mtime) -> Result<Rc<Dir>, ApplyError> {
        match self.enter(path, entry, Some(mtime))? {
            Ok(dir) => Ok(dir),
            Err(parent) => Err(ApplyError::ParentNotADirectory { path: entry.clone(), parent }),
        }
    }

    /// The directory at `path` if the merge has one; then it exists in the destination afterwards.
    pub(super) fn find_dirs(&mut self, path: &[u8], entry: &RootedPath) -> Result<Option<Rc<Dir>>, ApplyError> {
        Ok(self.enter(path, entry, None)?.ok())
    }

    /// Forgets open directories, after something that a path could lead through has changed.
    pub(super) fn forget_dirs(&mut self) {
        self.dirs.clear();
    }

    /// Something is about to stand at `path`: directories that were reached through a symlink of the layers below there are reached otherwise now.
    pub(super) fn cover(&mut self, path: &RootedPath) {
        if self.links_below.remove(path) {
            self.forget_dirs();
        }
    }

    /// Notes the root's time, which unpacking must not change.
    pub(super) fn keep_root_time(&mut self) -> Result<(), ApplyError> {
        let root = RootedPath::root();
        let object = stat_fd(self.root.as_fd()).map_err(write_error(&root, "stat"))?;
        self.times.insert(root, object.mtime);
        Ok(())
    }

    /// Walks the components; `Err` holds the path at which there is no directory.
    fn enter(
        &mut self,
        path: &[u8],
        entry: &RootedPath,
        make: Option<Mtime>,
    ) -> Result<Result<Rc<Dir>, RootedPath>, ApplyError> {
        if let Some(dir) = self.dirs.get(path) {
            return Ok(Ok(Rc::clone(dir)));
        }
        // From the nearest directory that is remembered, one component after the other; each may be a symlink.
        let (mut dir, mut done) = self.nearest(path)?;
        while done < path.len() {
            let start = if done == 0 { 0 } else { done + 1 };
            let end = path[start..].iter().position(|&byte| byte == b'/').map_or(path.len(), |slash| start + slash);
            match self.follow(dir, &path[start..end], entry, make)? {
                Ok(next) => dir = next,
                Err(missing) => return Ok(Err(missing)),
            }
            done = end;
            self.remember(&path[..done], &dir);
        }
        Ok(Ok(dir))
    }

    /// The remembered directory that leads furthest along `path`, and how many bytes of `path` it stands for.
    fn nearest(&mut self, path: &[u8]) -> Result<(Rc<Dir>, usize), ApplyError> {
        let mut end = path.len();
        while let Some(slash) = path[..end].iter().rposition(|&byte| byte == b'/') {
            end = slash;
            if let Some(dir) = self.dirs.get(&path[..end]) {
                return Ok((Rc::clone(dir), end));
            }
        }
        if let Some(root) = self.dirs.get(&b""[..]) {
            return Ok((Rc::clone(root), 0));
        }
        let root = self.open_root()?;
        self.remember(b"", &root);
        Ok((root, 0))
    }

    /// Enters `name` in `dir`, through symlinks if need be.
    fn follow(
        &mut self,
        mut dir: Rc<Dir>,
        name: &[u8],
        entry: &RootedPath,
        make: Option<Mtime>,
    ) -> Result<Result<Rc<Dir>, RootedPath>, ApplyError> {
        // Components still to go, the next one last.
        let mut ahead: Vec<Vec<u8>> = vec![name.to_vec()];
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    dir = self.reopen(&dir.path.parent().unwrap_or_default())?;
                    continue;
                }
                _ => {}
            }
            let path = child(&dir.path, &name);
            match self.component(&dir, &name, &path)? {
                Component::Dir(next) => dir = next,
                Component::Link(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(ApplyError::SymlinkLoop { path: entry.clone() });
                    }
                    if target.starts_with(b"/") {
                        dir = self.reopen(&RootedPath::root())?;
                    }
                    ahead.extend(target.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
                }
                Component::Missing => match make {
                    Some(mtime) => dir = self.make_missing(&dir, &name, &path, mtime)?,
                    None => return Ok(Err(path)),
                },
                Component::Blocked => return Ok(Err(path)),
            }
        }
        Ok(Ok(dir))
    }

    fn component(&mut self, dir: &Rc<Dir>, name: &[u8], path: &RootedPath) -> Result<Component, ApplyError> {
        match stat(dir.fd.as_fd(), name).map_err(write_error(path, "stat"))? {
            Some(object) if object.is_dir() => {
                self.times.entry(path.clone()).or_insert(object.mtime);
                Ok(Component::Dir(Rc::new(self.open(dir, name, path)?)))
            }
            Some(object) if object.kind == ObjectKind::Symlink => {
                Ok(Component::Link(link_text(dir.fd.as_fd(), name).map_err(write_error(path, "read link"))?))
            }
            Some(object) if object.is_whiteout() => Ok(Component::Missing),
            Some(_) => Ok(Component::Blocked),
            None => self.component_below(dir, name, path),
        }
    }

    fn component_below(&mut self, dir: &Rc<Dir>, name: &[u8], path: &RootedPath) -> Result<Component, ApplyError> {
        match self.below.find(&dir.merged, path).map_err(below_error(path))? {
            Found::Nothing => Ok(Component::Missing),
            Found::Other { object, layer } if object.kind == ObjectKind::Symlink => {
                let target = link_text(self.below.fd(layer), path.as_bytes()).map_err(below_error(path))?;
                self.links_below.insert(path.clone());
                Ok(Component::Link(target))
            }
            Found::Other { .. } => Ok(Component::Blocked),
            Found::Dir { object, merged } => {
                let xattrs = layer_xattrs(self.below.fd(merged[0]), path.as_bytes()).map_err(below_error(path))?;
                let facts = Facts::of_object(&object, &xattrs);
                Ok(Component::Dir(Rc::new(self.new_dir(dir, name, path, &facts, merged)?)))
            }
        }
    }

    /// A directory that nothing describes: neither this layer nor one below.
    fn make_missing(
        &mut self,
        dir: &Rc<Dir>,
        name: &[u8],
        path: &RootedPath,
        mtime: Mtime,
    ) -> Result<Rc<Dir>, ApplyError> {
        let hidden = self.clear_whiteout(dir, name, path)?;
        let xattrs = Xattrs::new();
        let facts = Facts { mode: 0o755, uid: 0, gid: 0, mtime, xattrs: &xattrs };
        let made = self.new_dir(dir, name, path, &facts, Layers::nothing())?;
        if hidden {
            self.mark_opaque(made.fd.as_fd(), path)?;
        }
        Ok(Rc::new(made))
    }

    /// Makes a directory with all its facts; its time is set at the end.
    pub(super) fn new_dir(
        &mut self,
        dir: &Dir,
        name: &[u8],
        path: &RootedPath,
        facts: &Facts<'_>,
        merged: Merged,
    ) -> Result<Dir, ApplyError> {
        let fd = self.placer.create_dir(dir.fd.as_fd(), name).map_err(write_error(path, "create directory"))?;
        self.placer.finish_dir(fd.as_fd(), dir.within(), path, facts).map_err(place_error(path))?;
        self.times.insert(path.clone(), facts.mtime);
        Ok(Dir { inherits: inherits(fd.as_fd(), path)?, fd, path: path.clone(), merged })
    }

    /// Opens a directory that exists in the destination.
    fn open(&self, dir: &Dir, name: &[u8], path: &RootedPath) -> Result<Dir, ApplyError> {
        let fd = open_dir(dir.fd.as_fd(), name).map_err(write_error(path, "open directory"))?;
        let merged = if dir.merged.is_empty() || self.has_opaque_mark(fd.as_fd(), path)? {
            Layers::nothing()
        } else {
            match self.below.find(&dir.merged, path).map_err(below_error(path))? {
                Found::Dir { merged, .. } => merged,
                Found::Nothing | Found::Other { .. } => Layers::nothing(),
            }
        };
        Ok(Dir { inherits: inherits(fd.as_fd(), path)?, fd, path: path.clone(), merged })
    }

    fn open_root(&self) -> Result<Rc<Dir>, ApplyError> {
        let path = RootedPath::root();
        let fd = open_dir(self.root.as_fd(), b"").map_err(write_error(&path, "open directory"))?;
        Ok(Rc::new(Dir { inherits: inherits(fd.as_fd(), &path)?, fd, path, merged: self.below.root() }))
    }

    /// A directory known to exist in the destination, by its path without symlinks.
    fn reopen(&self, path: &RootedPath) -> Result<Rc<Dir>, ApplyError> {
        let mut dir = self.open_root()?;
        let mut at = RootedPath::root();
        for name in path.components() {
            at = child(&at, name);
            dir = Rc::new(self.open(&dir, name, &at)?);
        }
        Ok(dir)
    }

    fn remember(&mut self, path: &[u8], dir: &Rc<Dir>) {
        if self.dirs.len() >= OPEN_DIRS_MAX {
            self.dirs.clear();
        }
        self.dirs.insert(path.to_vec(), Rc::clone(dir));
    }
}

fn inherits(fd: std::os::fd::BorrowedFd<'_>, path: &RootedPath) -> Result<bool, ApplyError> {
    let inherits = || -> io::Result<bool> {
        Ok(stat_fd(fd)?.mode & 0o2000 != 0 || xattr(fd, b"", "system.posix_acl_default")?.is_some())
    };
    inherits().map_err(write_error(path, "stat"))
}

/// Whether an error says that a name is taken.
pub(super) fn is_taken(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::EXIST)
}
