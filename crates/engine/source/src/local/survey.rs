//! In: a directory and its ignore file. Out: what of it a build sees, name by name, and how much is left out. Never: a file's content read.

use std::path::Path;

use crossdock_dockerfile::ignore::Patterns;
use crossdock_snapshot::entry::EntryKind;
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::tree::{Tree as _, TreeError};

use super::{ContextError, ContextOptions, ContextTree};

/// A name in the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Relative to the context; directories end in `/`.
    pub path: String,
    /// Of a regular file, else 0.
    pub size_bytes: u64,
}

/// What a build sees of a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Sorted by path.
    pub seen: Vec<Seen>,
    pub files: u64,
    pub bytes: u64,
    /// Regular files the ignore file hides, and their bytes.
    pub hidden_files: u64,
    pub hidden_bytes: u64,
}

/// Why a directory could not be looked through.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Looks through a context directory.
///
/// # Errors
/// When the directory or one inside of it cannot be read.
pub fn survey(root: &Path, ignore: Option<&Patterns>, threads: usize) -> Result<Survey, SurveyError> {
    let open =
        |ignore| ContextTree::open(root, ContextOptions { ignore, follow: &[], include: &[], index: None, threads });
    let mut survey = Survey::default();
    collect(&open(ignore)?, &mut |seen, is_file| {
        survey.files += u64::from(is_file);
        survey.bytes += seen.size_bytes;
        survey.seen.push(seen);
    })?;
    survey.seen.sort_by(|left, right| left.path.cmp(&right.path));
    if ignore.is_some_and(|patterns| !patterns.is_empty()) {
        let (mut files, mut bytes) = (0, 0);
        collect(&open(None)?, &mut |seen, is_file| {
            files += u64::from(is_file);
            bytes += seen.size_bytes;
        })?;
        survey.hidden_files = files.saturating_sub(survey.files);
        survey.hidden_bytes = bytes.saturating_sub(survey.bytes);
    }
    Ok(survey)
}

fn collect(tree: &ContextTree, take: &mut dyn FnMut(Seen, bool)) -> Result<(), TreeError> {
    let mut todo = vec![RootedPath::default()];
    while let Some(dir) = todo.pop() {
        for node in tree.read_dir(&dir)? {
            let path = String::from_utf8_lossy(node.entry.path.as_bytes()).into_owned();
            match &node.entry.kind {
                EntryKind::Dir => {
                    take(Seen { path: format!("{path}/"), size_bytes: 0 }, false);
                    todo.push(node.entry.path);
                }
                EntryKind::File { size_bytes } => take(Seen { path, size_bytes: *size_bytes }, true),
                _ => take(Seen { path, size_bytes: 0 }, false),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_are_counted_and_not_listed() {
        let dir = tempfile::tempdir().unwrap();
        for (name, size) in [("a.txt", 3), ("b.log", 5), ("d/c.txt", 7), ("d/e.log", 11)] {
            let path = dir.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, vec![b'x'; size]).unwrap();
        }
        let patterns = Patterns::parse(b"**/*.log\n").unwrap();
        let found = survey(dir.path(), Some(&patterns), 1).unwrap();
        let paths: Vec<&str> = found.seen.iter().map(|seen| seen.path.as_str()).collect();
        assert_eq!(paths, ["a.txt", "d/", "d/c.txt"]);
        assert_eq!((found.files, found.bytes, found.hidden_files, found.hidden_bytes), (2, 10, 2, 16));
        assert_eq!(survey(dir.path(), None, 1).unwrap().files, 4);
    }
}
