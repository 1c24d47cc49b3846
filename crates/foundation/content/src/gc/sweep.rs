//! In: the folders of the state directory. Out: what in them has no row and no living owner, removed or named. Never: a file somebody is about to give a row.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;

use crossdock_oci::BlobDigest;
use fs_err as fs;

use super::GcReport;
use crate::lease::{owner_of, remove_if_there};
use crate::{ContentError, Result, Space, Store, place};

/// The blobs there were rows for when a collection began.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) with_row: HashSet<BlobDigest>,
    /// Those whose rows the collection deleted.
    pub(super) collected: HashSet<BlobDigest>,
}

impl Store {
    /// The digests whose files are in their place. Files with other names are passed over.
    pub(crate) fn blob_files(&self) -> Result<HashSet<BlobDigest>> {
        let names = list(&self.inner.root.join(place::BLOBS))?;
        let digest = |name: OsString| format!("sha256:{}", name.to_str()?).parse().ok();
        Ok(names.into_iter().filter_map(digest).collect())
    }

    /// The names of the directories under `snapshots`.
    pub(crate) fn snapshot_directories(&self) -> Result<HashSet<String>> {
        let folder = self.snapshot_root();
        let mut found = HashSet::new();
        for entry in fs::read_dir(&folder).map_err(|source| ContentError::io("list", &folder, source))? {
            let entry = entry.map_err(|source| ContentError::io("list", &folder, source))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(name) = entry.file_name().into_string()
            {
                found.insert(name);
            }
        }
        Ok(found)
    }

    /// Directories of snapshots that have no row and whose maker is gone, and the `collected` ones, whose row just went.
    pub(crate) fn orphan_snapshots(&self, collected: &HashSet<String>) -> Result<Vec<String>> {
        // In this order: a directory seen first, whose maker is dead second, and that has no row third, gets none later.
        let directories = self.snapshot_directories()?;
        if directories.is_empty() {
            return Ok(Vec::new());
        }
        let live = self.live_leases()?;
        let with_row: HashSet<String> = self.inner.database.read("list snapshots", |connection| {
            let mut select = connection.prepare_cached("SELECT key FROM entry WHERE space = ?1")?;
            let keys = select.query_map([Space::Snapshot.number()], |row| row.get(0))?;
            keys.collect()
        })?;
        // A name we did not give tells nothing of its maker: it waits until nobody is at work.
        let has_maker = |name: &str| owner_of(name).map_or(!live.is_empty(), |owner| live.contains(&owner));
        let mut orphans: Vec<String> = directories
            .into_iter()
            .filter(|name| !with_row.contains(name) && (collected.contains(name) || !has_maker(name)))
            .collect();
        orphans.sort();
        Ok(orphans)
    }

    /// Deletes what earlier steps moved to the trash; counted where it is the leftover of somebody else.
    pub(super) fn empty_trash(&self, mut report: Option<&mut GcReport>) -> Result<()> {
        let folder = self.inner.root.join(place::TRASH);
        for name in list(&folder)? {
            remove_counted(&folder.join(name), report.as_deref_mut())?;
        }
        Ok(())
    }

    /// Moves the files that have no row to the trash: those just collected, and those whose writer was killed between
    /// rename and row. The caller holds the ingest lock alone.
    pub(super) fn trash_blobs_except(
        &self,
        files: &HashSet<BlobDigest>,
        kept: &Kept,
        report: &mut GcReport,
    ) -> Result<()> {
        for digest in files.iter().filter(|digest| !kept.with_row.contains(digest)) {
            let path = self.blob_path(*digest);
            if !kept.collected.contains(digest) {
                report.leftovers += 1;
                report.leftover_bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len());
            }
            self.move_to_trash(&path)?;
        }
        Ok(())
    }
}

fn list(folder: &Path) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| ContentError::io("list", folder, source))? {
        names.push(entry.map_err(|source| ContentError::io("list", folder, source))?.file_name());
    }
    Ok(names)
}

fn remove_counted(path: &Path, report: Option<&mut GcReport>) -> Result<()> {
    let size = fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
    if remove_if_there(path)?
        && let Some(report) = report
    {
        report.leftovers += 1;
        report.leftover_bytes += size;
    }
    Ok(())
}
