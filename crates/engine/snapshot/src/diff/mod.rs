//! In: what a step wrote (an overlay's upper directory, or a changed plain tree) and what lies below. Out: the layer, a deterministic tar. Never: a write into
//! either, an entry for what did not change, overlayfs's bookkeeping in a layer.
//!
//! An object gets an entry if and only if it differs from what the merged layers below show at its path, or something beneath it does (parents come with
//! their children, as in BuildKit's layers). What counts:
//!
//! | | counts | does not |
//! |---|---|---|
//! | all | kind, mode, uid, gid, attributes that layers carry | overlayfs's attributes, labels of the host, `trusted.*`, access and change time |
//! | files, links, nodes | mtime, size, content, link text, device numbers, names that became hard links of each other | |
//! | directories | names that appeared and went | mtime alone: every touched `/tmp` and every mount point of the sandbox changes it; BuildKit ignores it too |
//! | the root | | everything: containerd ignores root entries |
//!
//! A copied-up file with nothing changed gives no entry. A deletion is a whiteout at the place of the deleted name. An opaque directory is compared with what it
//! hides, name by name, so that there are whiteouts for what is gone and no `.wh..wh..opq`: BuildKit's overlay differ does the same, and both snapshotters can.
//! If one name of an upper hard-linked file has an entry, all its names have: the first carries the bytes. Sockets are left out; what one replaced is deleted.
//!
//! Order: [`RootedPath`]'s, parents first. It depends on nothing but the names.

mod plan;
mod write;

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::disk::{Format, Layers, Tally, open_root};
use crate::path::RootedPath;
use crate::tar::{TarError, Writer};

/// How to compare.
#[derive(Debug, Clone, Copy)]
pub struct DiffOptions<'a> {
    /// Overlay format: the marks are `user.overlay.*` (in user namespaces) instead of `trusted.overlay.*`.
    pub userxattr: bool,
    /// Mount points the sandbox made, with every directory it made for them. As long as they are empty files, or directories without anything else in them,
    /// and the layers below do not have them, they are left out.
    pub stubs: &'a [RootedPath],
}

/// What the layer holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiffReport {
    /// Entries, whiteouts not counted. 0 and no whiteouts: nothing changed.
    pub entries: u64,
    /// Deletions.
    pub whiteouts: u64,
    /// Bytes of files.
    pub content_bytes: u64,
    /// Sockets, left out.
    pub sockets: Tally,
    /// Objects named `.wh.…`, left out: in a layer they would delete something.
    pub reserved_names: Tally,
}

/// Why there is no layer.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A directory could not be opened.
    #[error("open {}: {source}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// What the step wrote could not be read.
    #[error("collect changes: read {path}: {source}")]
    Read {
        /// Where.
        path: RootedPath,
        /// The cause.
        source: io::Error,
    },
    /// The layers below could not be read.
    #[error("collect changes: read {path} in the layers below: {source}")]
    ReadBelow {
        /// Where.
        path: RootedPath,
        /// The cause.
        source: io::Error,
    },
    /// The overlay was mounted with features whose results a layer cannot express.
    #[error(
        "collect changes: {path} has attribute {xattr}; the overlay must be mounted with redirect_dir=nofollow,metacopy=off"
    )]
    ForeignOverlay {
        /// Where.
        path: RootedPath,
        /// The mark of the feature.
        xattr: String,
    },
    /// The tar could not be written.
    #[error(transparent)]
    Tar(#[from] TarError),
}

/// Writes the changes in an overlay's upper directory against the diff directories below (topmost first). The caller finishes the archive.
///
/// # Errors
/// The first object that could not be read, or the archive's.
pub fn diff_overlay<W: Write>(
    upper: &Path,
    lowers: &[PathBuf],
    options: DiffOptions<'_>,
    out: &mut Writer<W>,
) -> Result<DiffReport, DiffError> {
    let format = Format::Overlay { userxattr: options.userxattr };
    let below = Layers::open(lowers, format).map_err(open_error)?;
    diff(upper, &below, format, options, out)
}

/// Writes the changes of a complete tree against the complete tree it was copied from (none: an empty one). The same bytes as `diff_overlay` for the same change.
///
/// # Errors
/// As `diff_overlay`.
pub fn diff_plain<W: Write>(
    lower: Option<&Path>,
    upper: &Path,
    options: DiffOptions<'_>,
    out: &mut Writer<W>,
) -> Result<DiffReport, DiffError> {
    let lowers: Vec<PathBuf> = lower.into_iter().map(Path::to_path_buf).collect();
    let below = Layers::open(&lowers, Format::Plain).map_err(open_error)?;
    diff(upper, &below, Format::Plain, options, out)
}

fn diff<W: Write>(
    upper: &Path,
    below: &Layers,
    format: Format,
    options: DiffOptions<'_>,
    out: &mut Writer<W>,
) -> Result<DiffReport, DiffError> {
    let root = open_root(upper).map_err(|source| open_error((upper.to_path_buf(), source)))?;
    let (changes, report) = plan::plan(&root, below, format, options.stubs)?;
    write::write(&root, &changes, report, out)
}

fn open_error((path, source): (PathBuf, io::Error)) -> DiffError {
    DiffError::Open { path, source }
}

fn read_error(path: &RootedPath) -> impl FnOnce(io::Error) -> DiffError {
    move |source| DiffError::Read { path: path.clone(), source }
}

fn below_error(path: &RootedPath) -> impl FnOnce(io::Error) -> DiffError {
    move |source| DiffError::ReadBelow { path: path.clone(), source }
}

/// The directory changes are read from.
type Upper = OwnedFd;

#[cfg(test)]
mod tests;
