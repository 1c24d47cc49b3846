//! In: the whole state directory. Out: what is wrong in it, and what was only left lying. Never: a change.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossdock_oci::{BlobDigest, Hasher};
use fs_err as fs;
use fs_err::File;

use crate::ingest_lock::IngestLock;
use crate::{BlobInfo, ContentError, Result, Space, Store, place};

/// Threads that hash at the same time; more would only wait for the disk.
const THREADS_MAX: usize = 4;
const READ_SIZE: usize = 1 << 20;

/// What [`Store::check`] saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Blobs hashed.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub blob_bytes: u64,
    /// Metadata rows looked at.
    pub rows: u64,
    /// Snapshot rows looked at.
    pub snapshots: u64,
    /// What must not be. Empty whatever was killed and whenever the power went.
    pub faults: Vec<Fault>,
    /// What killed processes left behind: harmless, removed by the next collection.
    pub leftovers: Vec<Leftover>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// SQLite's own check, or ours of its tables, complains.
    Database { detail: String },
    /// There is a row, but no file.
    BlobMissing { digest: BlobDigest },
    /// The file has another size than the row says, in bytes.
    BlobSize { digest: BlobDigest, want: u64, got: u64 },
    /// The bytes have another digest.
    BlobDamaged { digest: BlobDigest, got: BlobDigest },
    /// The bytes cannot be read.
    BlobUnreadable { digest: BlobDigest, reason: String },
    /// There is a row of a finished snapshot, but no directory.
    SnapshotMissing { id: String },
}

/// Something nobody needs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// A blob whose writer was killed, by the name of its temporary file.
    HalfWritten { name: String, size_bytes: u64 },
    /// A blob whose writer was killed between rename and row.
    BlobWithoutRow { digest: BlobDigest, size_bytes: u64 },
    /// A snapshot whose maker was killed.
    SnapshotWithoutRow { id: String },
    /// A snapshot that may not have reached the disk before a power cut; it is never used.
    SnapshotUnsynced { id: String },
    /// Files whose deletion was interrupted.
    Trash { files: u64, size_bytes: u64 },
}

impl CheckReport {
    /// Whether nothing is wrong; leftovers are not wrong.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// The report for people: faults, leftovers, and a line that sums up.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.faults.iter().map(|fault| format!("wrong: {fault}")).collect();
        lines.extend(self.leftovers.iter().map(|leftover| format!("left over: {leftover}")));
        let verdict = match (self.faults.len(), self.leftovers.len()) {
            (0, 0) => "nothing wrong".to_owned(),
            (0, left) => format!("nothing wrong, {left} left over (`crossdock prune` removes them)"),
            (faults, _) => format!("{faults} wrong"),
        };
        lines.push(format!(
            "checked {} blobs ({} bytes), {} rows, {} snapshots: {verdict}",
            self.blobs, self.blob_bytes, self.rows, self.snapshots
        ));
        lines
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { detail } => write!(out, "metadata database: {detail}"),
            Self::BlobMissing { digest } => write!(out, "blob {digest} has a row but no file"),
            Self::BlobSize { digest, want, got } => write!(out, "blob {digest} has {got} bytes instead of {want}"),
            Self::BlobDamaged { digest, got } => write!(out, "blob {digest} is damaged: its bytes have digest {got}"),
            Self::BlobUnreadable { digest, reason } => write!(out, "blob {digest} cannot be read: {reason}"),
            Self::SnapshotMissing { id } => write!(out, "snapshot {id} has a row but no directory"),
        }
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HalfWritten { name, size_bytes } => write!(out, "half-written blob {name} ({size_bytes} bytes)"),
            Self::BlobWithoutRow { digest, size_bytes } => {
                write!(out, "blob {digest} without row ({size_bytes} bytes)")
            }
            Self::SnapshotWithoutRow { id } => write!(out, "snapshot {id} without row"),
            Self::SnapshotUnsynced { id } => write!(out, "snapshot {id} was not synced before the machine stopped"),
            Self::Trash { files, size_bytes } => write!(out, "{files} files in the trash ({size_bytes} bytes)"),
        }
    }
}

impl Store {
    /// Looks at everything: hashes every blob, compares rows with files and snapshot rows with directories, lets SQLite
    /// check itself. Other processes may go on working.
    ///
    /// # Errors
    /// When the check itself cannot be made; what it finds is in the report.
    pub fn check(&self) -> Result<CheckReport> {
        let mut report = CheckReport::default();
        self.check_database(&mut report)?;
        let blobs = self.list_blobs(&mut report)?;
        self.check_blobs(&blobs, &mut report)?;
        self.check_snapshots(&mut report)?;
        for path in self.abandoned_ingests()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let size_bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            report.leftovers.push(Leftover::HalfWritten { name, size_bytes });
        }
        self.check_trash(&mut report)?;
        Ok(report)
    }

    fn check_database(&self, report: &mut CheckReport) -> Result<()> {
        let (complaints, rows, strays) = self.inner.database.read("check the database", |connection| {
            let mut check = connection.prepare("PRAGMA integrity_check(20)")?;
            let lines = check.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
            let rows: u64 = connection.query_row("SELECT count(*) FROM entry", [], |row| row.get(0))?;
            let strays: u64 = connection.query_row(
                "SELECT (SELECT count(*) FROM entry WHERE id NOT IN (SELECT id FROM value))
                      + (SELECT count(*) FROM value WHERE id NOT IN (SELECT id FROM entry))
                      + (SELECT count(*) FROM link WHERE source NOT IN (SELECT id FROM entry))",
                [],
                |row| row.get(0),
            )?;
            Ok((lines, rows, strays))
        })?;
        report.rows = rows;
        let complaints = complaints.into_iter().filter(|line| line != "ok");
        report.faults.extend(complaints.map(|detail| Fault::Database { detail }));
        if strays > 0 {
            let detail = format!("{strays} rows, values or links without their counterpart");
            report.faults.push(Fault::Database { detail });
        }
        Ok(())
    }

    /// Rows and files at one moment in which nobody is between the two.
    fn list_blobs(&self, report: &mut CheckReport) -> Result<Vec<BlobInfo>> {
        let _alone = IngestLock::exclusive(&self.inner.root)?;
        let rows = self.blobs()?;
        let known: HashSet<BlobDigest> = rows.iter().map(|blob| blob.digest).collect();
        let mut without_row: Vec<BlobDigest> =
            self.blob_files()?.into_iter().filter(|digest| !known.contains(digest)).collect();
        without_row.sort();
        for digest in without_row {
            let size_bytes = fs::metadata(self.blob_path(digest)).map_or(0, |metadata| metadata.len());
            report.leftovers.push(Leftover::BlobWithoutRow { digest, size_bytes });
        }
        Ok(rows)
    }

    fn check_blobs(&self, blobs: &[BlobInfo], report: &mut CheckReport) -> Result<()> {
        let next = AtomicUsize::new(0);
        let faults = Mutex::new(Vec::new());
        let work = || -> Result<()> {
            while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Some(fault) = self.check_blob(blob)? {
                    faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((blob.digest, fault));
                }
            }
            Ok(())
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, THREADS_MAX);
        std::thread::scope(|scope| -> Result<()> {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok(())
        })?;
        let mut faults = faults.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        faults.sort_by_key(|(digest, _)| *digest);
        report.faults.extend(faults.into_iter().map(|(_, fault)| fault));
        report.blobs = blobs.len() as u64;
        report.blob_bytes = blobs.iter().map(|blob| blob.size_bytes).sum();
        Ok(())
    }

    fn check_blob(&self, blob: &BlobInfo) -> Result<Option<Fault>> {
        let digest = blob.digest;
        match hash_file(&self.blob_path(digest)) {
            Ok((_, got)) if got != blob.size_bytes => Ok(Some(Fault::BlobSize { digest, want: blob.size_bytes, got })),
            Ok((got, _)) if got != digest => Ok(Some(Fault::BlobDamaged { digest, got })),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Collected since the rows were listed? Then the row went first.
                let _alone = IngestLock::exclusive(&self.inner.root)?;
                let has_row = self.blobs()?.iter().any(|row| row.digest == digest);
                let missing = has_row && !self.file_has_size(digest, blob.size_bytes)?;
                Ok(missing.then_some(Fault::BlobMissing { digest }))
            }
            Err(error) => Ok(Some(Fault::BlobUnreadable { digest, reason: error.to_string() })),
        }
    }

    fn check_snapshots(&self, report: &mut CheckReport) -> Result<()> {
        for (id, pending) in self.snapshot_rows()? {
            report.snapshots += 1;
            if self.is_snapshot_there(&id, pending.as_deref())? {
                continue;
            }
            // Only rows that are still there count: a collection may have come between.
            if self.snapshot_rows()?.iter().all(|(other, _)| *other != id) {
                continue;
            }
            let is_unsynced = match pending {
                Some(written_in) => written_in != self.epoch()?,
                None => false,
            };
            if is_unsynced {
                report.leftovers.push(Leftover::SnapshotUnsynced { id });
            } else {
                report.faults.push(Fault::SnapshotMissing { id });
            }
        }
        let orphans = self.orphan_snapshots(&HashSet::new())?;
        report.leftovers.extend(orphans.into_iter().map(|id| Leftover::SnapshotWithoutRow { id }));
        Ok(())
    }

    fn snapshot_rows(&self) -> Result<Vec<(String, Option<String>)>> {
        self.inner.database.read("list snapshots", |connection| {
            let mut select =
                connection.prepare_cached("SELECT key, pending FROM entry WHERE space = ?1 ORDER BY key")?;
            let rows = select.query_map([Space::Snapshot.number()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    fn check_trash(&self, report: &mut CheckReport) -> Result<()> {
        let folder = self.inner.root.join(place::TRASH);
        let (mut files, mut size_bytes) = (0, 0);
        for entry in fs::read_dir(&folder).map_err(|source| ContentError::io("list", &folder, source))? {
            let entry = entry.map_err(|source| ContentError::io("list", &folder, source))?;
            files += 1;
            size_bytes += entry.metadata().map_or(0, |metadata| metadata.len());
        }
        if files > 0 {
            report.leftovers.push(Leftover::Trash { files, size_bytes });
        }
        Ok(())
    }
}

fn hash_file(path: &std::path::Path) -> io::Result<(BlobDigest, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut chunk = vec![0; READ_SIZE];
    let mut size_bytes = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok((hasher.finish_blob(), size_bytes));
        }
        hasher.update(&chunk[..read]);
        size_bytes += read as u64;
    }
}

#[cfg(test)]
mod tests;
