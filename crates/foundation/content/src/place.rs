//! In: environment variables and a path. Out: a local directory of our own, with its folders made. Never: a network file system, somebody else's directory.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::Access;
use rustix::process::geteuid;

use crate::{ContentError, Result};

/// The folders of a state directory, parents first.
const FOLDERS: [&str; 6] = ["blobs", BLOBS, INGEST, LEASES, SNAPSHOTS, TRASH];
pub(crate) const BLOBS: &str = "blobs/sha256";
pub(crate) const INGEST: &str = "ingest";
pub(crate) const LEASES: &str = "leases";
pub(crate) const SNAPSHOTS: &str = "snapshots";
pub(crate) const TRASH: &str = "trash";
/// Nobody but the owner: blobs of private images lie here.
const FOLDER_MODE: u32 = 0o700;

/// Where state is kept when nothing else is said: `$CROSSDOCK_STATE_DIR`, else `/var/lib/crossdock` for root, else
/// `$XDG_DATA_HOME/crossdock`, else `$HOME/.local/share/crossdock`.
///
/// # Errors
/// [`ContentError::NoStateDir`] when no variable helps. A relative path counts as none, except in `CROSSDOCK_STATE_DIR`.
pub fn root_default() -> Result<PathBuf> {
    root_from(|name| std::env::var_os(name), geteuid().is_root())
}

fn root_from(variable: impl Fn(&str) -> Option<OsString>, is_root: bool) -> Result<PathBuf> {
    let named = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = named("CROSSDOCK_STATE_DIR") {
        return std::path::absolute(&path).map_err(|source| ContentError::io("find", &path, source));
    }
    if is_root {
        return Ok(PathBuf::from("/var/lib/crossdock"));
    }
    // The XDG base directory specification says that relative paths there are to be ignored.
    let absolute = |name: &str| named(name).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("crossdock"))
        .ok_or(ContentError::NoStateDir)
}

/// Makes sure that `root` is a local, writable directory of this user with all its folders. A handful of system calls
/// when it exists.
pub(crate) fn prepare(root: &Path) -> Result<()> {
    match fs::metadata(root) {
        Ok(metadata) => {
            if !metadata.is_dir() {
                return Err(ContentError::NotADirectory { path: root.to_path_buf() });
            }
            refuse_network(root, root)?;
            refuse_foreign(root, metadata.uid())?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Looked at before anything is made, so that a refusal leaves nothing behind.
            let ancestor = root.ancestors().skip(1).find(|path| path.exists()).unwrap_or(Path::new("/"));
            refuse_network(ancestor, root)?;
            make_folder(root, true).map_err(|source| cannot_make(root, source))?;
        }
        Err(source) => return Err(cannot_make(root, source)),
    }
    if let Err(errno) = rustix::fs::access(root, Access::WRITE_OK | Access::EXEC_OK) {
        return Err(ContentError::NotWritable { path: root.to_path_buf(), source: errno.into() });
    }
    for folder in FOLDERS {
        let path = root.join(folder);
        match make_folder(&path, false) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(cannot_make(&path, source)),
        }
    }
    Ok(())
}

/// Makes a directory for the owner only.
pub(crate) fn make_folder(path: &Path, with_parents: bool) -> io::Result<()> {
    // fs_err has no way to give the mode; the error gets its path from our own enum.
    DirBuilder::new().mode(FOLDER_MODE).recursive(with_parents).create(path)
}

fn cannot_make(path: &Path, source: io::Error) -> ContentError {
    let path_buf = || path.to_path_buf();
    match source.kind() {
        io::ErrorKind::PermissionDenied => ContentError::NotWritable { path: path_buf(), source },
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => ContentError::NotADirectory { path: path_buf() },
        _ => ContentError::io("create directory", path, source),
    }
}

fn refuse_foreign(root: &Path, owner_uid: u32) -> Result<()> {
    let process_uid = geteuid().as_raw();
    if owner_uid == process_uid {
        return Ok(());
    }
    Err(ContentError::NotOwned { path: root.to_path_buf(), owner_uid, process_uid })
}

fn refuse_network(existing: &Path, root: &Path) -> Result<()> {
    let facts = rustix::fs::statfs(existing).map_err(|errno| ContentError::io("examine", existing, errno.into()))?;
    match network_filesystem(facts.f_type as u64) {
        None => Ok(()),
        Some(filesystem) => Err(ContentError::NetworkFilesystem { path: root.to_path_buf(), filesystem }),
    }
}

/// The name of a file system whose locks or shared memory do not reach across hosts safely, by its statfs magic.
///
/// FUSE is not among them: sshfs cannot be told from local ones. 9p neither: sandboxes show their local disk as it.
fn network_filesystem(magic: u64) -> Option<&'static str> {
    // Some architectures sign-extend the 32-bit magic.
    Some(match magic & 0xFFFF_FFFF {
        0x6969 => "nfs",
        0x517B => "smb",
        0xFF53_4D42 => "cifs",
        0xFE53_4D42 => "smb2",
        0x5346_414F | 0x6B41_4653 => "afs",
        0x00C3_6400 => "ceph",
        0x7375_7245 => "coda",
        0x0BD0_0BD0 => "lustre",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_with(variables: &[(&str, &str)], is_root: bool) -> Result<PathBuf> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        root_from(|name| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.into()), is_root)
    }

    #[test]
    fn the_state_directory_follows_the_environment() {
        let all = [("CROSSDOCK_STATE_DIR", "/s"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(root_with(&all, true).unwrap(), Path::new("/s"));
        assert_eq!(root_with(&all[1..], true).unwrap(), Path::new("/var/lib/crossdock"));
        assert_eq!(root_with(&all[1..], false).unwrap(), Path::new("/x/crossdock"));
        assert_eq!(root_with(&all[2..], false).unwrap(), Path::new("/h/.local/share/crossdock"));
        let relative = [("CROSSDOCK_STATE_DIR", ""), ("XDG_DATA_HOME", "x"), ("HOME", "/h")];
        assert_eq!(root_with(&relative, false).unwrap(), Path::new("/h/.local/share/crossdock"));
        let error = root_with(&[("HOME", "")], false).unwrap_err();
        assert!(error.to_string().contains("set CROSSDOCK_STATE_DIR"), "{error}");
    }

    #[test]
    fn network_file_systems_are_refused_by_name() {
        assert_eq!(network_filesystem(0x6969), Some("nfs"));
        assert_eq!(network_filesystem(0xFFFF_FFFF_FE53_4D42), Some("smb2"));
        for local in [0xEF53, 0x0102_1994, 0x5846_5342, 0x9123_683E, 0x794C_7630, 0x6573_5546, 0x0102_1997] {
            assert_eq!(network_filesystem(local), None, "{local:#x}");
        }
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("state");
        fs::write(&file, b"").unwrap();
        for root in [file.clone(), file.join("below")] {
            let error = prepare(&root).unwrap_err();
            assert!(matches!(error, ContentError::NotADirectory { .. }), "{error}");
        }
    }

    #[test]
    fn folders_are_for_the_owner_only() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("a/b");
        prepare(&root).unwrap();
        prepare(&root).unwrap();
        for folder in FOLDERS {
            assert_eq!(fs::metadata(root.join(folder)).unwrap().mode() & 0o7777, 0o700, "{folder}");
        }
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let foreign = if geteuid().is_root() {
            std::os::unix::fs::chown(place.path(), Some(65_534), None).unwrap();
            place.path()
        } else {
            Path::new("/")
        };
        let error = prepare(foreign).unwrap_err();
        assert!(matches!(error, ContentError::NotOwned { .. }), "{error}");
    }
}
