//! In: unpacked layers (diff directories, or one plain tree). Out: what their merge shows at a path, by the rules of overlayfs. Never: a mount, a followed
//! symlink, a write.
//!
//! A directory of the merge is known by its path and the layers that hold it and take part ([`Merged`]). Because every one of these has real directories all
//! the way down to it, names are looked up by whole paths from the layers' roots without meeting a symlink.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{Mode, OFlags};

use super::Format;
use super::object::{self, Object};
use crate::path::RootedPath;

/// The numbers of the layers that hold a directory of the merge, topmost first. Empty means that no layer shows this directory.
pub type Merged = Rc<[u16]>;

/// Layers of one format, open for reading.
#[derive(Debug)]
pub struct Layers {
    roots: Vec<Root>,
    format: Format,
}

#[derive(Debug)]
struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

/// What the merge shows at one path.
#[derive(Debug, Clone)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A directory, with the facts of its topmost layer.
    Dir {
        /// Facts.
        object: Object,
        /// The layers whose names it shows.
        merged: Merged,
    },
    /// Anything else.
    Other {
        /// Facts.
        object: Object,
        /// The layer it lives in.
        layer: u16,
    },
}

impl Found {
    /// Facts and the layer that provides them, if anything is there.
    pub fn object(&self) -> Option<(&Object, u16)> {
        match self {
            Self::Nothing => None,
            Self::Dir { object, merged } => Some((object, merged[0])),
            Self::Other { object, layer } => Some((object, *layer)),
        }
    }
}

impl Layers {
    /// Opens the roots, topmost first.
    ///
    /// # Errors
    /// The path that could not be opened, and why.
    pub fn open(paths: &[PathBuf], format: Format) -> Result<Self, (PathBuf, io::Error)> {
        let roots = paths.iter().map(|path| {
            open_root(path).map(|fd| Root { fd, path: path.clone() }).map_err(|error| (path.clone(), error))
        });
        Ok(Self { roots: roots.collect::<Result<_, _>>()?, format })
    }

    /// The root of the merge: every layer takes part (overlayfs ignores an opaque mark there).
    pub fn root(&self) -> Merged {
        (0..self.roots.len()).map(|layer| u16::try_from(layer).unwrap_or(u16::MAX)).collect()
    }

    /// A merge of nothing.
    pub fn nothing() -> Merged {
        Rc::from([])
    }

    /// The root directory of a layer.
    pub fn fd(&self, layer: u16) -> BorrowedFd<'_> {
        self.roots[usize::from(layer)].fd.as_fd()
    }

    /// The path of a layer's root, for messages.
    pub fn path(&self, layer: u16) -> &Path {
        &self.roots[usize::from(layer)].path
    }

    /// The format the layers are written in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What the merge shows at `path`, which lies directly in a directory shown by `merged`.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn find(&self, merged: &[u16], path: &RootedPath) -> io::Result<Found> {
        let mut dir: Option<(Object, Vec<u16>)> = None;
        for &layer in merged {
            let Some(object) = object::stat(self.fd(layer), path.as_bytes())? else { continue };
            let hidden = object.is_whiteout();
            match (&mut dir, object.is_dir()) {
                (None, false) if hidden => return Ok(Found::Nothing),
                (None, false) => return Ok(Found::Other { object, layer }),
                (None, true) => dir = Some((object, vec![layer])),
                // Below a directory anything else ends the merge: overlayfs does not mix them.
                (Some(_), false) => break,
                (Some((_, layers)), true) => layers.push(layer),
            }
            if self.is_opaque(layer, path)? {
                break;
            }
        }
        Ok(match dir {
            None => Found::Nothing,
            Some((object, layers)) => Found::Dir { object, merged: layers.into() },
        })
    }

    /// What the merge shows at a literal path from the root: a symlink on the way ends the search with `Nothing`.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn lookup(&self, path: &RootedPath) -> io::Result<Found> {
        let mut merged = self.root();
        let mut at = RootedPath::root();
        let mut components = path.components().peekable();
        while let Some(name) = components.next() {
            at = child(&at, name);
            match self.find(&merged, &at)? {
                Found::Dir { merged: next, .. } if components.peek().is_some() => merged = next,
                found if components.peek().is_none() => return Ok(found),
                _ => return Ok(Found::Nothing),
            }
        }
        match self.roots.first() {
            Some(root) => Ok(Found::Dir { object: object::stat_fd(root.fd.as_fd())?, merged }),
            None => Ok(Found::Nothing),
        }
    }

    /// Everything the merge shows directly in the directory `path`, by name.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn children(&self, merged: &[u16], path: &RootedPath) -> io::Result<BTreeMap<Vec<u8>, Found>> {
        let mut children = BTreeMap::new();
        if let [layer] = merged {
            return self.children_of_one(*layer, path);
        }
        for &layer in merged {
            let dir = object::open_dir(self.fd(layer), path.as_bytes())?;
            for name in object::names(dir.as_fd())? {
                if let std::collections::btree_map::Entry::Vacant(slot) = children.entry(name) {
                    let found = self.find(merged, &child(path, slot.key()))?;
                    slot.insert(found);
                }
            }
        }
        children.retain(|_, found| !matches!(found, Found::Nothing));
        Ok(children)
    }

    fn children_of_one(&self, layer: u16, path: &RootedPath) -> io::Result<BTreeMap<Vec<u8>, Found>> {
        let dir = object::open_dir(self.fd(layer), path.as_bytes())?;
        let mut children = BTreeMap::new();
        for name in object::names(dir.as_fd())? {
            let Some(object) = object::stat(dir.as_fd(), &name)? else { continue };
            if object.is_dir() {
                children.insert(name, Found::Dir { object, merged: Rc::from([layer]) });
            } else if !object.is_whiteout() {
                children.insert(name, Found::Other { object, layer });
            }
        }
        Ok(children)
    }

    fn is_opaque(&self, layer: u16, path: &RootedPath) -> io::Result<bool> {
        match self.format.opaque_name() {
            None => Ok(false),
            Some(name) => Ok(object::xattr(self.fd(layer), path.as_bytes(), name)?.as_deref() == Some(b"y")),
        }
    }
}

/// Opens the root directory of a tree on this machine.
pub(crate) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// `dir/name`, where `name` is one component as the kernel returned it or a checked path gave it.
pub(crate) fn child(dir: &RootedPath, name: &[u8]) -> RootedPath {
    let mut path = Vec::with_capacity(dir.as_bytes().len() + 1 + name.len());
    path.extend_from_slice(dir.as_bytes());
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    RootedPath::new_unchecked(path)
}
