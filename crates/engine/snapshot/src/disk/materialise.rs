//! In: layers. Out: what their merge shows as a tree of its own, by hard links or copies. Never: a write into the layers, whiteouts in the result.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::layers::{Layers, open_root};
use super::object::{self, Object, ObjectKind};
use super::place::{Facts, IdPolicy, NodeKind, PlaceError, Placer, Within, set_times};
use super::walk::{Step, Walk};
use super::{LeftOut, copy_content};
use crate::entry::Mtime;
use crate::path::RootedPath;

/// How files get into the new tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As further names of the layers' own inodes: nothing may write to the result. Copies where the file system refuses.
    Link,
    /// As copies; shared blocks where the file system can.
    Copy,
}

/// Why a tree could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MaterialiseError {
    /// A layer could not be read.
    #[error("read {path} of the layers: {source}")]
    Read {
        /// Where.
        path: RootedPath,
        /// The cause.
        source: io::Error,
    },
    /// The destination could not be opened.
    #[error("open {}: {source}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Something could not be made.
    #[error("{action} {path}: {source}")]
    Write {
        /// Where.
        path: RootedPath,
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// Makes the merge of `layers` in the existing empty directory `dest`, root metadata included.
///
/// # Errors
/// The first object that could not be read or made.
pub fn materialise(layers: &Layers, dest: &Path, how: How) -> Result<LeftOut, MaterialiseError> {
    let root = open_root(dest).map_err(|source| MaterialiseError::Open { path: dest.to_path_buf(), source })?;
    let mut copy = Copy {
        layers,
        root,
        how,
        placer: Placer::new(IdPolicy::Keep),
        linked: HashMap::new(),
        times: Vec::new(),
        parent: None,
    };
    let mut walk = Walk::new(layers);
    while let Some(step) = walk.step().map_err(|(path, source)| MaterialiseError::Read { path, source })? {
        copy.place(&step)?;
    }
    copy.finish()
}

struct Copy<'l> {
    layers: &'l Layers,
    root: OwnedFd,
    how: How,
    placer: Placer,
    /// The first name of every inode with several, when copying.
    linked: HashMap<(u64, u64), RootedPath>,
    /// Directories and their times, parents first.
    times: Vec<(RootedPath, Mtime)>,
    /// The directory used last: neighbours share it.
    parent: Option<(Vec<u8>, OwnedFd, bool)>,
}

impl Copy<'_> {
    fn place(&mut self, step: &Step) -> Result<(), MaterialiseError> {
        let Some((dir, name)) = step.path.split() else { return Ok(()) };
        if self.parent.as_ref().is_none_or(|(path, _, _)| path != dir) {
            let opened = object::open_dir(self.root.as_fd(), dir).and_then(|fd| {
                let setgid = object::stat_fd(fd.as_fd())?.mode & 0o2000 != 0;
                let acl = object::xattr(fd.as_fd(), b"", "system.posix_acl_default")?.is_some();
                Ok((dir.to_vec(), fd, setgid || acl))
            });
            self.parent = Some(opened.map_err(write_error(&step.path, "open parent of"))?);
        }
        // Taken out for the call, because `make` needs the rest of `self`.
        let Some((path, fd, inherits)) = self.parent.take() else { return Ok(()) };
        let made = self.make(step, Within { fd: fd.as_fd(), inherits }, name);
        self.parent = Some((path, fd, inherits));
        made
    }

    fn make(&mut self, step: &Step, dir: Within<'_>, name: &[u8]) -> Result<(), MaterialiseError> {
        let Step { path, object, layer } = step;
        let source = self.layers.fd(*layer);
        if !object.is_dir() && self.try_link(step, dir, name)? {
            return Ok(());
        }
        let xattrs = object::layer_xattrs(source, path.as_bytes()).map_err(read_error(path))?;
        let facts = Facts::of_object(object, &xattrs);
        match object.kind {
            ObjectKind::Dir => {
                let fd = self.placer.create_dir(dir.fd, name).map_err(write_error(path, "create directory"))?;
                self.placer.finish_dir(fd.as_fd(), dir, path, &facts).map_err(place_error(path))?;
                self.times.push((path.clone(), object.mtime));
            }
            ObjectKind::File => {
                let from = object::open_file(source, path.as_bytes()).map_err(read_error(path))?;
                let to = self.placer.create_file(dir.fd, name).map_err(write_error(path, "create"))?;
                copy_content(from.file(), &to, object.size_bytes).map_err(write_error(path, "copy"))?;
                self.placer.finish_file(&to, dir, path, &facts).map_err(place_error(path))?;
            }
            ObjectKind::Socket => {}
            _ => {
                let target = target_of(self.layers, *layer, path, object).map_err(read_error(path))?;
                let Some(kind) = node_kind(object, &target) else { return Ok(()) };
                self.placer.create_node(dir, name, path, kind, &facts).map_err(place_error(path))?;
            }
        }
        Ok(())
    }

    /// Gives an inode that exists already another name.
    fn try_link(&mut self, step: &Step, dir: Within<'_>, name: &[u8]) -> Result<bool, MaterialiseError> {
        if self.how == How::Link && step.object.kind != ObjectKind::Socket {
            let linked = object::within(self.layers.fd(step.layer), step.path.as_bytes(), |at, tail| {
                Ok(rustix::fs::linkat(at, tail, dir.fd, name, AtFlags::empty())?)
            });
            match linked {
                Ok(()) => return Ok(true),
                Err(error) if refuses_link(&error) => {}
                Err(source) => return Err(write_error(&step.path, "link")(source)),
            }
        }
        if !step.object.is_hard_linked() {
            return Ok(false);
        }
        match self.linked.get(&step.object.identity) {
            Some(first) => {
                let linked = object::within(self.root.as_fd(), first.as_bytes(), |at, tail| {
                    Ok(rustix::fs::linkat(at, tail, dir.fd, name, AtFlags::empty())?)
                });
                linked.map(|()| true).map_err(write_error(&step.path, "link"))
            }
            None => {
                self.linked.insert(step.object.identity, step.path.clone());
                Ok(false)
            }
        }
    }

    fn finish(mut self) -> Result<LeftOut, MaterialiseError> {
        let root = RootedPath::root();
        if let Some(&top) = self.layers.root().first() {
            let source = self.layers.fd(top);
            let object = object::stat_fd(source).map_err(read_error(&root))?;
            let xattrs = object::layer_xattrs(source, b"").map_err(read_error(&root))?;
            let facts = Facts::of_object(&object, &xattrs);
            self.placer.update_dir(self.root.as_fd(), &root, &facts).map_err(place_error(&root))?;
            self.times.insert(0, (root, object.mtime));
        }
        for (path, mtime) in self.times.iter().rev() {
            set_times_within(&self.root, path, *mtime).map_err(write_error(path, "set times of"))?;
        }
        Ok(self.placer.left_out)
    }
}

/// Sets the times of a directory beneath `root`.
pub(crate) fn set_times_within(root: &OwnedFd, path: &RootedPath, mtime: Mtime) -> io::Result<()> {
    let path = if path.is_root() { &b"."[..] } else { path.as_bytes() };
    object::within(root.as_fd(), path, |at, tail| set_times(at, tail, mtime))
}

/// The text of a symlink in a layer, nothing for other objects.
pub(crate) fn target_of(layers: &Layers, layer: u16, path: &RootedPath, object: &Object) -> io::Result<Vec<u8>> {
    match object.kind {
        ObjectKind::Symlink => object::link_text(layers.fd(layer), path.as_bytes()),
        _ => Ok(Vec::new()),
    }
}

/// The kind to make for an object without bytes or children.
pub(crate) fn node_kind<'t>(object: &Object, target: &'t [u8]) -> Option<NodeKind<'t>> {
    match object.kind {
        ObjectKind::Symlink => Some(NodeKind::Symlink(target)),
        ObjectKind::CharDevice { major, minor } => Some(NodeKind::CharDevice { major, minor }),
        ObjectKind::BlockDevice { major, minor } => Some(NodeKind::BlockDevice { major, minor }),
        ObjectKind::Fifo => Some(NodeKind::Fifo),
        ObjectKind::File | ObjectKind::Dir | ObjectKind::Socket => None,
    }
}

fn refuses_link(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP))
}

fn read_error(path: &RootedPath) -> impl FnOnce(io::Error) -> MaterialiseError {
    move |source| MaterialiseError::Read { path: path.clone(), source }
}

fn write_error(path: &RootedPath, action: &'static str) -> impl FnOnce(io::Error) -> MaterialiseError {
    move |source| MaterialiseError::Write { path: path.clone(), action, source }
}

fn place_error(path: &RootedPath) -> impl FnOnce(PlaceError) -> MaterialiseError {
    move |error| {
        let (action, source) = error.into_parts();
        MaterialiseError::Write { path: path.clone(), action, source }
    }
}
