//! In: a path as an instruction writes it, a tree. Out: the path it leads to when symlinks are followed, as if the tree were the root file system. Never: a way out of the tree.

use std::collections::VecDeque;

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
    resolve_within(tree, &RootedPath::root(), path, last)
}

/// Like `resolve`, with the directory `root` as the root of everything: absolute links begin there and `..` ends there.
/// `path` is relative to `root`, the result to the tree. `root` itself must be free of symlinks.
pub(super) fn resolve_within(
    tree: &dyn Tree,
    root: &RootedPath,
    path: &RootedPath,
    last: LastLink,
) -> Result<RootedPath, FileError> {
    let mut todo: VecDeque<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
    let mut done = root.clone();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == b".." {
            done = if done == *root { done } else { done.parent().unwrap_or_default() };
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

/// Up to two names in the directory of `path` that look like its last component.
fn near_names(tree: &dyn Tree, path: &RootedPath) -> Vec<RootedPath> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let Ok(siblings) = tree.read_dir(&parent) else {
        return Vec::new();
    };
    let allowed = 1 + name.len() / 4;
    let mut near: Vec<(usize, RootedPath)> = siblings
        .into_iter()
        .filter_map(|node| {
            let other = node.entry.path.file_name()?;
            let distance = if other.eq_ignore_ascii_case(name) { 0 } else { edit_distance(name, other) };
            (distance <= allowed && distance < name.len()).then_some((distance, node.entry.path))
        })
        .collect();
    near.sort();
    near.into_iter().take(2).map(|(_, path)| path).collect()
}

/// Insertions, deletions and replacements that turn one name into the other.
fn edit_distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let cost = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::edit_distance;

    #[test]
    fn distances() {
        assert_eq!(edit_distance(b"nope", b"nope"), 0);
        assert_eq!(edit_distance(b"nope", b"nape"), 1);
        assert_eq!(edit_distance(b"", b"abc"), 3);
        assert_eq!(edit_distance(b"package.json", b"pakage.jsn"), 2);
    }
}
