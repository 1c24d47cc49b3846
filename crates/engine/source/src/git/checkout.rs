//! In: a copy that has a commit. Out: its files in a directory of their own, as git checks them out. Never: a mode that depends on somebody's umask, a link followed out of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err::File;

use super::GitSpec;
use super::command::{Call, Calls};
use super::error::GitError;
use super::mirror::{Mirror, lock};
use super::resolve::Commit;

/// A directory that goes when this goes; those of killed processes go when the next one is made.
pub(super) struct Scratch {
    path: PathBuf,
    /// Held while the directory is in use.
    lock: Option<File>,
    lock_path: PathBuf,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> GitError {
    let path = path.display().to_string();
    move |source| GitError::Io { path, source }
}

impl Scratch {
    /// A new empty directory.
    pub fn new(root: &Path) -> Result<Self, GitError> {
        let all = root.join("checkouts");
        fs_err::create_dir_all(&all).map_err(io(&all))?;
        let _one_at_a_time = lock(&all.join("all.lock"))?;
        sweep(&all);
        let path = tempfile::Builder::new().prefix("c-").tempdir_in(&all).map_err(io(&all))?.keep();
        let lock_path = path.with_extension("lock");
        let lock = Some(lock(&lock_path)?);
        Ok(Self { path, lock, lock_path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is tried again by the next sweep.
        if fs_err::remove_dir_all(&self.path).is_ok() {
            let _ = fs_err::remove_file(&self.lock_path);
        }
        self.lock.take();
    }
}

/// Removes directories nobody holds.
fn sweep(all: &Path) {
    for entry in fs_err::read_dir(all).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir()
            && let Ok(lock) = File::create(path.with_extension("lock"))
            && lock.file().try_lock().is_ok()
            && fs_err::remove_dir_all(&path).is_ok()
        {
            let _ = fs_err::remove_file(path.with_extension("lock"));
        }
    }
}

/// Checks a commit out into `scratch`; gives the directory asked for, and the commit's time in seconds since 1970.
///
/// # Errors
/// `Subdir`, those of git and of the file system.
pub(super) fn checkout(
    calls: &Calls<'_>,
    spec: &GitSpec,
    commit: &Commit,
    mirror: &Mirror,
    scratch: &Scratch,
) -> Result<(PathBuf, i64), GitError> {
    let tree = scratch.path().join("tree");
    fs_err::create_dir(&tree).map_err(io(&tree))?;
    let has_submodules = spec.submodules && {
        let path = format!("{}:.gitmodules", commit.id);
        calls.succeeds(&Call::new("look into", &["cat-file", "-e", &path]).with("GIT_DIR", &mirror.path))?
    };
    if spec.keeps_history() || has_submodules {
        clone(calls, spec, commit, mirror, &tree, has_submodules)?;
        if !spec.keeps_history() {
            remove_histories(&tree)?;
        }
    } else {
        let (index, target) = (scratch.path().join("index"), format!("{}^{{tree}}", commit.id));
        let call = Call::new("check out", &["-c", "core.bare=false", "read-tree", "--reset", "-u", &target]);
        let call = call.with("GIT_DIR", &mirror.path).with("GIT_WORK_TREE", &tree).with("GIT_INDEX_FILE", &index);
        calls.run(&call.within(&tree))?;
    }
    let target = format!("{}^{{commit}}", commit.id);
    let time =
        mirror.git(calls, "read the commit of", &["log", "-1", "--no-show-signature", "--format=%ct", &target])?;
    let root = subdirectory(spec, &tree)?;
    set_modes(&root)?;
    Ok((root, time.trim().parse().unwrap_or(0)))
}

/// With a repository of its own: for histories that are kept, and for submodules.
fn clone(
    calls: &Calls<'_>,
    spec: &GitSpec,
    commit: &Commit,
    mirror: &Mirror,
    tree: &Path,
    has_submodules: bool,
) -> Result<(), GitError> {
    let git = |action, arguments: &[&str]| calls.run(&Call::new(action, arguments).within(tree));
    let format = if commit.id.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
    git("check out", &["-c", "init.defaultBranch=master", "init", "--quiet", "--template=", format])?;
    let copy = format!("file://{}", mirror.path.display());
    git("check out", &["remote", "add", "origin", &copy])?;
    let mut wanted = Mirror::kept(&commit.id);
    if commit.reference.starts_with("refs/heads/") || commit.reference.starts_with("refs/tags/") {
        wanted.push_str(&format!(":{}", commit.reference));
    }
    git("check out", &["fetch", "--quiet", "--update-head-ok", "--depth=1", "--", "origin", &wanted])?;
    git("check out", &["checkout", "--quiet", "FETCH_HEAD"])?;
    // Submodules may be named relative to it.
    git("check out", &["remote", "set-url", "origin", &spec.remote])?;
    if has_submodules {
        let update = ["submodule", "--quiet", "update", "--init", "--recursive"];
        let shallow: Vec<&str> = update.iter().copied().chain(["--depth=1"]).collect();
        match git("fetch the submodules of", &shallow) {
            // Not every server gives parts of a history.
            Err(GitError::Refused { .. }) => git("fetch the submodules of", &update)?,
            other => other?,
        };
    }
    git("check out", &["remote", "set-url", "origin", &spec.shown()])?;
    git("check out", &["reflog", "expire", "--all", "--expire=now"])?;
    let head = tree.join(".git/FETCH_HEAD");
    if head.exists() {
        fs_err::remove_file(&head).map_err(io(&head))?;
    }
    Ok(())
}

/// Every `.git`, of the repository and of its submodules.
fn remove_histories(tree: &Path) -> Result<(), GitError> {
    let mut todo = vec![tree.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs_err::read_dir(&directory).map_err(io(&directory))? {
            let entry = entry.map_err(io(&directory))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(io(&directory))?);
            match (entry.file_name() == ".git", kind.is_dir()) {
                (true, true) => fs_err::remove_dir_all(&path).map_err(io(&path))?,
                (true, false) => fs_err::remove_file(&path).map_err(io(&path))?,
                (false, true) => todo.push(path),
                (false, false) => {}
            }
        }
    }
    Ok(())
}

/// The directory asked for: real directories all the way.
fn subdirectory(spec: &GitSpec, tree: &Path) -> Result<PathBuf, GitError> {
    let mut directory = tree.to_owned();
    for part in spec.subdir.split('/').filter(|part| !part.is_empty()) {
        let next = directory.join(part);
        let reason = match fs_err::symlink_metadata(&next) {
            Ok(found) if found.is_dir() => {
                directory = next;
                continue;
            }
            Ok(found) if found.is_symlink() => "a symbolic link is on the way",
            Ok(_) => "it is no directory",
            Err(_) => "there is none",
        };
        let mut near: Vec<String> = fs_err::read_dir(&directory)
            .map_err(io(&directory))?
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path().strip_prefix(tree).unwrap_or(&directory).display().to_string())
            .filter(|name| name != ".git")
            .collect();
        near.sort();
        return Err(GitError::Subdir { url: spec.shown(), subdir: spec.subdir.clone(), reason, near });
    }
    Ok(directory)
}

/// Files 0644 or 0755, directories 0755, whatever the umask is here.
fn set_modes(root: &Path) -> Result<(), GitError> {
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        set_mode(&directory, 0o755)?;
        for entry in fs_err::read_dir(&directory).map_err(io(&directory))? {
            let entry = entry.map_err(io(&directory))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(io(&directory))?);
            if kind.is_dir() {
                todo.push(path);
            } else if kind.is_file() {
                let mode = entry.metadata().map_err(io(&path))?.permissions().mode();
                set_mode(&path, if mode & 0o100 == 0 { 0o644 } else { 0o755 })?;
            }
        }
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> Result<(), GitError> {
    let old = fs_err::symlink_metadata(path).map_err(io(path))?.permissions().mode() & 0o7777;
    if old == mode {
        return Ok(());
    }
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(io(path))
}
