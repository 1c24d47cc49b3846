//! In: a tree and a path with symlinks. Out: the path they lead to inside the same root, and names like one that is missing. Never: a way out of the root.

use super::{Node, Tree, TreeError};
use crate::entry::EntryKind;
use crate::path::RootedPath;

/// Symlinks followed for one path, as in Go's securejoin and BuildKit.
pub const SYMLINKS_MAX: usize = 255;
/// Names suggested for a missing one.
const NEAR_NAMES_MAX: usize = 2;
/// Names of a directory that are compared with a missing one.
const NEAR_CANDIDATES_MAX: usize = 2000;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The path without symlinks on its way.
    pub path: RootedPath,
    /// What is there; nothing when the path could be created.
    pub node: Option<Node>,
}

/// Follows every symlink of a path, the last component too. Absolute targets begin at the tree's root and `..` stops there. Components that do not
/// exist are kept, so that the result says where something would be created.
///
/// # Errors
/// `SymlinkLoop`, `NotADirectory` when something else is on the way, `Path`, `Read`.
pub fn resolve(tree: &dyn Tree, path: &RootedPath) -> Result<Resolved, TreeError> {
    follow(tree, path, true)
}

/// Like [`resolve`], but a symlink as the last component is what is found.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_parent(tree: &dyn Tree, path: &RootedPath) -> Result<Resolved, TreeError> {
    follow(tree, path, false)
}

fn follow(tree: &dyn Tree, path: &RootedPath, follow_last: bool) -> Result<Resolved, TreeError> {
    let mut rest: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
    let mut resolved = RootedPath::root();
    let mut node = tree.lookup(&resolved)?;
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == b".." {
            resolved = resolved.parent().unwrap_or_default();
            node = tree.lookup(&resolved)?;
            continue;
        }
        if let Some(other) = node.filter(|node| !node.entry.is_dir()) {
            return Err(TreeError::NotADirectory { path: other.entry.path });
        }
        let next = resolved.join(&name)?;
        let found = tree.lookup(&next)?;
        if let Some(EntryKind::Symlink { target }) = found.as_ref().map(|node| &node.entry.kind)
            && (follow_last || !rest.is_empty())
        {
            links += 1;
            if links > SYMLINKS_MAX {
                return Err(TreeError::SymlinkLoop { path: path.clone(), through: next, limit: SYMLINKS_MAX });
            }
            if target.starts_with(b"/") {
                resolved = RootedPath::root();
            }
            let names = target.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
            rest.extend(names.rev().map(<[u8]>::to_vec));
            node = tree.lookup(&resolved)?;
            continue;
        }
        node = found;
        resolved = next;
    }
    Ok(Resolved { path: resolved, node })
}

/// Up to two names that are a typing error away from a missing path, or from its first missing parent; best first. Never an error: suggestions are a
/// courtesy.
pub fn near_names(tree: &dyn Tree, missing: &RootedPath) -> Vec<RootedPath> {
    let mut missing = missing.clone();
    let siblings = loop {
        let Some(parent) = missing.parent() else {
            return Vec::new();
        };
        match tree.read_dir(&parent) {
            Ok(siblings) => break siblings,
            Err(_) => missing = parent,
        }
    };
    let name = missing.file_name().unwrap_or_default();
    let limit = (name.len() / 3).clamp(1, 3);
    let mut near: Vec<(usize, RootedPath)> = siblings
        .into_iter()
        .take(NEAR_CANDIDATES_MAX)
        .filter_map(|node| {
            let distance = distance(name, node.entry.path.file_name()?, limit)?;
            Some((distance, node.entry.path))
        })
        .collect();
    near.sort();
    near.into_iter().take(NEAR_NAMES_MAX).map(|(_, path)| path).collect()
}

/// Letters to change, add or drop, without regard to case; none when more than `limit`.
fn distance(left: &[u8], right: &[u8], limit: usize) -> Option<usize> {
    if left.len().abs_diff(right.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, b) in right.iter().enumerate() {
            let same = a.eq_ignore_ascii_case(b);
            let cost = (diagonal + usize::from(!same)).min(row[column] + 1).min(row[column + 1] + 1);
            diagonal = row[column + 1];
            row[column + 1] = cost;
        }
    }
    row.last().copied().filter(|distance| *distance <= limit)
}
