//! In: a path as an instruction writes it, a tree. Out: the path it leads to when symlinks are followed, as if the tree were the root file system. Never: a way out of the tree.

use std::collections::VecDeque;

use crossdock_snapshot::tree::near_names;
use crossdock_snapshot::{Node, RootedPath, Tree};

use super::error::FileError;

/// As many links as BuildKit follows for one path.
pub(super) const LINKS_MAX: usize = 255;

/// What the last component does when it is a symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastLink {
    Follow,
    Keep,
}

/// Where `path` leads. Components that do not exist are kept as they are.
///
/// # Errors
/// `NotADirectory` when a file is on the way, `TooManyLinks`, and what the tree says.
pub(super) fn resolve(tree: &dyn Tree, path: &RootedPath, last: LastLink) -> Result<RootedPath, FileError> {
    walk(tree, &RootedPath::root(), path, last, false)
}

/// Like `resolve`, with the directory `root` as the root of everything: absolute links begin there and `..` ends there.
/// `path` is relative to `root`, the result to the tree. `root` itself must be free of symlinks.
pub(super) fn resolve_within(
    tree: &dyn Tree,
    root: &RootedPath,
    path: &RootedPath,
    last: LastLink,
) -> Result<RootedPath, FileError> {
    walk(tree, root, path, last, true)
}

/// Follows a path from `root`. `..` at the root stays there, as in a file system, or is refused, as in an archive.
fn walk(
    tree: &dyn Tree,
    root: &RootedPath,
    path: &RootedPath,
    last: LastLink,
    refuse_above: bool,
) -> Result<RootedPath, FileError> {
    let mut todo: VecDeque<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
    let mut done = root.clone();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == b".." {
            if done != *root {
                done = done.parent().unwrap_or_default();
            } else if refuse_above {
                return Err(FileError::LeadsOut { path: path.clone() });
            }
            continue;
        }
        let next = done.join(&name)?;
        let Some(node) = tree.lookup(&next)? else {
            check_parent(tree, &done, path)?;
            done = next;
            continue;
        };
        match node.entry.symlink_target() {
            Some(target) if !todo.is_empty() || last == LastLink::Follow => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(FileError::TooManyLinks { path: root.append(path), limit: LINKS_MAX });
                }
                if target.starts_with(b"/") {
                    done = root.clone();
                }
                for component in target.rsplit(|&byte| byte == b'/') {
                    if !matches!(component, b"" | b".") {
                        todo.push_front(component.to_vec());
                    }
                }
            }
            _ => done = next,
        }
    }
    Ok(done)
}

/// A name beneath a file is not missing, it is impossible.
fn check_parent(tree: &dyn Tree, parent: &RootedPath, path: &RootedPath) -> Result<(), FileError> {
    match tree.lookup(parent)? {
        Some(node) if !node.entry.is_dir() => Err(FileError::NotADirectory { call: "lstat", path: path.clone() }),
        _ => Ok(()),
    }
}

/// The object at a resolved path of a source, or an error that names the path as it was written and names like it.
pub(super) fn require_source(tree: &dyn Tree, resolved: &RootedPath, written: &RootedPath) -> Result<Node, FileError> {
    match tree.lookup(resolved)? {
        Some(node) => Ok(node),
        None => Err(FileError::SourceNotFound { path: written.clone(), near: near_names(tree, resolved) }),
    }
}
