//! In: a place and the file of this program. Out: what is there; a link made or removed. Never: anything touched that is no link to this program.

use std::io;
use std::path::{Path, PathBuf};

/// What is in a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    Absent,
    /// A link to this program.
    Ours,
    /// A link to this program in another file: an older one, or one that was moved away.
    OldOurs(PathBuf),
    /// Anything else, in words.
    Foreign(String),
}

/// What became of a link.
#[derive(Debug, PartialEq, Eq)]
pub enum Made {
    New,
    Present,
    Replaced(PathBuf),
    Foreign(String),
}

/// What became of a link that was to go.
#[derive(Debug, PartialEq, Eq)]
pub enum Removed {
    Gone,
    Absent,
    Foreign(String),
}

/// Looks at a place.
pub fn look(path: &Path, us: &Path) -> Place {
    let Ok(meta) = fs_err::symlink_metadata(path) else { return Place::Absent };
    if !meta.is_symlink() {
        return Place::Foreign(if meta.is_dir() { "a directory" } else { "a file of its own" }.to_owned());
    }
    let Ok(target) = fs_err::read_link(path) else { return Place::Foreign("a link that cannot be read".to_owned()) };
    if fs_err::canonicalize(path).is_ok_and(|real| real == us) {
        return Place::Ours;
    }
    let is_named_like_us = |target: &Path| {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name == "crossdock" || name.starts_with("crossdock-") || Some(name.as_ref()) == us.file_name()
    };
    if is_named_like_us(&target) {
        Place::OldOurs(target)
    } else {
        Place::Foreign(format!("a link to {}", target.display()))
    }
}

/// Makes a link to this program, with the directories above it.
///
/// # Errors
/// When the file system refuses.
pub fn make(path: &Path, us: &Path) -> io::Result<Made> {
    let made = match look(path, us) {
        Place::Ours => return Ok(Made::Present),
        Place::Foreign(what) => return Ok(Made::Foreign(what)),
        Place::Absent => Made::New,
        Place::OldOurs(old) => Made::Replaced(old),
    };
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs_err::create_dir_all(dir)?;
    // Beside its place first: whoever looks at this moment finds the old link or the new one.
    let part = dir.join(format!(".crossdock-link.{}", std::process::id()));
    fs_err::os::unix::fs::symlink(us, &part)?;
    fs_err::rename(&part, path).inspect_err(|_| {
        let _ = fs_err::remove_file(&part);
    })?;
    Ok(made)
}

/// Removes a link to this program.
///
/// # Errors
/// When the file system refuses.
pub fn remove(path: &Path, us: &Path) -> io::Result<Removed> {
    match look(path, us) {
        Place::Absent => Ok(Removed::Absent),
        Place::Foreign(what) => Ok(Removed::Foreign(what)),
        Place::Ours | Place::OldOurs(_) => {
            fs_err::remove_file(path)?;
            Ok(Removed::Gone)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_made_replaced_and_removed_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap();
        let us = root.join("crossdock");
        fs_err::write(&us, "x").unwrap();
        let path = root.join("a/b/docker-buildx");
        assert_eq!(remove(&path, &us).unwrap(), Removed::Absent);
        assert_eq!(make(&path, &us).unwrap(), Made::New);
        assert_eq!(make(&path, &us).unwrap(), Made::Present);
        assert_eq!(fs_err::read_link(&path).unwrap(), us);
        assert_eq!(remove(&path, &us).unwrap(), Removed::Gone);
        symlink("/gone/crossdock", &path).unwrap();
        assert_eq!(make(&path, &us).unwrap(), Made::Replaced("/gone/crossdock".into()));
        fs_err::remove_file(&path).unwrap();
        symlink("/bin/sh", &path).unwrap();
        assert_eq!(make(&path, &us).unwrap(), Made::Foreign("a link to /bin/sh".to_owned()));
        assert_eq!(remove(&path, &us).unwrap(), Removed::Foreign("a link to /bin/sh".to_owned()));
        fs_err::remove_file(&path).unwrap();
        fs_err::write(&path, "real").unwrap();
        assert!(matches!(make(&path, &us).unwrap(), Made::Foreign(_)));
        assert!(matches!(remove(&path, &us).unwrap(), Removed::Foreign(_)));
        assert_eq!(fs_err::read(&path).unwrap(), b"real");
    }
}
