//! In: layers and perhaps a writable directory. Out: their union, mounted. Never: an option that would let a layer depend on another by more than names.
//!
//! The options are those of `crossdock_snapshot::snapshotter` (decision 10).

use std::path::{Path, PathBuf};

use crossdock_snapshot::disk::{Format, How, Layers, materialise};
use crossdock_snapshot::snapshotter::{LOWERS_MAX, MountPlan, OverlayPlan, SnapshotError};
use rustix::mount::mount_bind_recursive;

use super::spec::{RootSpec, UpperSpec};
use crate::error::ExecutorError;
use crate::host_path::HostPath;

/// Mounts a root file system at `target`; `scratch` is an empty directory in memory for what is thrown away.
pub(super) fn mount_root(root: &RootSpec, target: &Path, scratch: &Path, userxattr: bool) -> Result<(), ExecutorError> {
    match root {
        RootSpec::Directory(directory) => bind(directory.as_path(), target),
        RootSpec::Overlay { lowers, upper } if lowers.0.is_empty() => {
            let directory = match upper {
                Some(upper) => upper.fs.as_path().to_owned(),
                None => make_directory(&scratch.join("fs"))?,
            };
            bind(&directory, target)
        }
        RootSpec::Overlay { lowers, upper } => {
            let upper = match upper {
                Some(upper) => upper.clone(),
                None => UpperSpec {
                    fs: HostPath::from(make_directory(&scratch.join("fs"))?),
                    work: HostPath::from(make_directory(&scratch.join("work"))?),
                },
            };
            mount_overlay(&lowers.0, &upper, target, userxattr)
        }
    }
}

fn bind(source: &Path, target: &Path) -> Result<(), ExecutorError> {
    mount_bind_recursive(source, target).map_err(|error| ExecutorError::io("bind", source.display(), &error.into()))
}

fn make_directory(path: &Path) -> Result<PathBuf, ExecutorError> {
    fs_err::create_dir_all(path).map_err(|error| ExecutorError::io("make directory", path.display(), &error))?;
    Ok(path.to_owned())
}

fn mount_overlay(lowers: &[HostPath], upper: &UpperSpec, target: &Path, userxattr: bool) -> Result<(), ExecutorError> {
    let paths: Vec<&Path> =
        lowers.iter().map(HostPath::as_path).chain([upper.fs.as_path(), upper.work.as_path()]).collect();
    let base = common_parent(&paths);
    let relative = |path: &HostPath| path.as_path().strip_prefix(&base).unwrap_or(path.as_path()).to_owned();
    let mut plan = OverlayPlan {
        // The kernel wants the topmost first.
        lowers: lowers.iter().rev().map(relative).collect(),
        upper: Some((relative(&upper.fs), relative(&upper.work))),
        userxattr,
        base,
    };
    match MountPlan::Overlay(plan.clone()).mount(target) {
        // Kernels before 6.5 take as many names as fit a page. Merging the lowest layers costs time, so it is not done where it need not be.
        Err(_) if lowers.len() > LOWERS_MAX => {
            plan.lowers = flattened(&plan, upper)?;
            MountPlan::Overlay(plan).mount(target).map_err(|error| layer_error(&error))
        }
        outcome => outcome.map_err(|error| layer_error(&error)),
    }
}

/// The names of the layers with the lowest ones merged into a directory beside the upper one, which goes when the snapshot is committed.
fn flattened(plan: &OverlayPlan, upper: &UpperSpec) -> Result<Vec<PathBuf>, ExecutorError> {
    let flat = upper.fs.as_path().with_file_name("flat");
    fs_err::create_dir(&flat).map_err(|error| ExecutorError::io("make directory", flat.display(), &error))?;
    let mut names = plan.lowers.clone();
    let merged: Vec<PathBuf> = names.split_off(LOWERS_MAX - 1).iter().map(|name| plan.base.join(name)).collect();
    let layers = Layers::open(&merged, Format::Overlay { userxattr: plan.userxattr });
    let layers = layers.map_err(|(path, error)| ExecutorError::io("open", path.display(), &error))?;
    materialise(&layers, &flat, How::Link).map_err(|error| ExecutorError::Layer {
        action: "merge the lowest layers".to_owned(),
        message: error.to_string(),
        errno: None,
    })?;
    names.push(flat);
    Ok(names)
}

fn layer_error(error: &SnapshotError) -> ExecutorError {
    let errno = match error {
        SnapshotError::Mount { source, .. } => source.raw_os_error(),
        _ => None,
    };
    ExecutorError::Layer { action: "prepare the root".to_owned(), message: error.to_string(), errno }
}

/// The deepest directory that holds all of the paths.
fn common_parent(paths: &[&Path]) -> PathBuf {
    let mut parent = paths.first().and_then(|path| path.parent()).unwrap_or(Path::new("/")).to_owned();
    while !paths.iter().all(|path| path.starts_with(&parent) && *path != parent) {
        if !parent.pop() {
            break;
        }
    }
    parent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_to_what_all_share() {
        let paths = ["/s/snapshots/1/fs", "/s/snapshots/2/fs", "/s/snapshots/3/work"].map(Path::new);
        assert_eq!(common_parent(&paths), Path::new("/s/snapshots"));
        assert_eq!(common_parent(&[Path::new("/a/b"), Path::new("/c/d")]), Path::new("/"));
    }

    #[test]
    fn a_lone_lower_is_not_its_own_base() {
        assert_eq!(common_parent(&[Path::new("/s/1/fs"), Path::new("/s/1")]), Path::new("/s"));
    }
}
