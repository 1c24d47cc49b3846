//! In: digests of files and the stamps they had. Out: the digest of a file whose stamp is the same, without reading it. Never: a digest of a file that may have been written to after it was read.
//!
//! One file per context in the state directory: a header, then records of fixed size sorted by key, searched where they lie.
//! A record is kept only if the file was quiet when it was read (git's rule for racily clean entries): its times must be
//! older than the start of the read by more than what the file system's clock can hide. A damaged index is an empty one.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossdock_snapshot::Mtime;

use super::record::Stamp;

const MAGIC: &[u8; 8] = b"cdstat01";
/// Magic and the blake3 of everything behind it.
const HEADER_BYTES: usize = 8 + 32;
/// key 16, size 8, mtime 8 + 4, ctime 8 + 4, inode 8, day 4, sha256 32, 4 unused.
const RECORD_BYTES: usize = 96;
/// The kernel stamps files with a clock that stands still for up to a tick of 10 ms.
const TICK: Duration = Duration::from_millis(20);
/// File systems without fractions of seconds, FAT with steps of two.
const COARSE_TICK: Duration = Duration::from_secs(2);
/// Files that no build looked at for so long are forgotten.
const UNSEEN_DAYS_MAX: u32 = 30;
/// Records kept in all.
const RECORDS_MAX: usize = 2_000_000;

/// Digests known from earlier builds.
#[derive(Debug, Default)]
pub(super) struct StatIndex {
    /// The file without its header; whole records.
    records: Vec<u8>,
}

/// Identifies a path within one context.
pub(super) type Key = [u8; 16];

/// A digest to be remembered.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub stamp: Stamp,
    pub sha256: [u8; 32],
}

/// The key of a path.
pub(super) fn key(path: &[u8]) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(path).as_bytes()[..16]);
    key
}

impl StatIndex {
    /// Reads an index; one that is missing, damaged or of another version is empty.
    pub fn load(path: &Path) -> Self {
        let Ok(mut bytes) = fs_err::read(path) else { return Self::default() };
        let intact = bytes.len() >= HEADER_BYTES
            && bytes.starts_with(MAGIC)
            && (bytes.len() - HEADER_BYTES).is_multiple_of(RECORD_BYTES)
            && blake3::hash(&bytes[HEADER_BYTES..]).as_bytes() == &bytes[MAGIC.len()..HEADER_BYTES];
        if !intact {
            return Self::default();
        }
        bytes.drain(..HEADER_BYTES);
        Self { records: bytes }
    }

    /// The digest of the file that has this stamp.
    pub fn find(&self, key: &Key, stamp: &Stamp) -> Option<[u8; 32]> {
        let (mut low, mut high) = (0, self.records.len() / RECORD_BYTES);
        while low < high {
            let middle = low.midpoint(high);
            let record = &self.records[middle * RECORD_BYTES..(middle + 1) * RECORD_BYTES];
            match record[..16].cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let known = decode(record);
                    return (known.stamp == *stamp).then_some(known.sha256);
                }
            }
        }
        None
    }

    /// Writes the index anew with what this build knows; what it did not look at is kept for a while.
    ///
    /// # Errors
    /// What the file system says; the old index stays.
    pub fn save(&self, path: &Path, fresh: &BTreeMap<Key, Known>) -> io::Result<()> {
        let today = today();
        let mut body = Vec::with_capacity(self.records.len() + fresh.len() * RECORD_BYTES);
        let mut old = self.records.chunks_exact(RECORD_BYTES).peekable();
        let keep = |record: &[u8], fresh: &BTreeMap<Key, Known>| {
            !fresh.contains_key(&record[..16]) && today.saturating_sub(day_of(record)) <= UNSEEN_DAYS_MAX
        };
        for (key, known) in fresh {
            while let Some(record) = old.next_if(|record| record[..16] < key[..]) {
                if keep(record, fresh) {
                    body.extend_from_slice(record);
                }
            }
            encode(key, known, today, &mut body);
        }
        for record in old.filter(|record| keep(record, fresh)) {
            body.extend_from_slice(record);
        }
        body.truncate(RECORDS_MAX * RECORD_BYTES);
        replace(path, &body)
    }
}

/// Whether a file with this stamp was quiet when a read began: a later write would have given it another stamp.
pub(super) fn is_quiet(stamp: &Stamp, read_began: SystemTime) -> bool {
    let tick = if stamp.mtime.nanoseconds == 0 && stamp.ctime.nanoseconds == 0 { COARSE_TICK } else { TICK };
    let newest = stamp.mtime.max(stamp.ctime);
    let Ok(since) = read_began.duration_since(UNIX_EPOCH) else { return false };
    let Some(before) = since.checked_sub(tick) else { return false };
    let limit =
        Mtime { seconds: i64::try_from(before.as_secs()).unwrap_or(i64::MAX), nanoseconds: before.subsec_nanos() };
    newest < limit
}

fn replace(path: &Path, body: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary: PathBuf = path.with_file_name(name);
    let write = || {
        if let Some(dir) = path.parent() {
            fs_err::create_dir_all(dir)?;
        }
        let mut file = fs_err::File::create(&temporary)?;
        file.write_all(MAGIC)?;
        file.write_all(blake3::hash(body).as_bytes())?;
        file.write_all(body)?;
        fs_err::rename(&temporary, path)
    };
    let result = write();
    if result.is_err() {
        _ = fs_err::remove_file(&temporary);
    }
    result
}

fn today() -> u32 {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    u32::try_from(days).unwrap_or(u32::MAX)
}

fn encode(key: &Key, known: &Known, day: u32, out: &mut Vec<u8>) {
    let stamp = &known.stamp;
    out.extend_from_slice(key);
    out.extend_from_slice(&stamp.size_bytes.to_le_bytes());
    for time in [stamp.mtime, stamp.ctime] {
        out.extend_from_slice(&time.seconds.to_le_bytes());
        out.extend_from_slice(&time.nanoseconds.to_le_bytes());
    }
    out.extend_from_slice(&stamp.inode.to_le_bytes());
    out.extend_from_slice(&day.to_le_bytes());
    out.extend_from_slice(&known.sha256);
    out.extend_from_slice(&[0; 4]);
}

fn decode(record: &[u8]) -> Known {
    let mut at = 16;
    let mut take = |count: usize| {
        let mut bytes = [0; 8];
        bytes[..count].copy_from_slice(&record[at..at + count]);
        at += count;
        u64::from_le_bytes(bytes)
    };
    let size_bytes = take(8);
    let mut time = || Mtime { seconds: take(8).cast_signed(), nanoseconds: u32::try_from(take(4)).unwrap_or(0) };
    let (mtime, ctime) = (time(), time());
    let inode = take(8);
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(&record[60..92]);
    Known { stamp: Stamp { size_bytes, mtime, ctime, inode }, sha256 }
}

fn day_of(record: &[u8]) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&record[56..60]);
    u32::from_le_bytes(bytes)
}
