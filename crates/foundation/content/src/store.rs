//! In: a state directory. Out: the store all processes of the host share. Never: a full scan when it is opened.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use crossdock_oci::BlobDigest;
use fs_err as fs;
use fs_err::File;

use crate::database::Database;
use crate::{ContentError, Result, epoch, place};

/// Bytes set aside for the write-ahead log of a collection on a full disk.
const RESERVE_SIZE: u64 = 1 << 20;
/// Name of the file that sets them aside.
const RESERVE: &str = "reserve";

/// Blobs by digest, metadata rows and leases in one state directory. Cheap to clone, usable from many threads and
/// processes at once.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) root: PathBuf,
    pub(crate) database: Database,
    epoch: OnceLock<String>,
    pub(crate) own_leases: OwnLeases,
    next_name: AtomicU64,
}

/// The leases that live in this process.
#[derive(Debug, Default)]
pub(crate) struct OwnLeases {
    live: AtomicUsize,
    newest: AtomicU64,
}

impl OwnLeases {
    pub(crate) fn add(&self, number: u64) {
        self.newest.fetch_max(number, Ordering::SeqCst);
        self.live.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn remove(&self) {
        self.live.fetch_sub(1, Ordering::SeqCst);
    }

    /// What carries a smaller number than this is not yet covered by every lease of this process, so reading it must
    /// note a use. Nothing needs covering while there is no lease.
    pub(crate) fn floor(&self) -> Option<u64> {
        (self.live.load(Ordering::SeqCst) > 0).then(|| self.newest.load(Ordering::SeqCst))
    }
}

impl Store {
    /// Opens the store in `root`, creating what is missing (directories of mode 0700, an empty database).
    ///
    /// # Errors
    /// When the directory is on a network file system, belongs to somebody else, cannot be written, was written by a
    /// newer version, or the disk is full.
    pub fn open(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).map_err(|source| ContentError::io("find", root, source))?;
        place::prepare(&root)?;
        let is_new = !root.join(crate::database::FILE_NAME).exists();
        let database = Database::open(&root)?;
        if is_new {
            set_reserve_aside(&root);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                root,
                database,
                epoch: OnceLock::new(),
                own_leases: OwnLeases::default(),
                next_name: AtomicU64::new(0),
            }),
        })
    }

    /// Opens the store in order to collect garbage: on a full disk, first gives back the space that was set aside for
    /// exactly this. [`Store::gc`] sets it aside again.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_for_pruning(root: &Path) -> Result<Self> {
        match Self::open(root) {
            Err(error) if error.is_disk_full() => {
                give_reserve_back(root);
                Self::open(root)
            }
            outcome => outcome,
        }
    }

    /// The state directory, as an absolute path.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The directory that holds one directory for each snapshot.
    pub fn snapshot_root(&self) -> PathBuf {
        self.inner.root.join(place::SNAPSHOTS)
    }

    pub(crate) fn blob_path(&self, digest: BlobDigest) -> PathBuf {
        let mut path = self.inner.root.join(place::BLOBS);
        path.push(digest.hex());
        path
    }

    pub(crate) fn epoch(&self) -> Result<&str> {
        if let Some(epoch) = self.inner.epoch.get() {
            return Ok(epoch);
        }
        let epoch = epoch::current(&self.inner.root)?;
        Ok(self.inner.epoch.get_or_init(|| epoch))
    }

    /// A number no other file of this process has in its name.
    pub(crate) fn next_number(&self) -> u64 {
        self.inner.next_name.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a file out of its place by a rename; it is deleted by whoever empties the trash. A file that is gone
    /// already is fine.
    pub(crate) fn move_to_trash(&self, path: &Path) -> Result<bool> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unique = format!("{name}.{}-{}", std::process::id(), self.next_number());
        let target = self.inner.root.join(place::TRASH).join(unique);
        match fs::rename(path, &target) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ContentError::io("move to the trash", path, source)),
        }
    }

    pub(crate) fn set_reserve_aside(&self) {
        set_reserve_aside(&self.inner.root);
    }

    pub(crate) fn give_reserve_back(&self) {
        give_reserve_back(&self.inner.root);
    }

    /// For tests: the store as it looks after the machine was rebooted.
    #[cfg(test)]
    pub(crate) fn open_in_epoch(root: &Path, epoch: &str) -> Result<Self> {
        let store = Self::open(root)?;
        store.inner.epoch.get_or_init(|| epoch.to_owned());
        Ok(store)
    }
}

/// Best effort: a store without a reserve works, but may need another disk's space to be pruned when this one is full.
fn set_reserve_aside(root: &Path) {
    let path = root.join(RESERVE);
    let Ok(file) = File::options().write(true).create_new(true).open(&path) else { return };
    if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE_SIZE).is_err() {
        let _ = fs::remove_file(&path);
    }
}

fn give_reserve_back(root: &Path) {
    let _ = fs::remove_file(root.join(RESERVE));
}

/// Seconds since 1970; for people and for pruning by age, never for ordering.
pub(crate) fn now_unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
