//! In: the wish that what is made or used from now on stays. Out: a lease that ends with its owner, however that dies. Never: a lease that outlives its process.
//!
//! A lease is a file held by `flock`. Its name is a number of the database's counter; everything written or used later
//! carries that number or a larger one. Whether a lease lives is asked of the kernel: a lock that can be had is a lease
//! whose owner is gone.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;
use fs_err::File;
use rustix::fs::{FlockOperation, flock};

use crate::database::Durability;
use crate::store::Inner;
use crate::{ContentError, Result, Store, place};

/// Keeps blobs, layers, listings and snapshots that are made or used while it lives. Clones share it; the last one ends it.
#[derive(Debug, Clone)]
pub struct Lease {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    number: u64,
    path: PathBuf,
    /// The lock lasts as long as this descriptor.
    file: File,
    next_name: AtomicU64,
    store: Arc<Inner>,
}

impl Store {
    /// Begins a lease. It also removes what killed processes left half written, when there is any.
    ///
    /// # Errors
    /// Those of the file system and the database.
    pub fn lease(&self) -> Result<Lease> {
        let folder = self.inner.root.join(place::LEASES);
        loop {
            let number = self.next_lease_number()?;
            let path = folder.join(to_name(number));
            let Some(file) = hold(&path)? else { continue };
            self.inner.own_leases.add(number);
            let held = Held { number, path, file, next_name: AtomicU64::new(0), store: Arc::clone(&self.inner) };
            let lease = Lease { held: Arc::new(held) };
            self.reap_dead_leases()?;
            return Ok(lease);
        }
    }

    fn next_lease_number(&self) -> Result<u64> {
        self.inner.database.write("begin a lease", Durability::Ordered, |transaction| {
            transaction
                .prepare_cached("UPDATE counter SET lease = lease + 1 RETURNING lease")?
                .query_row([], |row| row.get(0))
        })
    }

    /// The numbers of the leases whose owners live, of all processes. Ask *after* listing what may belong to one: what
    /// was seen before, and has no living owner afterwards, has none for good.
    pub(crate) fn live_leases(&self) -> Result<BTreeSet<u64>> {
        let folder = self.inner.root.join(place::LEASES);
        let mut live = BTreeSet::new();
        for (number, path) in lease_files(&folder)? {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(ContentError::io("open", &path, source)),
            };
            // Shared, so that two processes asking at once do not take each other for the owner.
            if !try_lock(&file, FlockOperation::NonBlockingLockShared)? {
                live.insert(number);
            }
        }
        Ok(live)
    }

    /// Removes the half-written blobs and then the files of leases whose owners died. Returns files and bytes removed.
    pub(crate) fn reap_dead_leases(&self) -> Result<(u64, u64)> {
        let mut removed = (0, 0);
        for path in self.abandoned_ingests()? {
            let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            if remove_if_there(&path)? {
                removed = (removed.0 + 1, removed.1 + size);
            }
        }
        for (_, path) in lease_files(&self.inner.root.join(place::LEASES))? {
            let Ok(file) = File::open(&path) else { continue };
            // A number comes back only when a power cut took the counter's last steps; then the file is new.
            if try_lock(&file, FlockOperation::NonBlockingLockExclusive)? && is_still_at(&file, &path) {
                remove_if_there(&path)?;
            }
        }
        Ok(removed)
    }

    /// The half-written blobs whose owners died.
    pub(crate) fn abandoned_ingests(&self) -> Result<Vec<PathBuf>> {
        let folder = self.inner.root.join(place::INGEST);
        let mut seen = Vec::new();
        for entry in fs::read_dir(&folder).map_err(|source| ContentError::io("list", &folder, source))? {
            let entry = entry.map_err(|source| ContentError::io("list", &folder, source))?;
            seen.push((owner_of(&entry.file_name().to_string_lossy()), entry.path()));
        }
        if seen.is_empty() {
            return Ok(Vec::new());
        }
        let live = self.live_leases()?;
        let abandoned = |owner: &Option<u64>| owner.is_none_or(|number| !live.contains(&number));
        Ok(seen.into_iter().filter(|(owner, _)| abandoned(owner)).map(|(_, path)| path).collect())
    }
}

impl Lease {
    /// The number that covers what is made or used from now on.
    #[cfg(test)]
    pub(crate) fn number(&self) -> u64 {
        self.held.number
    }

    /// A short name for something this lease owns: unique in the state directory, for as long as the file there lives.
    pub(crate) fn next_name(&self) -> String {
        format!("{}-{}", to_name(self.held.number), self.held.next_name.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn belongs_to(&self, store: &Store) -> bool {
        self.held.store.root == store.inner.root
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // First the name, then (with the descriptor) the lock: nobody can take the file for that of a dead owner.
        let _ = fs::remove_file(&self.path);
        let _ = flock(self.file.as_fd(), FlockOperation::Unlock);
        self.store.own_leases.remove();
    }
}

/// Creates and locks a lease file; none when somebody else is looking at, or holding, a file of that name.
fn hold(path: &Path) -> Result<Option<File>> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| ContentError::io("create lease", path, source))?;
    let held = try_lock(&file, FlockOperation::NonBlockingLockExclusive)? && is_still_at(&file, path);
    Ok(held.then_some(file))
}

fn try_lock(file: &File, operation: FlockOperation) -> Result<bool> {
    use rustix::io::Errno;
    loop {
        match flock(file.as_fd(), operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(ContentError::io("lock", file.path(), errno.into())),
        }
    }
}

/// Whether the open file is the one the path names: it may have been removed, or replaced, since it was opened.
fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn lease_files(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| ContentError::io("list", folder, source))? {
        let entry = entry.map_err(|source| ContentError::io("list", folder, source))?;
        if let Some(number) = from_name(&entry.file_name().to_string_lossy()) {
            files.push((number, entry.path()));
        }
    }
    Ok(files)
}

/// Deletes a file; whether it was there.
pub(crate) fn remove_if_there(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(ContentError::io("remove", path, source)),
    }
}

/// The lease that owns `<lease>-<n>`; none for names we did not give.
pub(crate) fn owner_of(name: &str) -> Option<u64> {
    let (owner, number) = name.split_once('-')?;
    number.parse::<u64>().ok()?;
    from_name(owner)
}

fn to_name(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).expect("a remainder of 36 is a digit of base 36"));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

fn from_name(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name, 36).ok()?;
    (to_name(number) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for number in [0, 1, 35, 36, 1295, 1296, u64::MAX] {
            assert_eq!(from_name(&to_name(number)), Some(number));
        }
        assert_eq!(to_name(46_655), "zzz");
        for name in ["", "-1", "+1", "01", "Z", "a.b"] {
            assert_eq!(from_name(name), None, "{name}");
        }
        assert_eq!(owner_of("zz-12"), Some(1295));
        assert_eq!(owner_of("zz"), None);
        assert_eq!(owner_of("zz-x"), None);
    }

    #[test]
    fn a_lease_lives_until_its_last_clone_goes() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(place.path()).unwrap();
        let first = store.lease().unwrap();
        let second = store.lease().unwrap();
        assert!(first.number() < second.number());
        let clone = first.clone();
        drop(first);
        assert_eq!(store.live_leases().unwrap(), BTreeSet::from([clone.number(), second.number()]));
        assert_eq!(store.inner.own_leases.floor(), Some(second.number()));
        drop((clone, second));
        assert_eq!(store.live_leases().unwrap(), BTreeSet::new());
        assert_eq!(store.inner.own_leases.floor(), None);
        assert_eq!(fs::read_dir(place.path().join(place::LEASES)).unwrap().count(), 0);
    }

    #[test]
    fn threads_may_share_everything() {
        fn is_shared<T: Send + Sync + Clone + 'static>() {}
        fn is_sent<T: Send + 'static>() {}
        is_shared::<Store>();
        is_shared::<Lease>();
        is_sent::<crate::Ingest>();
    }

    #[test]
    fn a_dead_lease_is_swept_with_its_files() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(place.path()).unwrap();
        let dead = place.path().join(place::LEASES).join("zz");
        let half = place.path().join(place::INGEST).join("zz-0");
        fs::write(&dead, b"").unwrap();
        fs::write(&half, b"half a blob").unwrap();
        let lease = store.lease().unwrap();
        assert!(!dead.exists() && !half.exists());
        assert_eq!(store.live_leases().unwrap(), BTreeSet::from([lease.number()]));
    }
}
