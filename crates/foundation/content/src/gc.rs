//! In: options and a way to remove a snapshot's files. Out: a smaller state directory, and a report. Never: the loss of anything a live lease covers.
//!
//! Order (architecture decision 6): rows deleted with a full sync → files into the trash → unlink. The ingest lock is
//! held alone from the look at the rows to the last rename, so nobody can bring a blob back in between; unlinking large
//! files and removing snapshots happen after it is released.

mod graph;
mod plan;
mod sweep;

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use crate::database::Durability;
use crate::ingest_lock::IngestLock;
use crate::store::now_unix_s;
use crate::{Result, Store};
use graph::Seen;
use plan::{Policy, find_garbage};

/// Rows removed by the first transaction on a full disk, which has little space for its own log.
const FULL_DISK_BATCH: usize = 256;

/// What may go besides what nothing needs. Whatever a live lease covers stays in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcOptions {
    /// Cache rows too: records, recipes, pins, stat indexes, chunks.
    pub cache: bool,
    /// Images without a name too (their key begins with [`crate::UNTAGGED_PREFIX`]).
    pub dangling_images: bool,
    /// Every image too, with a name or without.
    pub all: bool,
    /// Of the above only what was not used for so long.
    pub unused_for: Option<Duration>,
}

/// What a collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Blobs that nothing needed.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub blob_bytes: u64,
    /// Metadata rows.
    pub rows: u64,
    /// Of these, images.
    pub images: u64,
    /// Directories of snapshots.
    pub snapshots: u64,
    /// Files that killed processes left: half-written blobs, blobs without a row, trash.
    pub leftovers: u64,
    /// Bytes of these files.
    pub leftover_bytes: u64,
    /// Snapshots whose directory could not be removed, and why. The next collection tries again.
    pub failed_snapshots: Vec<(String, String)>,
}

/// What one transaction of a collection found.
#[derive(Debug, Default)]
struct Collected {
    snapshots: HashSet<String>,
    is_complete: bool,
}

impl Store {
    /// Removes what nothing needs: blobs, layers, listings and snapshots that no image, cache row or live lease reaches,
    /// what killed processes left behind, and what `options` gives up. `remove_snapshot` deletes `snapshots/<id>`; its
    /// failures are reported, not returned.
    ///
    /// # Errors
    /// Those of the file system and the database. Nothing is lost then; the next collection goes on.
    pub fn gc(&self, options: &GcOptions, remove_snapshot: &mut dyn FnMut(&str) -> io::Result<()>) -> Result<GcReport> {
        let mut report = GcReport::default();
        let (files, bytes) = self.reap_dead_leases()?;
        report.leftovers += files;
        report.leftover_bytes += bytes;
        self.empty_trash(Some(&mut report))?;
        let unreachable = self.collect_in_steps(options, &mut report)?;
        self.empty_trash(None)?;
        for id in self.orphan_snapshots(&unreachable)? {
            match remove_snapshot(&id) {
                Ok(()) => report.snapshots += 1,
                Err(error) => report.failed_snapshots.push((id, error.to_string())),
            }
        }
        if report.rows + report.blobs > 0 {
            // It needs space itself; what it frees is little beside the rest.
            match self.inner.database.shrink() {
                Err(error) if error.is_disk_full() => {}
                outcome => outcome?,
            }
        }
        self.set_reserve_aside();
        Ok(report)
    }

    /// On a full disk the reserve pays for a first, small transaction, and what that frees pays for the rest.
    fn collect_in_steps(&self, options: &GcOptions, report: &mut GcReport) -> Result<HashSet<String>> {
        let first = match self.collect(options, None, report) {
            Err(error) if error.is_disk_full() => {
                self.give_reserve_back();
                self.collect(options, Some(FULL_DISK_BATCH), report)?
            }
            outcome => outcome?,
        };
        let mut snapshots = first.snapshots;
        if !first.is_complete {
            self.empty_trash(None)?;
            snapshots.extend(self.collect(options, None, report)?.snapshots);
        }
        Ok(snapshots)
    }

    /// Deletes the rows of what nothing needs, largest blobs first when there is a limit, and moves the files of blobs
    /// without a row to the trash.
    fn collect(&self, options: &GcOptions, limit: Option<usize>, report: &mut GcReport) -> Result<Collected> {
        let _alone = IngestLock::exclusive(&self.inner.root)?;
        let epoch = self.epoch()?;
        let mut collected = Collected::default();
        let mut removed = GcReport::default();
        let (files, kept) = self.inner.database.write("collect garbage", Durability::Durable, |transaction| {
            // Looked at inside the transaction. Leases: one that begins later can only use what it finds afterwards.
            // Directories: a row that is there had its directory before.
            let seen = match self.look_around() {
                Ok(seen) => seen,
                Err(error) => return Ok(Err(error)),
            };
            let graph = graph::load(transaction, &seen, epoch)?;
            let mut garbage = find_garbage(&graph.nodes, &policy(options, seen.oldest_lease));
            collected.is_complete = limit.is_none_or(|limit| garbage.len() <= limit);
            if let Some(limit) = limit {
                garbage.sort_by_key(|&index| std::cmp::Reverse(graph.size_bytes(index)));
                garbage.truncate(limit);
            }
            graph.delete(transaction, &garbage, &mut removed, &mut collected.snapshots)?;
            Ok(Ok((seen.files, graph.digests_without(&garbage))))
        })??;
        self.trash_blobs_except(&files, &kept, &mut removed)?;
        report.add(&removed);
        Ok(collected)
    }

    fn look_around(&self) -> Result<Seen> {
        let oldest_lease = self.live_leases()?.first().copied();
        Ok(Seen { files: self.blob_files()?, snapshots: self.snapshot_directories()?, oldest_lease })
    }
}

fn policy(options: &GcOptions, oldest_lease: Option<u64>) -> Policy {
    let seconds = options.unused_for.map(|age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    Policy {
        cache: options.cache,
        dangling_images: options.dangling_images,
        all_images: options.all,
        unless_used_since_unix_s: seconds.map(|seconds| now_unix_s().saturating_sub(seconds)),
        oldest_lease,
    }
}

impl GcReport {
    fn add(&mut self, other: &Self) {
        self.blobs += other.blobs;
        self.blob_bytes += other.blob_bytes;
        self.rows += other.rows;
        self.images += other.images;
        self.leftovers += other.leftovers;
        self.leftover_bytes += other.leftover_bytes;
    }
}

#[cfg(test)]
mod tests;
