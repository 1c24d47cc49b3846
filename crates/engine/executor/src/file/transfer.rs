//! In: one file or directory of a source and its place in the destination. Out: the overlay with the copies of everything beneath it. Never: a link followed inside the copied directory.

use std::collections::HashMap;
use std::sync::Arc;

use crossdock_snapshot::{Entry, Mtime, Node, RootedPath, Tree};

use super::content::Content;
use super::error::FileError;
use super::make::Stamp;
use super::mode::ModeChange;
use super::overlay::{Made, Overlay, TimeOrigin};
use super::patterns::PatternSet;

/// One recursive copy. Hard links are kept within it.
pub(super) struct Transfer<'a> {
    overlay: &'a mut Overlay,
    source: &'a Arc<dyn Tree>,
    stamp: Stamp,
    mode: &'a ModeChange,
    include: Option<Box<dyn PatternSet>>,
    exclude: Option<Box<dyn PatternSet>>,
    /// Whatever is in the way goes, directories too.
    replace: bool,
    /// Source inode → the first copy's path.
    links: HashMap<u64, RootedPath>,
    /// The directories being copied, outermost first: a stack of its own, since trees may be deeper than a thread's.
    above: Vec<Above>,
}

/// A directory whose children are being copied.
struct Above {
    node: Node,
    place: Place,
    children: std::vec::IntoIter<Node>,
    /// False as long as its copy waits for something beneath it to match.
    copied: bool,
}

/// Where the object at hand goes.
struct Place {
    target: RootedPath,
    /// The path relative to what the instruction named; patterns match it. Empty for that itself.
    relative: Vec<u8>,
    /// The directory that gets it was made by this transfer: nothing can be in the way. Of a directory being copied: the same
    /// about what it holds.
    fresh: bool,
}

impl<'a> Transfer<'a> {
    pub fn new(
        overlay: &'a mut Overlay,
        source: &'a Arc<dyn Tree>,
        stamp: Stamp,
        mode: &'a ModeChange,
        include: Option<Box<dyn PatternSet>>,
        exclude: Option<Box<dyn PatternSet>>,
        replace: bool,
    ) -> Self {
        Self { overlay, source, stamp, mode, include, exclude, replace, links: HashMap::new(), above: Vec::new() }
    }

    /// Copies `node` to `target`, whose parent exists.
    ///
    /// # Errors
    /// `DirOverFile`, `FileOverDir`, and what the trees say.
    pub fn run(mut self, node: Node, target: RootedPath) -> Result<(), FileError> {
        self.copy(node, Place { target, relative: Vec::new(), fresh: false })?;
        while let Some(dir) = self.above.last_mut() {
            let Some(child) = dir.children.next() else {
                self.above.pop();
                continue;
            };
            let name = child.entry.path.file_name().unwrap_or_default();
            let place = Place {
                target: dir.place.target.join(name)?,
                relative: if dir.place.relative.is_empty() {
                    name.to_vec()
                } else {
                    [dir.place.relative.as_slice(), b"/", name].concat()
                },
                fresh: dir.place.fresh,
            };
            self.copy(child, place)?;
        }
        Ok(())
    }

    fn copy(&mut self, node: Node, place: Place) -> Result<(), FileError> {
        let wanted = self.wants(&place.relative);
        if !wanted && (!node.entry.is_dir() || self.can_skip(&place.relative)) {
            return Ok(());
        }
        if node.entry.is_dir() {
            return self.begin_dir(node, place, wanted);
        }
        self.copy_above()?;
        self.clear_place(&place)?;
        self.put_file(&node, place)
    }

    fn wants(&self, relative: &[u8]) -> bool {
        relative.is_empty()
            || self.include.as_ref().is_none_or(|patterns| patterns.matches(relative))
                && self.exclude.as_ref().is_none_or(|patterns| !patterns.matches(relative))
    }

    /// Whether nothing beneath an excluded directory can be wanted.
    fn can_skip(&self, relative: &[u8]) -> bool {
        self.exclude.as_ref().is_some_and(|patterns| patterns.matches(relative) && !patterns.has_exceptions())
    }

    /// Copies a directory itself, if it is wanted; its children are next.
    fn begin_dir(&mut self, node: Node, mut place: Place, wanted: bool) -> Result<(), FileError> {
        if wanted {
            self.copy_above()?;
            let top = place.relative.is_empty();
            place.fresh = self.put_dir(&node, &place.target, top, place.fresh)?;
        } else {
            place.fresh = false;
        }
        let children = self.source.read_dir(&node.entry.path)?.into_iter();
        self.above.push(Above { node, place, children, copied: wanted });
        Ok(())
    }

    /// The delayed directories above something that matches.
    fn copy_above(&mut self) -> Result<(), FileError> {
        for index in 0..self.above.len() {
            if self.above[index].copied {
                continue;
            }
            self.above[index].copied = true;
            let (node, target) = (self.above[index].node.clone(), self.above[index].place.target.clone());
            match self.overlay.lookup(&target)? {
                None => {
                    self.put_dir(&node, &target, index == 0, true)?;
                }
                Some(existing) if existing.entry.is_dir() => {
                    // BuildKit changes the mode of a directory that exists and nothing else.
                    if index > 0 {
                        self.overlay.copy_up(&target)?.entry.mode = node.entry.mode;
                    }
                }
                Some(_) => return Err(FileError::DirOverFile { path: target }),
            }
        }
        Ok(())
    }

    /// Makes or changes the directory at `target`; true when it is new. `free`: nothing can be there.
    fn put_dir(&mut self, node: &Node, target: &RootedPath, top: bool, free: bool) -> Result<bool, FileError> {
        let existing = if free { None } else { self.overlay.lookup(target)? };
        let existing = match existing {
            Some(existing) if !existing.entry.is_dir() && self.replace => {
                self.overlay.remove(target)?;
                None
            }
            Some(existing) if !existing.entry.is_dir() => {
                return Err(FileError::DirOverFile { path: target.clone() });
            }
            other => other,
        };
        let (mut entry, time) = self.stamped(&node.entry, target);
        match existing {
            None => {
                let inode = self.overlay.new_inode();
                self.overlay.put(Made { entry, content: None, inode, hides: true, time });
                return Ok(true);
            }
            // The directory the instruction names as destination keeps what it has; only its time follows the source.
            Some(_) if top => {
                let made = self.overlay.copy_up(target)?;
                made.entry.mtime = entry.mtime;
                made.time = TimeOrigin::Implied;
            }
            Some(existing) => {
                let mut xattrs = existing.entry.xattrs;
                xattrs.append(&mut entry.xattrs);
                entry.xattrs = xattrs;
                let made = self.overlay.copy_up(target)?;
                made.entry = entry;
                made.time = time;
            }
        }
        Ok(false)
    }

    /// Removes what is in the way of a file.
    fn clear_place(&mut self, place: &Place) -> Result<(), FileError> {
        if place.fresh {
            return Ok(());
        }
        match self.overlay.lookup(&place.target)? {
            Some(existing) if existing.entry.is_dir() && self.replace => self.overlay.remove(&place.target),
            Some(existing) if existing.entry.is_dir() => Err(FileError::FileOverDir { path: place.target.clone() }),
            _ => Ok(()),
        }
    }

    fn put_file(&mut self, node: &Node, place: Place) -> Result<(), FileError> {
        let (entry, time) = self.stamped(&node.entry, &place.target);
        if node.link_count > 1 && node.entry.is_file() {
            if let Some(first) = self.links.get(&node.inode) {
                return self.overlay.link(&first.clone(), &entry, time);
            }
            self.links.insert(node.inode, place.target);
        }
        let path = &node.entry.path;
        let size_bytes = node.entry.size_bytes();
        let content = node.entry.is_file().then(|| Content::of_tree(self.source, path, size_bytes)).transpose()?;
        let inode = self.overlay.new_inode();
        self.overlay.put(Made { entry, content, inode, hides: false, time });
        Ok(())
    }

    /// The metadata of a copy.
    fn stamped(&self, from: &Entry, target: &RootedPath) -> (Entry, TimeOrigin) {
        let mut entry = Entry { path: target.clone(), ..from.clone() };
        if let Some(owner) = self.stamp.owner {
            (entry.uid, entry.gid) = (owner.uid, owner.gid);
        }
        if entry.symlink_target().is_none() {
            entry.mode = self.mode.apply(entry.mode, entry.is_dir());
        }
        // A tree without an entry for its root has no time for it: the directory made from it is new.
        if from.path.is_root() && from.mtime == Mtime::EPOCH && self.stamp.time.is_none() {
            entry.mtime = self.stamp.now.whole_seconds();
            return (entry, TimeOrigin::Implied);
        }
        entry.mtime = self.stamp.time.unwrap_or(entry.mtime).whole_seconds();
        (entry, TimeOrigin::Given)
    }
}
