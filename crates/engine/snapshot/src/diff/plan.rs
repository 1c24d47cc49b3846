//! In: the upper directory and the layers below. Out: the list of changes in the order of the layer. Never: a byte of the tar, recursion.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::AsFd as _;

use super::{DiffError, DiffReport, Upper, below_error, read_error};
use crate::disk::{
    Format, Found, Layers, Merged, Object, ObjectKind, child, is_layer_xattr, is_overlay_xattr, layer_xattrs,
    link_text, names, open_dir, open_file, same_content, stat, xattr, xattrs_where,
};
use crate::entry::Xattrs;
use crate::path::RootedPath;
use crate::tar::WHITEOUT_PREFIX;

/// One line of the layer.
#[derive(Debug)]
pub(super) struct Change {
    pub path: RootedPath,
    pub what: What,
    /// False for what only goes with something else: directories with their children, names with their hard links.
    pub wanted: bool,
}

#[derive(Debug)]
pub(super) enum What {
    Deleted,
    Object { object: Object, xattrs: Xattrs },
}

/// File system and inode number.
type Identity = (u64, u64);

/// A directory being compared.
struct Frame {
    dir: RootedPath,
    /// Whether the upper directory shows nothing of them (opaque, or a plain tree): then every name it lacks is deleted.
    whole: bool,
    names: std::collections::btree_map::IntoIter<Vec<u8>, Name>,
}

struct Name {
    /// In the upper directory: none when deleted.
    upper: Option<Object>,
    below: Found,
}

struct Planner<'a> {
    upper: &'a Upper,
    below: &'a Layers,
    format: Format,
    stubs: BTreeSet<&'a RootedPath>,
    changes: Vec<Change>,
    report: DiffReport,
    /// Names of inodes with several: their places in `changes`, and the inode below.
    linked: HashMap<Identity, Vec<(usize, Option<Identity>)>>,
}

pub(super) fn plan(
    upper: &Upper,
    below: &Layers,
    format: Format,
    stubs: &[RootedPath],
) -> Result<(Vec<Change>, DiffReport), DiffError> {
    let mut planner = Planner {
        upper,
        below,
        format,
        stubs: stubs.iter().collect(),
        changes: Vec::new(),
        report: DiffReport::default(),
        linked: HashMap::new(),
    };
    let mut frames = vec![planner.enter(RootedPath::root(), &below.root(), format == Format::Plain)?];
    while let Some(frame) = frames.last_mut() {
        let Some((name, found)) = frame.names.next() else {
            frames.pop();
            continue;
        };
        let path = child(&frame.dir, &name);
        let whole = frame.whole;
        match found.upper {
            None => planner.changes.push(Change { path, what: What::Deleted, wanted: true }),
            Some(object) if object.is_dir() => frames.push(planner.dir(path, object, found.below, whole)?),
            Some(object) => planner.other(path, object, &found.below)?,
        }
    }
    planner.keep_links_together();
    Ok((planner.changes, planner.report))
}

impl Planner<'_> {
    /// Lists the names of a directory that may have changed.
    fn enter(&mut self, dir: RootedPath, below: &Merged, whole: bool) -> Result<Frame, DiffError> {
        let fd = open_dir(self.upper.as_fd(), dir.as_bytes()).map_err(read_error(&dir))?;
        let mut shown = if whole && !below.is_empty() {
            self.below.children(below, &dir).map_err(below_error(&dir))?
        } else {
            BTreeMap::new()
        };
        let mut listed = BTreeMap::new();
        for name in names(fd.as_fd()).map_err(read_error(&dir))? {
            let path = child(&dir, &name);
            let Some(object) = stat(fd.as_fd(), &name).map_err(read_error(&path))? else { continue };
            if name.starts_with(WHITEOUT_PREFIX) {
                self.report.reserved_names.add(&path);
                continue;
            }
            let beneath = match shown.remove(&name) {
                Some(found) => found,
                None if whole || below.is_empty() => Found::Nothing,
                None => self.below.find(below, &path).map_err(below_error(&path))?,
            };
            let beneath = without_sockets(beneath);
            let socket = object.kind == ObjectKind::Socket;
            if socket {
                self.report.sockets.add(&path);
            }
            let upper = (!socket && !object.is_whiteout()).then_some(object);
            if upper.is_some() || !matches!(beneath, Found::Nothing) {
                listed.insert(name, Name { upper, below: beneath });
            }
        }
        for (name, found) in shown {
            if !name.starts_with(WHITEOUT_PREFIX) && !matches!(without_sockets(found), Found::Nothing) {
                listed.insert(name, Name { upper: None, below: Found::Nothing });
            }
        }
        Ok(Frame { dir, whole, names: listed.into_iter() })
    }

    fn dir(&mut self, path: RootedPath, object: Object, below: Found, whole: bool) -> Result<Frame, DiffError> {
        let xattrs = self.upper_xattrs(&path)?;
        let wanted = match below.object() {
            None => !self.stubs.contains(&path),
            Some((lower, layer)) => self.differs(&path, &object, &xattrs, lower, layer)?,
        };
        let merged = match below {
            Found::Dir { merged, .. } => merged,
            Found::Nothing | Found::Other { .. } => Layers::nothing(),
        };
        let whole = whole || self.is_opaque(&path)?;
        self.changes.push(Change { path: path.clone(), what: What::Object { object, xattrs }, wanted });
        self.enter(path, &merged, whole)
    }

    fn other(&mut self, path: RootedPath, object: Object, below: &Found) -> Result<(), DiffError> {
        let is_stub = object.kind == ObjectKind::File && object.size_bytes == 0 && self.stubs.contains(&path);
        if is_stub && matches!(below, Found::Nothing) {
            return Ok(());
        }
        let xattrs = self.upper_xattrs(&path)?;
        let wanted = match below.object() {
            None => true,
            Some((lower, layer)) => self.differs(&path, &object, &xattrs, lower, layer)?,
        };
        if object.is_hard_linked() {
            let lower = below.object().map(|(lower, _)| lower.identity);
            self.linked.entry(object.identity).or_default().push((self.changes.len(), lower));
        } else if !wanted {
            return Ok(());
        }
        self.changes.push(Change { path, what: What::Object { object, xattrs }, wanted });
        Ok(())
    }

    /// Whether an object differs from the one of the same path below.
    fn differs(
        &self,
        path: &RootedPath,
        upper: &Object,
        xattrs: &Xattrs,
        lower: &Object,
        layer: u16,
    ) -> Result<bool, DiffError> {
        let facts = |object: &Object| (object.kind, object.mode, object.uid, object.gid);
        if facts(upper) != facts(lower) {
            return Ok(true);
        }
        if !upper.is_dir() && (upper.mtime, upper.size_bytes) != (lower.mtime, lower.size_bytes) {
            return Ok(true);
        }
        if upper.identity == lower.identity {
            return Ok(false);
        }
        let root = self.below.fd(layer);
        if *xattrs != layer_xattrs(root, path.as_bytes()).map_err(below_error(path))? {
            return Ok(true);
        }
        match upper.kind {
            ObjectKind::Symlink => {
                let below = link_text(root, path.as_bytes()).map_err(below_error(path))?;
                Ok(link_text(self.upper.as_fd(), path.as_bytes()).map_err(read_error(path))? != below)
            }
            ObjectKind::File if upper.size_bytes > 0 => {
                let mut below = open_file(root, path.as_bytes()).map_err(below_error(path))?;
                let mut above = open_file(self.upper.as_fd(), path.as_bytes()).map_err(read_error(path))?;
                Ok(!same_content(&mut above, &mut below, upper.size_bytes).map_err(read_error(path))?)
            }
            _ => Ok(false),
        }
    }

    /// The attributes to carry; refuses an overlay whose directories are not what they seem.
    fn upper_xattrs(&self, path: &RootedPath) -> Result<Xattrs, DiffError> {
        let foreign = RefCell::new(None);
        let wanted = |name: &[u8]| {
            let feature = name.ends_with(b".overlay.redirect") || name.ends_with(b".overlay.metacopy");
            if feature && is_overlay_xattr(name) && self.format != Format::Plain {
                *foreign.borrow_mut() = Some(String::from_utf8_lossy(name).into_owned());
            }
            is_layer_xattr(name)
        };
        let xattrs = xattrs_where(self.upper.as_fd(), path.as_bytes(), wanted).map_err(read_error(path))?;
        match foreign.into_inner() {
            Some(xattr) => Err(DiffError::ForeignOverlay { path: path.clone(), xattr }),
            None => Ok(xattrs),
        }
    }

    fn is_opaque(&self, path: &RootedPath) -> Result<bool, DiffError> {
        let Some(name) = self.format.opaque_name() else { return Ok(false) };
        let value = xattr(self.upper.as_fd(), path.as_bytes(), name).map_err(read_error(path))?;
        Ok(value.as_deref() == Some(b"y"))
    }

    /// If one name of an inode is in the layer, or names became links of each other, all its names are in the layer.
    fn keep_links_together(&mut self) {
        for names in self.linked.values() {
            let joined = names.len() > 1 && names.iter().any(|(_, below)| below.is_none() || *below != names[0].1);
            if joined || names.iter().any(|&(at, _)| self.changes[at].wanted) {
                for &(at, _) in names {
                    self.changes[at].wanted = true;
                }
            }
        }
    }
}

/// A socket in a layer's directory is in no layer: it was left out when the layer was made.
fn without_sockets(found: Found) -> Found {
    match found {
        Found::Other { object, .. } if object.kind == ObjectKind::Socket => Found::Nothing,
        found => found,
    }
}
