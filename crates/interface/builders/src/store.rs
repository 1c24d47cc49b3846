//! In: `$BUILDX_CONFIG` or Docker's configuration directory. Out: builders, the one in use, times of last use (spec/cli.md §6). Never: a file half written, one that others may read.
//!
//! | path | content |
//! |---|---|
//! | `.lock` | held (flock) over every change and every look |
//! | `instances/NAME` | a builder of a driver buildx knows |
//! | `current` | the builder in use and for which engine; it may name one of ours: buildx then takes the context's own |
//! | `defaults/HASH` | the builder an engine has when `current` speaks of another |
//! | `activity/NAME` | time of last use |
//! | `.buildNodeID` | 16 digits that tell this client from others |
//! | `crossdock/instances/NAME`, `crossdock/activity/NAME` | the same for driver `embedded`, which buildx does not know |

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crossdock_oci::{BlobDigest, Timestamp};
use fs_err::os::unix::fs::OpenOptionsExt as _;
use serde::{Deserialize, Serialize};

use crate::error::BuildersError;
use crate::group::{Driver, Group};
use crate::name;

const INSTANCES: &str = "instances";
const DEFAULTS: &str = "defaults";
const ACTIVITY: &str = "activity";
const CURRENT: &str = "current";
const NODE_ID: &str = ".buildNodeID";
/// The directory of what buildx must not see.
const OWN: &str = "crossdock";
/// Digits of a key's hash that name its file.
const HASH_DIGITS: usize = 20;
/// Largest file that is read, in bytes: a builder's file may carry certificates.
const FILE_SIZE_MAX: u64 = 8 << 20;

/// Which files a builder lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Those buildx reads.
    Buildx,
    /// Those buildx does not see.
    Own,
}

impl Side {
    /// Where builders of a driver live.
    pub fn of(driver: &Driver) -> Self {
        if *driver == Driver::Embedded { Self::Own } else { Self::Buildx }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Current {
    key: String,
    name: String,
    global: bool,
}

/// A builder and where it lives; in place of a broken one its name and the reason.
pub type Found = Result<(Side, Group), (String, BuildersError)>;

/// The state of builders.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// The state under its lock, which is given back when this ends.
#[derive(Debug)]
pub struct Txn<'a> {
    store: &'a Store,
    _lock: Option<fs_err::File>,
}

/// Somebody ran this by `sudo`: files in the home of that user stay that user's.
#[derive(Debug, Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl Store {
    /// The state in this directory; nothing is made before something is written.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Looks under the lock. Where no lock can be made nothing can be written either, and looking needs none.
    ///
    /// # Errors
    /// When waiting for the lock fails.
    pub fn look(&self) -> Result<Txn<'_>, BuildersError> {
        let path = self.root.join(".lock");
        let lock = fs_err::OpenOptions::new().read(true).write(true).open(path).ok();
        if let Some(lock) = &lock {
            lock_whole(lock).map_err(BuildersError::Read)?;
        }
        Ok(Txn { store: self, _lock: lock })
    }

    /// Changes under the lock.
    ///
    /// # Errors
    /// When the directory cannot be made or locked.
    pub fn change(&self) -> Result<Txn<'_>, BuildersError> {
        self.make_dir(&self.root).map_err(|source| self.write_error(source))?;
        let path = self.root.join(".lock");
        let lock = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .and_then(|lock| lock_whole(&lock).map(|()| lock))
            .map_err(|source| self.write_error(source))?;
        self.give_back(&path).map_err(|source| self.write_error(source))?;
        Ok(Txn { store: self, _lock: Some(lock) })
    }

    /// 16 digits that tell this client from others; made when there are none.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn node_id(&self) -> Result<String, BuildersError> {
        let txn = self.change()?;
        if let Some(bytes) = read(&self.root.join(NODE_ID))? {
            return Ok(String::from_utf8_lossy(&bytes).trim().to_owned());
        }
        let id = format!("{:016x}", name::random_number());
        txn.write(Path::new(NODE_ID), id.as_bytes())?;
        Ok(id)
    }

    fn side(&self, side: Side) -> PathBuf {
        match side {
            Side::Buildx => self.root.clone(),
            Side::Own => self.root.join(OWN),
        }
    }

    fn write_error(&self, source: std::io::Error) -> BuildersError {
        BuildersError::Write { directory: self.root.clone(), source }
    }

    /// The user whose `sudo` this is, when the directory lies in that user's hands.
    fn owner(&self) -> Option<Owner> {
        std::env::var_os("SUDO_COMMAND")?;
        let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
        let owner = Owner { uid: number("SUDO_UID")?, gid: number("SUDO_GID")? };
        let there = self.root.ancestors().skip(1).find_map(|dir| fs_err::metadata(dir).ok())?;
        (there.uid() == owner.uid).then_some(owner)
    }

    fn give_back(&self, path: &Path) -> std::io::Result<()> {
        match self.owner() {
            Some(owner) => std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid)),
            None => Ok(()),
        }
    }

    /// Makes a directory and those above it, for the owner alone.
    fn make_dir(&self, dir: &Path) -> std::io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        if let Some(above) = dir.parent() {
            self.make_dir(above)?;
        }
        let made = std::fs::DirBuilder::new().mode(0o700).create(dir);
        match made {
            Ok(()) => self.give_back(dir),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(std::io::Error::new(error.kind(), format!("make {}: {error}", dir.display()))),
        }
    }
}

fn lock_whole(lock: &fs_err::File) -> std::io::Result<()> {
    loop {
        match rustix::fs::flock(lock, rustix::fs::FlockOperation::LockExclusive) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => return outcome.map_err(Into::into),
        }
    }
}

/// A file's bytes; `None` when it is not there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, BuildersError> {
    use std::io::Read as _;
    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(BuildersError::Read(error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_SIZE_MAX).read_to_end(&mut bytes).map_err(BuildersError::Read)?;
    Ok(Some(bytes))
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, BuildersError> {
    serde_json::from_slice(bytes)
        .map_err(|error| BuildersError::Broken { path: path.to_owned(), reason: error.to_string() })
}

/// The file of an engine's default builder.
fn hash(key: &str) -> String {
    BlobDigest::of(key.as_bytes()).hex().chars().take(HASH_DIGITS).collect()
}

impl Txn<'_> {
    /// A builder by its name; buildx's files come first, because everybody else sees those.
    ///
    /// # Errors
    /// When the name cannot be one, or the file is broken.
    pub fn group(&self, name: &str) -> Result<Option<(Side, Group)>, BuildersError> {
        let file = name::validate(name)?;
        for side in [Side::Buildx, Side::Own] {
            let path = self.store.side(side).join(INSTANCES).join(&file);
            if let Some(bytes) = read(&path)? {
                return Ok(Some((side, parse(&path, &bytes)?)));
            }
        }
        Ok(None)
    }

    /// All builders by name; in place of a broken one its name and the reason.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn groups(&self) -> Result<Vec<Found>, BuildersError> {
        let mut names = std::collections::BTreeSet::new();
        for side in [Side::Buildx, Side::Own] {
            let dir = self.store.side(side).join(INSTANCES);
            let entries = match fs_err::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
                Err(error) => return Err(BuildersError::Read(error)),
            };
            let file_names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
            // What is no name is no builder: files left behind by a write that was cut off.
            names.extend(file_names.filter(|name| name::validate(name).is_ok()));
        }
        let group = |name: String| match self.group(&name) {
            Ok(found) => found.map(Ok),
            Err(error) => Some(Err((name, error))),
        };
        Ok(names.into_iter().filter_map(group).collect())
    }

    /// Whether a file of this name is there, broken or not.
    pub fn exists(&self, name: &str) -> bool {
        let Ok(file) = name::validate(name) else { return false };
        [Side::Buildx, Side::Own].iter().any(|side| self.store.side(*side).join(INSTANCES).join(&file).exists())
    }

    /// Writes a builder where those of its driver live, and only there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, group: &Group) -> Result<(), BuildersError> {
        let file = name::validate(&group.name)?;
        let side = Side::of(&group.driver());
        let bytes = serde_json::to_vec(group).expect("a builder has only text in it");
        self.write(&self.place(side, INSTANCES, &file), &bytes)?;
        let other = if side == Side::Own { Side::Buildx } else { Side::Own };
        self.remove_file(&self.place(other, INSTANCES, &file))
    }

    /// Takes a builder and what is remembered of it away.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), BuildersError> {
        let file = name::validate(name)?;
        for side in [Side::Buildx, Side::Own] {
            self.remove_file(&self.place(side, INSTANCES, &file))?;
            self.remove_file(&self.place(side, ACTIVITY, name))?;
            self.remove_file(&self.place(side, ACTIVITY, &file))?;
        }
        Ok(())
    }

    /// The name of the builder in use with an engine; `None` when it is the context's own. What is named and not there does
    /// not count.
    ///
    /// # Errors
    /// When `current` is broken.
    pub fn current(&self, key: &str) -> Result<Option<(Side, Group)>, BuildersError> {
        let path = self.store.root.join(CURRENT);
        if let Some(bytes) = read(&path)? {
            let current: Current = parse(&path, &bytes)?;
            if !current.name.is_empty()
                && (current.global || current.key == key)
                && let Some(found) = self.group(&current.name)?
            {
                return Ok(Some(found));
            }
        }
        let Some(bytes) = read(&self.store.root.join(DEFAULTS).join(hash(key)))? else { return Ok(None) };
        self.group(String::from_utf8_lossy(&bytes).trim())
    }

    /// Makes a builder the one in use; an empty name stands for the context's own. A choice that is no default ends the
    /// default there was.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_current(&self, key: &str, name: &str, global: bool, default: bool) -> Result<(), BuildersError> {
        let current = Current { key: key.to_owned(), name: name.to_owned(), global };
        self.write(Path::new(CURRENT), &serde_json::to_vec(&current).expect("two texts"))?;
        let path = Path::new(DEFAULTS).join(hash(key));
        if default { self.write(&path, name.as_bytes()) } else { self.remove_file(&path) }
    }

    /// When a builder was used last, as it is written.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn last_activity(&self, side: Side, name: &str) -> Result<Option<Timestamp>, BuildersError> {
        let Some(bytes) = read(&self.store.root.join(self.place(side, ACTIVITY, name)))? else { return Ok(None) };
        Ok(String::from_utf8_lossy(&bytes).trim().parse().ok())
    }

    /// Remembers that a builder is used now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn touch(&self, group: &Group) -> Result<(), BuildersError> {
        let now = Timestamp::from_seconds(Timestamp::now().seconds()).to_string();
        name::validate(&group.name)?;
        self.write(&self.place(Side::of(&group.driver()), ACTIVITY, &group.name), now.as_bytes())
    }

    /// Where a builder's file is or would be, for messages.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.store.root.join(INSTANCES).join(name.to_lowercase())
    }

    fn place(&self, side: Side, kind: &str, file: &str) -> PathBuf {
        match side {
            Side::Buildx => Path::new(kind).join(file),
            Side::Own => Path::new(OWN).join(kind).join(file),
        }
    }

    /// Writes a file below the root as a whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), BuildersError> {
        let path = self.store.root.join(path);
        self.write_whole(&path, bytes).map_err(|source| self.store.write_error(source))
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let dir = path.parent().expect("every file of the state lies in a directory");
        self.store.make_dir(dir)?;
        let mut file = tempfile::Builder::new()
            .prefix(".tmp-")
            .permissions(std::fs::Permissions::from_mode(0o600))
            .tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        let file = file.persist(path).map_err(|error| error.error)?;
        drop(file);
        self.store.give_back(path)
    }

    fn remove_file(&self, path: &Path) -> Result<(), BuildersError> {
        match fs_err::remove_file(self.store.root.join(path)) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(self.store.write_error(error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
