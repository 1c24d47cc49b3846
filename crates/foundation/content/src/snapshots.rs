//! In: unpacked layers of other rooms. Out: names and directories for them, and durability in one stroke at the end. Never: the files inside.
//!
//! Unpacked layers are many small files; syncing each would cost more than unpacking. Instead a snapshot's row carries
//! the epoch it was written in (boot and mount). Within that epoch the page cache vouches for the files; when it ends
//! before [`Store::sync_snapshots`] ran, the row is treated as missing and the layer is unpacked again.

use std::io;

use rusqlite::params;

use crate::database::Durability;
use crate::{ContentError, Lease, Result, Store, fsync, place};

impl Store {
    /// Makes the empty directory `snapshots/<id>` (mode 0700) and returns the id, which is short: many of them fit in
    /// one page of mount options. The directory belongs to the lease until a row of [`crate::Space::Snapshot`] with this
    /// key is written; without one it is garbage when the lease ends.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn new_snapshot(&self, lease: &Lease) -> Result<String> {
        let folder = self.snapshot_root();
        loop {
            let id = lease.next_name();
            let path = folder.join(&id);
            match place::make_folder(&path, false) {
                Ok(()) => return Ok(id),
                // Left from before a power cut, which also took back the counter's last steps.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(ContentError::io("create snapshot", &path, source)),
            }
        }
    }

    /// Makes all finished work durable, of this process and of others: one sync of the file system if there are
    /// snapshots whose rows are not marked as synced yet, the marks, and one sync of the database's log, with which
    /// every row written so far survives a power cut. Called once, at the end of a build. Returns how many snapshots it
    /// marked.
    ///
    /// # Errors
    /// Those of the file system and the database.
    pub fn sync_snapshots(&self) -> Result<u64> {
        let epoch = self.epoch()?;
        // Only rows that are there before the sync are marked after it: a later one may speak of files it missed.
        let waiting: Vec<i64> = self.inner.database.read("list snapshots", |connection| {
            let mut select = connection.prepare_cached("SELECT id FROM entry WHERE pending = ?1")?;
            let ids = select.query_map([epoch], |row| row.get(0))?;
            ids.collect()
        })?;
        if !waiting.is_empty() {
            fsync::sync_filesystem(&self.inner.root.join(place::SNAPSHOTS))?;
        }
        self.inner.database.write("mark snapshots as synced", Durability::Durable, |transaction| {
            let mut marked = 0;
            let mut update =
                transaction.prepare_cached("UPDATE entry SET pending = NULL WHERE id = ?1 AND pending = ?2")?;
            for id in &waiting {
                marked += update.execute(params![id, epoch])? as u64;
            }
            // A transaction that changes nothing writes nothing, and then the log would not be synced.
            transaction.prepare_cached("UPDATE counter SET lease = lease + 1")?.execute([])?;
            Ok(marked)
        })
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;
    use crate::{GcOptions, Link, Space, fsync_count};

    #[test]
    fn an_unsynced_snapshot_ends_with_its_epoch() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open_in_epoch(place.path(), "monday").unwrap();
        let lease = store.lease().unwrap();
        let kept = store.new_snapshot(&lease).unwrap();
        let lost = store.new_snapshot(&lease).unwrap();
        assert_ne!(kept, lost);
        store.put_row(Space::Snapshot, &kept, b"k", &[]).unwrap();
        let before = fsync_count();
        assert_eq!(store.sync_snapshots().unwrap(), 1);
        assert!(fsync_count() - before >= 2);
        assert_eq!(store.sync_snapshots().unwrap(), 0);
        store.put_row(Space::Snapshot, &lost, b"l", &[]).unwrap();
        assert!(store.get(Space::Snapshot, &lost).unwrap().is_some());
        drop((lease, store));

        let store = Store::open_in_epoch(place.path(), "tuesday").unwrap();
        assert_eq!(store.get(Space::Snapshot, &kept).unwrap().as_deref(), Some(&b"k"[..]));
        assert_eq!(store.get(Space::Snapshot, &lost).unwrap(), None);
        assert_eq!(store.scan(Space::Snapshot).unwrap(), vec![(kept.clone(), b"k".to_vec())]);
        let report = store.check().unwrap();
        assert!(report.is_clean(), "{:?}", report.lines());
        assert_eq!(report.leftovers.len(), 1, "{:?}", report.lines());

        let links = [Link::Row(Space::Snapshot, kept.clone()), Link::Row(Space::Snapshot, lost.clone())];
        store.put_row(Space::Record, "r", b"", &links).unwrap();
        let mut removed = Vec::new();
        let report = store
            .gc(&GcOptions::default(), &mut |id| {
                removed.push(id.to_owned());
                fs::remove_dir_all(place.path().join(place::SNAPSHOTS).join(id))
            })
            .unwrap();
        assert_eq!((removed, report.snapshots), (vec![lost], 1));
        assert!(store.get(Space::Snapshot, &kept).unwrap().is_some());
    }

    #[test]
    fn a_snapshot_without_its_directory_is_a_miss() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(place.path()).unwrap();
        let lease = store.lease().unwrap();
        let id = store.new_snapshot(&lease).unwrap();
        store.put_row(Space::Snapshot, &id, b"", &[]).unwrap();
        fs::remove_dir(store.snapshot_root().join(&id)).unwrap();
        assert_eq!(store.get(Space::Snapshot, &id).unwrap(), None);
    }

    #[test]
    fn a_directory_without_a_row_lives_as_long_as_its_lease() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(place.path()).unwrap();
        let lease = store.lease().unwrap();
        let id = store.new_snapshot(&lease).unwrap();
        let strange = store.snapshot_root().join("made-elsewhere");
        fs::create_dir(&strange).unwrap();
        let mut remove = |id: &str| fs::remove_dir_all(place.path().join(place::SNAPSHOTS).join(id));
        assert_eq!(store.gc(&GcOptions::default(), &mut remove).unwrap().snapshots, 0);
        assert!(store.snapshot_root().join(&id).exists() && strange.exists());
        drop(lease);
        assert_eq!(store.gc(&GcOptions::default(), &mut remove).unwrap().snapshots, 2);
        assert_eq!(fs::read_dir(store.snapshot_root()).unwrap().count(), 0);
    }
}
