//! In: layers, or a complete tree. Out: one tar of everything their merge shows. Never: whiteouts, overlayfs's bookkeeping, sockets, the root's own entry.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::disk::{Format, Layers, ObjectKind, Step, Tally, Walk, layer_xattrs, open_file, target_of};
use crate::entry::{Entry, EntryKind, Mtime, Xattrs};
use crate::path::RootedPath;
use crate::tar::{TarError, Writer};

/// Where the tree is.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Diff directories, topmost first.
    Layers {
        /// The directories.
        lowers: &'a [PathBuf],
        /// Whether their marks are `user.overlay.*`.
        userxattr: bool,
    },
    /// A complete tree: a plain snapshot, or the root of a mounted overlay (where the kernel may not show all hard links as such: prefer `Layers`).
    Tree(&'a Path),
}

/// What to write.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExportOptions {
    /// The time of every entry, instead of its own (SOURCE_DATE_EPOCH).
    pub mtime: Option<Mtime>,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Entries.
    pub entries: u64,
    /// Bytes of files.
    pub content_bytes: u64,
    /// Sockets, left out.
    pub sockets: Tally,
}

/// Why there is no tar.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A directory could not be opened.
    #[error("open {}: {source}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// An object could not be read.
    #[error("export: read {path}: {source}")]
    Read {
        /// Where.
        path: RootedPath,
        /// The cause.
        source: io::Error,
    },
    /// The tar could not be written.
    #[error(transparent)]
    Tar(#[from] TarError),
}

/// Writes everything a tree shows, in the order of [`RootedPath`]; further names of a file become hard links. The caller finishes the archive.
///
/// In a user namespace device nodes are missing, because unpacking left them out ([`crate::disk::LeftOut`]): such exports come from the layers' blobs.
///
/// # Errors
/// The first object that could not be read, or the archive's.
pub fn tar_of_tree<W: Write>(
    source: Source<'_>,
    options: ExportOptions,
    out: &mut Writer<W>,
) -> Result<ExportReport, ExportError> {
    let layers = match source {
        Source::Layers { lowers, userxattr } => Layers::open(lowers, Format::Overlay { userxattr }),
        Source::Tree(path) => Layers::open(&[path.to_path_buf()], Format::Plain),
    };
    let layers = layers.map_err(|(path, source)| ExportError::Open { path, source })?;
    let mut first_names = HashMap::new();
    let mut report = ExportReport::default();
    let mut walk = Walk::new(&layers);
    while let Some(step) = walk.step().map_err(|(path, source)| ExportError::Read { path, source })? {
        if step.object.kind == ObjectKind::Socket {
            report.sockets.add(&step.path);
            continue;
        }
        report.entries += 1;
        if step.object.is_hard_linked() {
            if let Some(target) = first_names.get(&step.object.identity) {
                let kind = EntryKind::HardLink { target: RootedPath::clone(target) };
                out.append(&entry(&step, kind, Xattrs::new(), options), &mut io::empty())?;
                continue;
            }
            first_names.insert(step.object.identity, step.path.clone());
        }
        report.content_bytes += step.object.size_bytes;
        object(&layers, &step, options, out)?;
    }
    Ok(report)
}

/// Writes one object of a merged tree with all beneath it. In the archive it is called `name`; with the root as the name
/// only what a directory holds is written. Further names of a file become hard links when the first is among them.
///
/// # Errors
/// The first object that could not be read, or the archive's.
pub fn tar_below<W: Write>(
    layers: &Layers,
    from: &RootedPath,
    name: &RootedPath,
    out: &mut Writer<W>,
) -> Result<ExportReport, ExportError> {
    let mut first_names: HashMap<_, RootedPath> = HashMap::new();
    let mut report = ExportReport::default();
    let mut walk = Walk::new(layers);
    while let Some(step) = walk.step().map_err(|(path, source)| ExportError::Read { path, source })? {
        let Some(below) = below(&step.path, from) else { continue };
        let shown = if below.is_empty() { name.clone() } else { name.append(&parsed(below)) };
        if shown.as_bytes().is_empty() {
            continue;
        }
        if step.object.kind == ObjectKind::Socket {
            report.sockets.add(&step.path);
            continue;
        }
        report.entries += 1;
        let renamed = |mut entry: Entry| {
            entry.path = shown.clone();
            entry
        };
        if step.object.is_hard_linked() {
            if let Some(target) = first_names.get(&step.object.identity) {
                let kind = EntryKind::HardLink { target: target.clone() };
                let link = renamed(entry(&step, kind, Xattrs::new(), ExportOptions::default()));
                out.append(&link, &mut io::empty())?;
                continue;
            }
            first_names.insert(step.object.identity, shown.clone());
        }
        report.content_bytes += step.object.size_bytes;
        object_as(layers, &step, ExportOptions::default(), &renamed, out)?;
    }
    Ok(report)
}

/// What of a path lies behind `from`; `None` when it is neither this path nor beneath it.
fn below<'p>(path: &'p RootedPath, from: &RootedPath) -> Option<&'p [u8]> {
    let (path, from) = (path.as_bytes(), from.as_bytes());
    if from.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(from)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

fn parsed(path: &[u8]) -> RootedPath {
    RootedPath::parse(path).expect("a part of a clean path is clean")
}

fn object<W: Write>(
    layers: &Layers,
    step: &Step,
    options: ExportOptions,
    out: &mut Writer<W>,
) -> Result<(), ExportError> {
    object_as(layers, step, options, &|entry| entry, out)
}

fn object_as<W: Write>(
    layers: &Layers,
    step: &Step,
    options: ExportOptions,
    named: &dyn Fn(Entry) -> Entry,
    out: &mut Writer<W>,
) -> Result<(), ExportError> {
    let root = layers.fd(step.layer);
    let read_error = |source| ExportError::Read { path: step.path.clone(), source };
    let target = target_of(layers, step.layer, &step.path, &step.object).map_err(read_error)?;
    let Some(kind) = step.object.entry_kind(target) else { return Ok(()) };
    let xattrs = layer_xattrs(root, step.path.as_bytes()).map_err(read_error)?;
    let entry = named(entry(step, kind, xattrs, options));
    if step.object.size_bytes == 0 {
        return Ok(out.append(&entry, &mut io::empty())?);
    }
    let mut file = open_file(root, step.path.as_bytes()).map_err(read_error)?;
    Ok(out.append(&entry, &mut file)?)
}

fn entry(step: &Step, kind: EntryKind, xattrs: Xattrs, options: ExportOptions) -> Entry {
    let object = &step.object;
    Entry {
        path: step.path.clone(),
        kind,
        mode: object.mode,
        uid: object.uid,
        gid: object.gid,
        mtime: options.mtime.unwrap_or(object.mtime),
        xattrs,
    }
}
