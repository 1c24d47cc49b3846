//! In: one layer, as a tar or as a diff directory. Out: everything about it but the bytes of its files, small enough to keep. Never: a merge with other layers.

mod builder;
mod directory;
mod encode;
mod record;
mod scan;

pub use builder::ListingBuilder;
pub use directory::{DirectoryOptions, from_dir};
pub use record::ListedWriter;
pub use scan::{Scan, from_tar};

use std::io;

use crate::entry::{Entry, EntryKind};
use crate::path::{PathError, RootedPath};
use crate::tar::TarError;

/// Files whose bytes are kept in the listing, because COPY --chown and USER ask for them.
pub const INLINE_PATHS: [&str; 2] = ["etc/passwd", "etc/group"];
/// Larger ones are not kept inline.
pub const INLINE_BYTES_MAX: u64 = 1 << 20;
/// Names, link targets and extended attributes of one layer together, in bytes.
pub const METADATA_BYTES_MAX: usize = 512 << 20;
/// Components of names looked at behind symlinks, over a whole layer: it bounds the time a hostile layer takes.
pub const WALK_STEPS_MAX: usize = 64 << 20;
/// Symlinks followed for the directory part of one name.
pub const SYMLINKS_MAX: usize = 255;

/// One name of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingEntry {
    /// Its metadata. A hard link whose target is in the same layer is listed as what it links to; `HardLink` remains for targets in lower layers.
    pub entry: Entry,
    /// The sha256 of a regular file's bytes; none when they were not read.
    pub content: Option<[u8; 32]>,
    /// Where a regular file's bytes begin in the layer's uncompressed tar; none when sparse, or when the listing is of a directory.
    pub data_offset: Option<u64>,
    /// Names of one object share a number above 0; 0 for an object with a single name in this layer.
    pub link_group: u32,
}

/// The contents of a layer without the bytes of its files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    entries: Vec<ListingEntry>,
    whiteouts: Vec<RootedPath>,
    opaques: Vec<RootedPath>,
    inline: Vec<(RootedPath, Vec<u8>)>,
}

impl Listing {
    /// The names, in the order of paths, each once. Directories that only follow from longer names are not listed.
    pub fn entries(&self) -> &[ListingEntry] {
        &self.entries
    }

    /// Paths of lower layers that this one hides, in the order of paths. An entry may have the same path: it replaces what is hidden.
    pub fn whiteouts(&self) -> &[RootedPath] {
        &self.whiteouts
    }

    /// Directories in which this layer hides everything of lower layers, in the order of paths.
    pub fn opaques(&self) -> &[RootedPath] {
        &self.opaques
    }

    /// The entry of a path, literally.
    pub fn get(&self, path: &RootedPath) -> Option<&ListingEntry> {
        let at = self.entries.binary_search_by(|listed| listed.entry.path.cmp(path)).ok()?;
        self.entries.get(at)
    }

    /// The bytes of one of [`INLINE_PATHS`], if this layer has it as a regular file.
    pub fn inline(&self, path: &RootedPath) -> Option<&[u8]> {
        self.inline.iter().find(|(kept, _)| kept == path).map(|(_, bytes)| bytes.as_slice())
    }

    /// Whether the layer changes nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.whiteouts.is_empty() && self.opaques.is_empty()
    }

    /// The sum of the lengths of its files, hard links counted once, in bytes.
    pub fn file_bytes(&self) -> u64 {
        let mut seen = std::collections::HashSet::new();
        let counted = self.entries.iter().filter(|listed| listed.link_group == 0 || seen.insert(listed.link_group));
        counted.map(|listed| listed.entry.size_bytes()).sum()
    }

    /// Whether every regular file has its sha256.
    pub fn has_all_contents(&self) -> bool {
        self.entries
            .iter()
            .all(|listed| listed.content.is_some() || !matches!(listed.entry.kind, EntryKind::File { .. }))
    }
}

/// Why a layer cannot be listed, or a stored listing not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// The tar is damaged or hostile.
    #[error("list layer: {0}")]
    Tar(#[from] TarError),
    /// The stream failed behind the end of the archive.
    #[error("list layer: {0}")]
    Stream(#[source] io::Error),
    /// A name or a symlink's target is not usable.
    #[error("list layer: {0}")]
    Path(#[from] PathError),
    /// Something that is not a directory has entries beneath it.
    #[error("list layer: {path} lies beneath {parent}, which the same layer has as something else than a directory")]
    ParentNotDirectory {
        /// The entry.
        path: RootedPath,
        /// The parent that is none.
        parent: RootedPath,
    },
    /// Symlinks of the layer lead to each other.
    #[error("list layer: more than {SYMLINKS_MAX} symbolic links on the way to {path}")]
    SymlinkLoop {
        /// The entry.
        path: RootedPath,
    },
    /// A hard link must not name a directory.
    #[error("list layer: hard link {path} names the directory {target}")]
    HardLinkToDirectory {
        /// The link.
        path: RootedPath,
        /// The directory.
        target: RootedPath,
    },
    /// A named limit is exceeded.
    #[error("list layer: {what} exceeds the limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The directory cannot be read.
    #[error("list layer: read {path}: {source}")]
    Directory {
        /// Path on the host.
        path: std::path::PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A stored listing is of another version or damaged; list the layer again.
    #[error("stored listing cannot be used: {reason}")]
    Decode {
        /// What is wrong.
        reason: &'static str,
    },
}

#[cfg(test)]
mod tests;
