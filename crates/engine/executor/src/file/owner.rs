//! In: who shall own what an action makes. Out: two numbers. Never: the host's own users.

use std::io::Read as _;
use std::sync::Arc;

use crossdock_llb::{Owner, OwnerId};
use crossdock_snapshot::{RootedPath, Tree, TreeError};

use super::error::FileError;
use super::resolve::{LastLink, resolve};

/// BuildKit's limit for `/etc/passwd` and `/etc/group`.
const USER_FILE_BYTES_MAX: u64 = 10 << 20;

/// What to do with a name that the user database does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownOwner {
    /// Fail and name it.
    #[default]
    Refuse,
    /// Take root, silently, as BuildKit does.
    Root,
}

/// A user and a group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub uid: u32,
    pub gid: u32,
}

/// Looks names up in the trees they refer to. `None` keeps what the source has.
///
/// # Errors
/// `InvalidUserIndex`, `UnknownUser`, `UnknownGroup`, `UserDatabase`, and what the trees say.
pub(super) fn resolve_owner(
    owner: Option<&Owner>,
    tree_of: &dyn Fn(u32) -> Option<Arc<dyn Tree>>,
    unknown: UnknownOwner,
) -> Result<Option<Ids>, FileError> {
    let Some(owner) = owner else {
        return Ok(None);
    };
    let mut ids = Ids { uid: 0, gid: 0 };
    match &owner.user {
        None => {}
        Some(OwnerId::Id(id)) => ids = Ids { uid: *id, gid: *id },
        Some(OwnerId::Name { name, input }) => {
            let tree = tree_of(*input).ok_or_else(|| invalid_index(*input, name))?;
            match find(tree.as_ref(), "etc/passwd", name)? {
                Some((path, fields)) => {
                    ids = Ids { uid: number(&path, name, fields.get(2))?, gid: number(&path, name, fields.get(3))? };
                }
                None if unknown == UnknownOwner::Root => {}
                None => return Err(FileError::UnknownUser { name: name.clone() }),
            }
        }
    }
    match &owner.group {
        None => {}
        Some(OwnerId::Id(id)) => ids.gid = *id,
        Some(OwnerId::Name { name, input }) => {
            let tree = tree_of(*input).ok_or_else(|| invalid_index(*input, name))?;
            match find(tree.as_ref(), "etc/group", name)? {
                Some((path, fields)) => ids.gid = number(&path, name, fields.get(2))?,
                None if unknown == UnknownOwner::Root => {}
                None => return Err(FileError::UnknownGroup { name: name.clone() }),
            }
        }
    }
    Ok(Some(ids))
}

fn invalid_index(index: u32, name: &str) -> FileError {
    FileError::InvalidUserIndex { index, name: name.to_owned() }
}

/// The fields of the first line of `file` whose first field is `name`; none when the file or the line does not exist.
fn find(tree: &dyn Tree, file: &str, name: &str) -> Result<Option<(RootedPath, Vec<String>)>, FileError> {
    let path = match resolve(tree, &RootedPath::parse(file)?, LastLink::Follow) {
        Ok(path) => path,
        Err(FileError::NotADirectory { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(node) = tree.lookup(&path)? else {
        return Ok(None);
    };
    let broken = |reason: &str| FileError::UserDatabase { path: path.clone(), reason: reason.to_owned() };
    if !node.entry.is_file() {
        return Err(broken("not a regular file"));
    }
    if node.entry.size_bytes() > USER_FILE_BYTES_MAX {
        return Err(broken("larger than 10 MiB"));
    }
    let mut text = Vec::new();
    let mut reader = tree.open(&path)?.take(USER_FILE_BYTES_MAX);
    reader.read_to_end(&mut text).map_err(|source| TreeError::Read { path: path.clone(), source })?;
    for line in text.split(|&byte| byte == b'\n') {
        let fields: Vec<&[u8]> = line.trim_ascii().split(|&byte| byte == b':').collect();
        if fields[0] == name.as_bytes() {
            let fields = fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
            return Ok(Some((path, fields)));
        }
    }
    Ok(None)
}

fn number(path: &RootedPath, name: &str, field: Option<&String>) -> Result<u32, FileError> {
    let text = field.map_or("", |field| field.trim());
    text.parse().map_err(|_| FileError::UserDatabase {
        path: path.clone(),
        reason: format!("the line of {name} has {text:?} where a number must stand"),
    })
}
