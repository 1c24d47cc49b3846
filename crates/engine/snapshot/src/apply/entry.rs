//! In: one entry of a layer, its bytes to follow. Out: the object in the destination. Never: a followed last component, a file kept under a name that was replaced.

use std::io::Read;
use std::os::fd::AsFd as _;

use rustix::fs::AtFlags;

use super::dirs::{Dir, is_taken};
use super::{Apply, ApplyError, below_error, place_error, write_error};
use crate::disk::{
    ContentWriter, Facts, Format, Found, NodeKind, Object, ObjectKind, PlaceError, child, copy_content, layer_xattrs,
    link_text, node_kind, open_dir, open_file, remove_at, stat, target_of,
};
use crate::entry::{Entry, EntryKind, Xattrs};
use crate::path::RootedPath;
use crate::tar::{Chunk, Reader};

impl Apply<'_> {
    pub(super) fn entry<R: Read>(&mut self, entry: &Entry, data: &mut Reader<R>) -> Result<(), ApplyError> {
        let Some((parent, name)) = entry.path.split() else { return Ok(()) };
        let dir = self.make_dirs(parent, &entry.path, entry.mtime)?;
        let path = child(&dir.path, name);
        self.cover(&path);
        let facts = Facts::of_entry(entry);
        let made = match &entry.kind {
            EntryKind::File { .. } => self.file(&dir, name, &path, &facts, data).map(|()| true),
            EntryKind::Dir => self.dir(&dir, name, &path, &facts).map(|()| true),
            EntryKind::HardLink { target } => self.hard_link(&dir, name, &path, target).map(|()| true),
            EntryKind::Symlink { target } => self.node(&dir, name, &path, NodeKind::Symlink(target), &facts),
            EntryKind::CharDevice { major, minor } => {
                self.node(&dir, name, &path, NodeKind::CharDevice { major: *major, minor: *minor }, &facts)
            }
            EntryKind::BlockDevice { major, minor } => {
                self.node(&dir, name, &path, NodeKind::BlockDevice { major: *major, minor: *minor }, &facts)
            }
            EntryKind::Fifo => self.node(&dir, name, &path, NodeKind::Fifo, &facts),
        }?;
        if made {
            self.report.entries += 1;
            self.note_written(path, entry.is_dir());
            return Ok(());
        }
        // Left out: what lower layers have under this name is gone nevertheless.
        match self.format {
            Format::Plain => self.remove_unwritten(&dir, name, &path),
            Format::Overlay { .. } => self.hide(&dir, name, &path),
        }
    }

    fn file<R: Read>(
        &mut self,
        dir: &Dir,
        name: &[u8],
        path: &RootedPath,
        facts: &Facts<'_>,
        data: &mut Reader<R>,
    ) -> Result<(), ApplyError> {
        let file = match self.placer.create_file(dir.fd.as_fd(), name) {
            Err(error) if is_taken(&error) => {
                self.displace(dir, name, path)?;
                self.placer.create_file(dir.fd.as_fd(), name)
            }
            other => other,
        }
        .map_err(write_error(path, "create"))?;
        let mut writer = ContentWriter::new(&file);
        while let Some(chunk) = data.next_chunk()? {
            match chunk {
                Chunk::Bytes(bytes) => {
                    self.report.content_bytes += bytes.len() as u64;
                    writer.bytes(bytes).map_err(write_error(path, "write"))?;
                }
                Chunk::Hole(size_bytes) => {
                    self.report.content_bytes += size_bytes;
                    writer.hole(size_bytes);
                }
            }
        }
        writer.finish().map_err(write_error(path, "write"))?;
        self.placer.finish_file(&file, dir.within(), path, facts).map_err(place_error(path))
    }

    fn dir(&mut self, dir: &Dir, name: &[u8], path: &RootedPath, facts: &Facts<'_>) -> Result<(), ApplyError> {
        // What lower layers have here is found when the directory is entered; most are made without being asked for again.
        match stat(dir.fd.as_fd(), name).map_err(write_error(path, "stat"))? {
            Some(object) if object.is_dir() => {
                let fd = open_dir(dir.fd.as_fd(), name).map_err(write_error(path, "open directory"))?;
                self.placer.update_dir(fd.as_fd(), path, facts).map_err(place_error(path))?;
                self.times.insert(path.clone(), facts.mtime);
                // Its access list or group may have changed.
                self.forget_dirs();
                Ok(())
            }
            Some(_) => {
                self.displace(dir, name, path)?;
                let made = self.new_dir(dir, name, path, facts, crate::disk::Layers::nothing())?;
                // A whiteout or file of this layer hid what lower layers have here: the directory must not show it again.
                self.mark_opaque(made.fd.as_fd(), path)
            }
            None => self.new_dir(dir, name, path, facts, crate::disk::Layers::nothing()).map(|_| ()),
        }
    }

    fn node(
        &mut self,
        dir: &Dir,
        name: &[u8],
        path: &RootedPath,
        kind: NodeKind<'_>,
        facts: &Facts<'_>,
    ) -> Result<bool, ApplyError> {
        match self.placer.create_node(dir.within(), name, path, kind, facts) {
            Err(PlaceError::Failed { source, .. }) if is_taken(&source) => {
                self.displace(dir, name, path)?;
                self.placer.create_node(dir.within(), name, path, kind, facts).map_err(place_error(path))
            }
            other => other.map_err(place_error(path)),
        }
    }

    fn hard_link(&mut self, dir: &Dir, name: &[u8], path: &RootedPath, target: &RootedPath) -> Result<(), ApplyError> {
        let missing = || ApplyError::LinkTargetMissing { path: path.clone(), target: target.clone() };
        let (target_parent, target_name) = target.split().ok_or_else(missing)?;
        let target_dir = self.find_dirs(target_parent, path)?.ok_or_else(missing)?;
        let real_target = child(&target_dir.path, target_name);
        let there = stat(target_dir.fd.as_fd(), target_name).map_err(write_error(&real_target, "stat"))?;
        match there {
            Some(object) if object.is_dir() => {
                return Err(ApplyError::LinkTargetIsDirectory { path: path.clone(), target: target.clone() });
            }
            Some(object) if object.is_whiteout() => return Err(missing()),
            Some(object) => {
                if self.format == Format::Plain && object.is_hard_linked() && !self.written.contains(&real_target) {
                    self.separate(&target_dir, target_name, &real_target, &object)?;
                }
            }
            None => match self.below.find(&target_dir.merged, &real_target).map_err(below_error(&real_target))? {
                Found::Nothing => return Err(missing()),
                Found::Dir { .. } => {
                    return Err(ApplyError::LinkTargetIsDirectory { path: path.clone(), target: target.clone() });
                }
                Found::Other { object, layer } => {
                    self.copy_up(&target_dir, target_name, &real_target, &object, layer)?;
                }
            },
        }
        if *path == real_target {
            return Ok(());
        }
        self.note_written(real_target.clone(), false);
        let link = || {
            let from = target_dir.fd.as_fd();
            rustix::fs::linkat(from, target_name, dir.fd.as_fd(), name, AtFlags::empty()).map_err(std::io::Error::from)
        };
        match link() {
            Err(error) if is_taken(&error) => {
                if real_target.starts_with(path) {
                    // The directory to be replaced holds the target.
                    return Err(missing());
                }
                self.displace(dir, name, path)?;
                link()
            }
            other => other,
        }
        .map_err(write_error(path, "link"))
    }

    /// Copies a file, symlink or node of the layers below into the destination, so that it can get another name.
    fn copy_up(
        &mut self,
        dir: &Dir,
        name: &[u8],
        path: &RootedPath,
        object: &Object,
        layer: u16,
    ) -> Result<(), ApplyError> {
        let below = self.below;
        let source = (below.fd(layer), path.as_bytes());
        let xattrs = layer_xattrs(source.0, source.1).map_err(below_error(path))?;
        let target = target_of(below, layer, path, object).map_err(below_error(path))?;
        let file = match object.kind {
            ObjectKind::File => Some(open_file(source.0, source.1).map_err(below_error(path))?),
            _ => None,
        };
        self.copy(dir, name, path, (object, &xattrs, &target), file.as_ref())
    }

    /// Plain: gives a file of the layers below an inode of its own, as copying it up does in the overlay format.
    fn separate(&mut self, dir: &Dir, name: &[u8], path: &RootedPath, object: &Object) -> Result<(), ApplyError> {
        let xattrs = layer_xattrs(dir.fd.as_fd(), name).map_err(write_error(path, "read attributes"))?;
        let target = match object.kind {
            ObjectKind::Symlink => link_text(dir.fd.as_fd(), name).map_err(write_error(path, "read link"))?,
            _ => Vec::new(),
        };
        let file = match object.kind {
            ObjectKind::File => Some(open_file(dir.fd.as_fd(), name).map_err(write_error(path, "open"))?),
            _ => None,
        };
        remove_at(dir.fd.as_fd(), name).map_err(write_error(path, "replace"))?;
        self.copy(dir, name, path, (object, &xattrs, &target), file.as_ref())
    }

    fn copy(
        &mut self,
        dir: &Dir,
        name: &[u8],
        path: &RootedPath,
        (object, xattrs, target): (&Object, &Xattrs, &[u8]),
        file: Option<&fs_err::File>,
    ) -> Result<(), ApplyError> {
        let facts = Facts::of_object(object, xattrs);
        if let Some(from) = file {
            let to = self.placer.create_file(dir.fd.as_fd(), name).map_err(write_error(path, "create"))?;
            copy_content(from.file(), &to, object.size_bytes).map_err(write_error(path, "copy up"))?;
            return self.placer.finish_file(&to, dir.within(), path, &facts).map_err(place_error(path));
        }
        if let Some(kind) = node_kind(object, target) {
            self.placer.create_node(dir.within(), name, path, kind, &facts).map_err(place_error(path))?;
        }
        Ok(())
    }

    /// Makes room for a new object under a taken name.
    fn displace(&mut self, dir: &Dir, name: &[u8], path: &RootedPath) -> Result<(), ApplyError> {
        let there = stat(dir.fd.as_fd(), name).map_err(write_error(path, "stat"))?;
        remove_at(dir.fd.as_fd(), name).map_err(write_error(path, "replace"))?;
        // Only through a directory or a symlink other paths may lead.
        if there.is_some_and(|object| matches!(object.kind, ObjectKind::Dir | ObjectKind::Symlink)) {
            self.forget_beneath(path);
        }
        Ok(())
    }

    /// Remembers what whiteouts of this layer must spare. In the overlay format every file in the destination is this layer's, so directories will do.
    fn note_written(&mut self, path: RootedPath, is_dir: bool) {
        let mut ancestor = path.parent();
        if is_dir || self.format == Format::Plain {
            self.written.insert(path);
        }
        while let Some(path) = ancestor {
            ancestor = path.parent();
            if !self.written.insert(path) {
                break;
            }
        }
    }
}
