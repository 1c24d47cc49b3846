//! In: layers and perhaps a writable directory. Out: their union, mounted. Never: an option that would let a layer depend on another by more than names.
//!
//! Decision 10: redirects, metacopy and index are off (with `userxattr` the kernel wants to hear `nofollow`), so that an upper directory means the same wherever it is applied; `userxattr` in user
//! namespaces; paths relative to a working directory, because the options must fit a page; `volatile`, because a step that was cut off is
//! thrown away anyway and syncing is done once per build.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind_recursive};

use super::spec::{RootSpec, UpperSpec};
use crate::error::ExecutorError;
use crate::host_path::HostPath;

/// The kernel takes this many bytes of mount options, the closing NUL included.
const OPTIONS_BYTES_MAX: usize = 4096;
/// The kernel takes this many lower layers.
const LOWERS_MAX: usize = 500;

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
    forget_earlier_use(upper.work.as_path())?;
    let base = common_parent(&paths);
    rustix::process::chdir(&base).map_err(|error| ExecutorError::io("enter", base.display(), &error.into()))?;
    let outcome = [true, false].into_iter().find_map(|volatile| {
        let options = match options(lowers, upper, &base, userxattr, volatile) {
            Ok(options) => options,
            Err(error) => return Some(Err(error)),
        };
        match mount("overlay", target, "overlay", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(Ok(())),
            // Before Linux 5.10 there is no `volatile`.
            Err(Errno::INVAL) if volatile => None,
            Err(error) => Some(Err(ExecutorError::io("mount overlay on", upper.fs.as_path().display(), &error.into()))),
        }
    });
    let _ = rustix::process::chdir("/");
    outcome.unwrap_or_else(|| {
        Err(ExecutorError::io("mount overlay on", upper.fs.as_path().display(), &Errno::INVAL.into()))
    })
}

/// A volatile overlay leaves a mark by which the kernel refuses a second mount, because after a crash data may be missing. Whoever comes back
/// to an upper directory knows that the machine did not crash (the content room's epochs tell), so the mark goes.
fn forget_earlier_use(work: &Path) -> Result<(), ExecutorError> {
    let inner = work.join("work");
    if !inner.join("incompat").exists() {
        return Ok(());
    }
    fs_err::remove_dir_all(&inner).map_err(|error| ExecutorError::io("clear", inner.display(), &error))
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

fn options(
    lowers: &[HostPath],
    upper: &UpperSpec,
    base: &Path,
    userxattr: bool,
    volatile: bool,
) -> Result<CString, ExecutorError> {
    if lowers.len() > LOWERS_MAX {
        return Err(ExecutorError::BadStep {
            what: format!("{} layers are more than the {LOWERS_MAX} the kernel can stack", lowers.len()),
        });
    }
    let relative = |path: &HostPath| escaped(path.as_path().strip_prefix(base).unwrap_or(path.as_path()));
    // The kernel wants the topmost first.
    let stack: Vec<Vec<u8>> = lowers.iter().rev().map(relative).collect();
    let mut text = b"lowerdir=".to_vec();
    text.extend(stack.join(&b':'));
    for (name, path) in [("upperdir", &upper.fs), ("workdir", &upper.work)] {
        text.extend(format!(",{name}=").bytes());
        text.extend(relative(path));
    }
    text.extend(b",redirect_dir=nofollow,metacopy=off,index=off");
    if userxattr {
        text.extend(b",userxattr");
    }
    if volatile {
        text.extend(b",volatile");
    }
    if text.len() >= OPTIONS_BYTES_MAX {
        let (bytes, count) = (text.len(), lowers.len());
        return Err(ExecutorError::BadStep {
            what: format!("the names of {count} layers take {bytes} bytes of the kernel's {OPTIONS_BYTES_MAX}"),
        });
    }
    CString::new(text).map_err(|_| ExecutorError::BadStep { what: "a layer's path holds a NUL byte".to_owned() })
}

/// Overlay's own escapes for its option text.
fn escaped(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b',' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upper(directory: &str) -> UpperSpec {
        UpperSpec { fs: HostPath::from(format!("{directory}/fs")), work: HostPath::from(format!("{directory}/work")) }
    }

    #[test]
    fn options_are_short_and_explicit() {
        let lowers = ["/s/snapshots/1/fs", "/s/snapshots/2/fs"].map(HostPath::from);
        let base = common_parent(&[lowers[0].as_path(), lowers[1].as_path(), Path::new("/s/snapshots/3/fs")]);
        assert_eq!(base, Path::new("/s/snapshots"));
        let text = options(&lowers, &upper("/s/snapshots/3"), &base, true, true).unwrap();
        let wanted = "lowerdir=2/fs:1/fs,upperdir=3/fs,workdir=3/work,redirect_dir=nofollow,metacopy=off,index=off,userxattr,volatile";
        assert_eq!(text.to_str().unwrap(), wanted);
    }

    #[test]
    fn odd_names_are_escaped_and_too_many_refused() {
        assert_eq!(escaped(Path::new("a:b,c\\d")), b"a\\:b\\,c\\\\d");
        let many: Vec<HostPath> = (0..501).map(|number| HostPath::from(format!("/s/{number}/fs"))).collect();
        assert!(options(&many, &upper("/s/x"), Path::new("/s"), false, true).is_err());
        assert!(
            options(&many[..499], &upper("/s/x"), Path::new("/"), false, true)
                .unwrap_err()
                .to_string()
                .contains("bytes of the kernel's")
        );
    }

    #[test]
    fn a_lone_lower_is_not_its_own_base() {
        assert_eq!(common_parent(&[Path::new("/s/1/fs"), Path::new("/s/1")]), Path::new("/s"));
    }
}
