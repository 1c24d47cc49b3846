//! In: the planned changes. Out: their entries in the tar. Never: another order than the plan's, a file in memory.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::AsFd as _;

use super::plan::{Change, What};
use super::{DiffError, DiffReport, Upper, read_error};
use crate::disk::{Object, ObjectKind, link_text, open_file};
use crate::entry::{Entry, EntryKind, Xattrs};
use crate::path::RootedPath;
use crate::tar::Writer;

pub(super) fn write<W: Write>(
    upper: &Upper,
    changes: &[Change],
    report: DiffReport,
    out: &mut Writer<W>,
) -> Result<DiffReport, DiffError> {
    let mut emit = Emit { upper, out, report, first_names: HashMap::new() };
    // Unchanged directories that hold everything up to here and have not been written.
    let mut waiting: Vec<&Change> = Vec::new();
    for change in changes {
        while waiting.last().is_some_and(|dir| !change.path.starts_with(&dir.path)) {
            waiting.pop();
        }
        if change.wanted {
            for dir in waiting.drain(..) {
                emit.change(dir)?;
            }
            emit.change(change)?;
        } else if matches!(&change.what, What::Object { object, .. } if object.is_dir()) {
            waiting.push(change);
        }
    }
    Ok(emit.report)
}

struct Emit<'a, W: Write> {
    upper: &'a Upper,
    out: &'a mut Writer<W>,
    report: DiffReport,
    /// The first name written of every inode with several.
    first_names: HashMap<(u64, u64), RootedPath>,
}

impl<W: Write> Emit<'_, W> {
    fn change(&mut self, change: &Change) -> Result<(), DiffError> {
        match &change.what {
            What::Deleted => {
                self.report.whiteouts += 1;
                Ok(self.out.whiteout(&change.path)?)
            }
            What::Object { object, xattrs } => {
                self.report.entries += 1;
                self.object(&change.path, object, xattrs)
            }
        }
    }

    fn object(&mut self, path: &RootedPath, object: &Object, xattrs: &Xattrs) -> Result<(), DiffError> {
        if object.is_hard_linked() {
            if let Some(target) = self.first_names.get(&object.identity) {
                let entry = entry(path, object, EntryKind::HardLink { target: target.clone() }, Xattrs::new());
                return Ok(self.out.append(&entry, &mut io::empty())?);
            }
            self.first_names.insert(object.identity, path.clone());
        }
        let target = match object.kind {
            ObjectKind::Symlink => link_text(self.upper.as_fd(), path.as_bytes()).map_err(read_error(path))?,
            _ => Vec::new(),
        };
        let Some(kind) = object.entry_kind(target) else { return Ok(()) };
        let entry = entry(path, object, kind, xattrs.clone());
        if object.size_bytes == 0 {
            return Ok(self.out.append(&entry, &mut io::empty())?);
        }
        self.report.content_bytes += object.size_bytes;
        let mut file = open_file(self.upper.as_fd(), path.as_bytes()).map_err(read_error(path))?;
        Ok(self.out.append(&entry, &mut file)?)
    }
}

/// An entry with an object's metadata.
fn entry(path: &RootedPath, object: &Object, kind: EntryKind, xattrs: Xattrs) -> Entry {
    let Object { mode, uid, gid, mtime, .. } = *object;
    Entry { path: path.clone(), kind, mode, uid, gid, mtime, xattrs }
}
