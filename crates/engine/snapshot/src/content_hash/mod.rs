//! In: a tree and what a step takes from it. Out: one digest that changes if and only if the step could see a difference. Never: a time, an inode, a path outside
//! the selection.
//!
//! | input | counts | reason |
//! |---|---|---|
//! | mode, uid, gid, size, type, link text, device numbers | yes | a copy has them (spec/dockerfile.md §5, tar-sum v1) |
//! | extended attributes | yes, without `security.*` and `system.*` except `security.capability` | the others belong to the host |
//! | bytes of files | yes, as their sha256 | a listing knows it without the bytes |
//! | names | beneath the selected path; for several matches each match's own name too | what lies above is not copied |
//! | time of modification | no | a checkout or touch must not miss |
//! | hard links | no | the copy of a name has its own bytes |
//!
//! The preimage of an object has BuildKit's fields in BuildKit's order, each with its length, so that no two objects share one.

mod walk;

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::entry::{Entry, EntryKind};
use crate::glob;
use crate::path::RootedPath;
use crate::tree::{Node, Tree, TreeError, near_names, resolve, resolve_parent};

/// What a selection of files is, as a sha256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest(pub [u8; 32]);

impl fmt::Display for ContentDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ContentDigest({self})")
    }
}

/// Says whether a path beneath the selected directory (relative to it) matches. For Docker's patterns a path also matches when one of its parents does; that is the closure's work.
pub type Matcher<'a> = &'a dyn Fn(&RootedPath) -> bool;

/// What a step takes from a tree.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    /// The path as the step gives it; `..` is removed without a look at symlinks. Symlinks before the last component are followed.
    pub path: &'a [u8],
    /// `path` may hold wildcards.
    pub wildcard: bool,
    /// A symlink as the last component counts as what it leads to.
    pub follow_symlink: bool,
    /// The metadata of a selected directory itself does not count (its contents are copied into another).
    pub skip_directory_header: bool,
    /// Only these count, with the directories above them.
    pub include: Option<Matcher<'a>>,
    /// These do not count.
    pub exclude: Option<Matcher<'a>>,
}

impl<'a> Selection<'a> {
    /// One path, literally, with everything beneath it.
    pub fn of(path: &'a [u8]) -> Self {
        Self {
            path,
            wildcard: false,
            follow_symlink: false,
            skip_directory_header: false,
            include: None,
            exclude: None,
        }
    }

    fn has_filter(&self) -> bool {
        self.include.is_some() || self.exclude.is_some()
    }
}

/// The digest of a selection. Wildcards without a match give the digest of nothing.
///
/// # Errors
/// `NotFound` with names like it, `BadPattern`, `SymlinkLoop`, `NotADirectory`, `Path`, `Read`.
pub fn digest(tree: &dyn Tree, selection: &Selection<'_>) -> Result<ContentDigest, TreeError> {
    digest_with(tree, selection, &mut |_, _| {})
}

/// Like [`digest`], and shows every object that counts with its own digest, so that a later miss can name what differs.
///
/// # Errors
/// As [`digest`].
pub fn digest_with(
    tree: &dyn Tree,
    selection: &Selection<'_>,
    observe: &mut dyn FnMut(&RootedPath, &ContentDigest),
) -> Result<ContentDigest, TreeError> {
    let mut hashing = walk::Hashing { tree, selection, observe };
    if !(selection.wildcard && glob::has_wildcards(selection.path)) {
        let node = find(tree, &RootedPath::parse_lexical(selection.path)?, selection.follow_symlink)?;
        return hashing.object(&node);
    }
    let mut combined = Sha256::new();
    for path in glob::select(tree, selection.path)? {
        let name = path.file_name().unwrap_or_default().to_vec();
        let node = find(tree, &path, selection.follow_symlink)?;
        let digest = hashing.object(&node)?;
        walk::record(&mut combined, &name, &digest);
    }
    Ok(ContentDigest(combined.finalize().into()))
}

fn find(tree: &dyn Tree, path: &RootedPath, follow: bool) -> Result<Node, TreeError> {
    let found = if follow { resolve(tree, path)? } else { resolve_parent(tree, path)? };
    found.node.ok_or_else(|| TreeError::NotFound { path: path.clone(), near: near_names(tree, &found.path) })
}

/// Whether an attribute is part of what is copied, and not of the host it lies on.
pub fn counts_xattr(name: &[u8]) -> bool {
    name == b"security.capability"
        || !(name.starts_with(b"security.") || name.starts_with(b"system.") || name.starts_with(b"com.apple."))
}

/// The digest of an object by itself: of a directory without what it holds, of a file with the sha256 of its bytes.
pub fn object_digest(entry: &Entry, content: Option<&[u8; 32]>) -> ContentDigest {
    let mut hasher = Sha256::new();
    header(entry, &mut |bytes| hasher.update(bytes));
    if let Some(content) = content {
        hasher.update(content);
    }
    ContentDigest(hasher.finalize().into())
}

/// The preimage of an object's metadata.
fn header(entry: &Entry, put: &mut dyn FnMut(&[u8])) {
    let (type_flag, link, (major, minor)): (&[u8], &[u8], (u32, u32)) = match &entry.kind {
        // A tree never has hard links: they are files.
        EntryKind::File { .. } | EntryKind::HardLink { .. } => (b"0", b"", (0, 0)),
        EntryKind::Symlink { target } => (b"2", target, (0, 0)),
        EntryKind::CharDevice { major, minor } => (b"3", b"", (*major, *minor)),
        EntryKind::BlockDevice { major, minor } => (b"4", b"", (*major, *minor)),
        EntryKind::Dir => (b"5", b"", (0, 0)),
        EntryKind::Fifo => (b"6", b"", (0, 0)),
    };
    let mut field = |key: &[u8], value: &[u8]| {
        put(key);
        put(format!("{}:", value.len()).as_bytes());
        put(value);
    };
    field(b"name", b"");
    field(b"mode", entry.mode.to_string().as_bytes());
    field(b"uid", entry.uid.to_string().as_bytes());
    field(b"gid", entry.gid.to_string().as_bytes());
    field(b"size", entry.size_bytes().to_string().as_bytes());
    field(b"typeflag", type_flag);
    field(b"linkname", link);
    field(b"uname", b"");
    field(b"gname", b"");
    field(b"devmajor", major.to_string().as_bytes());
    field(b"devminor", minor.to_string().as_bytes());
    for (name, value) in entry.xattrs.iter().filter(|(name, _)| counts_xattr(name)) {
        field(format!("{}:", name.len()).as_bytes(), name);
        field(b"", value);
    }
}

#[cfg(test)]
mod tests;
