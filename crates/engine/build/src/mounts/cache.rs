//! In: a cache's name, how it is shared, what it begins with. Out: a directory of the state directory, locked. Never: a cache in a layer or a key.
//!
//! ```text
//! caches/<key>/0/fs        the files of steps that share and of those that wait, owned as the steps own them (a plain tree)
//! caches/<key>/<n>/fs      those of steps that want a cache of their own
//! caches/<key>/<n>.lock    flock: shared by steps that share, exclusive for private and locked ones
//! ```
//! Locks are files, so that steps of other processes count too. What a killed step leaves stays as it is, as on any
//! file system.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crossdock_content::Store;
use crossdock_executor::keeper::{ApplyRequest, ExportRequest, Layers as Directories, TreeFormat};
use crossdock_executor::{Cancel, HostPath, Keeper};
use crossdock_llb::{CacheSharing, Vertex};
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};

use crate::BuildError;
use crate::perform::Steps;

/// How often a step that waits for a locked cache looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Most directories of one private cache: one for each step that ran at the same time as others.
const DIRECTORIES_MAX: usize = 1000;

/// Caches that a build without cache has emptied already: its later steps see what its earlier ones left.
#[derive(Debug, Default)]
pub(crate) struct FreshCaches(Mutex<HashSet<String>>);

/// A cache's directory while a step has it.
pub(super) struct Taken {
    pub(super) directory: HostPath,
    pub(super) lock: File,
}

impl Steps {
    pub(super) fn take_cache(
        &self,
        vertex: &Vertex,
        id: &str,
        sharing: CacheSharing,
        base: Option<&(String, Directories)>,
        cancel: &Cancel,
    ) -> Result<Taken, BuildError> {
        let key = key_of(id, base.map(|(name, _)| name.as_str()));
        let root = caches(&self.store).join(&key);
        let failed = |source| BuildError::Io { path: format!("cache {id} in {}", root.display()), source };
        fs_err::create_dir_all(&root).map_err(failed)?;
        loop {
            let (directory, lock) = take(&root, sharing, cancel).map_err(failed)?;
            if cancel.is_cancelled() {
                return Err(BuildError::Cancelled);
            }
            let starts_fresh = vertex.metadata.ignore_cache
                && self.fresh_caches.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
            // What is there is emptied only by who has it alone.
            let alone = || rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
            if starts_fresh && directory.exists() && alone() {
                self.keeper.remove(&directory, cancel)?;
            }
            if !directory.join("fs").exists() {
                self.fill(&directory, &lock, base, cancel)?;
            }
            if sharing == CacheSharing::Shared {
                rustix::fs::flock(&lock, FlockOperation::LockShared).map_err(|error| failed(error.into()))?;
            }
            // Between giving one lock up and getting the other somebody may have emptied it.
            if directory.join("fs").exists() {
                return Ok(Taken { directory: HostPath::from(directory.join("fs")), lock });
            }
        }
    }

    /// Makes a cache's directory, with what it begins with. Of several steps that want it at once the first does.
    fn fill(
        &self,
        directory: &Path,
        lock: &File,
        base: Option<&(String, Directories)>,
        cancel: &Cancel,
    ) -> Result<(), BuildError> {
        let failed = |source| BuildError::Io { path: directory.display().to_string(), source };
        loop {
            match rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(_) if directory.join("fs").exists() => return Ok(()),
                Err(_) if cancel.is_cancelled() => return Err(BuildError::Cancelled),
                Err(_) => {
                    // Two that share and both want it alone would wait for each other for ever.
                    rustix::fs::flock(lock, FlockOperation::Unlock).map_err(|error| failed(error.into()))?;
                    std::thread::sleep(LOOK_AGAIN);
                }
            }
        }
        if directory.join("fs").exists() {
            return Ok(());
        }
        let part = directory.with_extension("part");
        if part.exists() {
            self.keeper.remove(&part, cancel)?;
        }
        self.keeper.prepare(&part, cancel)?;
        if let Some((_, layers)) = base {
            copy_tree(&self.keeper, layers, &part.join("fs"), cancel)?;
        }
        fs_err::rename(&part, directory).map_err(failed)
    }
}

/// Copies a merged tree into a directory, as a plain tree.
fn copy_tree(keeper: &Keeper, layers: &Directories, dest: &Path, cancel: &Cancel) -> Result<(), BuildError> {
    let (read, write) =
        io::pipe().map_err(|source| BuildError::Io { path: "a pipe for a cache's first files".to_owned(), source })?;
    let request =
        ApplyRequest { dest: HostPath::from(dest), lowers: Directories::default(), format: TreeFormat::Plain };
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let done = keeper.export(&ExportRequest { layers: layers.clone() }, &write, cancel);
            drop(write);
            done
        });
        let applied = keeper.apply(&request, &read, cancel);
        drop(read);
        let written = writing.join().map_err(|_| BuildError::ThreadDied { doing: "copying a cache's first files" })?;
        applied?;
        Ok(written?)
    })
}

/// A directory that can be had in this way, locked: the first for steps that share and for those that wait for each other,
/// one of the others for steps that want one of their own.
fn take(root: &Path, sharing: CacheSharing, cancel: &Cancel) -> io::Result<(PathBuf, File)> {
    let (operation, numbers) = match sharing {
        CacheSharing::Shared => (FlockOperation::NonBlockingLockShared, 0..1),
        CacheSharing::Locked => (FlockOperation::NonBlockingLockExclusive, 0..1),
        CacheSharing::Private => (FlockOperation::NonBlockingLockExclusive, 1..DIRECTORIES_MAX),
    };
    loop {
        for number in numbers.clone() {
            let file =
                File::options().create(true).truncate(false).write(true).open(root.join(format!("{number}.lock")))?;
            match rustix::fs::flock(&file, operation) {
                Ok(()) => return Ok((root.join(number.to_string()), file)),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Caches with other first files are other caches.
fn key_of(id: &str, base: Option<&str>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(id.as_bytes());
    hasher.update([0]);
    hasher.update(base.unwrap_or_default().as_bytes());
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn caches(store: &Store) -> PathBuf {
    store.root().join("caches")
}

/// Removes every cache that no step has. One that cannot be removed stays.
pub(crate) fn remove_all(store: &Store, keeper: &Keeper, cancel: &Cancel) -> Result<(), BuildError> {
    let Ok(keys) = fs_err::read_dir(caches(store)) else { return Ok(()) };
    for key in keys.filter_map(Result::ok).map(|entry| entry.path()) {
        let Ok(entries) = fs_err::read_dir(&key) else { continue };
        let locks = entries.filter_map(Result::ok).map(|entry| entry.path());
        for path in locks.filter(|path| path.extension().is_some_and(|ending| ending == "lock")) {
            let Ok(lock) = File::options().write(true).open(&path) else { continue };
            let directory = path.with_extension("");
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && directory.exists() {
                keeper.remove(&directory, cancel)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharing_decides_who_gets_which_directory() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::new();
        let number = |taken: &(PathBuf, File)| taken.0.file_name().unwrap().to_string_lossy().into_owned();
        let first = take(dir.path(), CacheSharing::Shared, &cancel).unwrap();
        let second = take(dir.path(), CacheSharing::Shared, &cancel).unwrap();
        let third = take(dir.path(), CacheSharing::Private, &cancel).unwrap();
        let fourth = take(dir.path(), CacheSharing::Private, &cancel).unwrap();
        assert_eq!([&first, &second, &third, &fourth].map(number), ["0", "0", "1", "2"]);
        drop((first, second));
        let locked = take(dir.path(), CacheSharing::Locked, &cancel).unwrap();
        assert_eq!(number(&locked), "0");
        cancel.cancel();
        assert_eq!(take(dir.path(), CacheSharing::Locked, &cancel).unwrap_err().kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn keys_tell_names_and_first_files_apart() {
        let keys = [key_of("a", None), key_of("b", None), key_of("a", Some("x"))];
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys.iter().all(|key| key.len() == 32));
    }
}
