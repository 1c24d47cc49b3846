//! In: files of the context. Out: their sha256, from the index or from reading once. Never: the digest of a file that was written to meanwhile.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use crossdock_snapshot::{RootedPath, TreeError};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::ContextTree;
use super::error::{ContextError, changed, read_error};
use super::index::{self, Known};
use super::record::{Kind, Record, Stamp};

const BUFFER_BYTES: usize = 256 << 10;
/// The sha256 of nothing.
const EMPTY: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Where a record is.
pub(super) struct Found<'a> {
    pub dir: usize,
    pub at: usize,
    pub record: &'a Record,
}

impl ContextTree {
    /// Reads every file whose digest is not known, on all threads. Files asked for later are then answered at once.
    ///
    /// # Errors
    /// Of the first file, in path order, that cannot be read.
    pub fn hash_all(&self) -> Result<(), TreeError> {
        let cold: Vec<(RootedPath, &Record)> =
            self.files().filter(|(_, record)| record.digest.get().is_none()).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut failed = Vec::new();
            while let Some((path, record)) = cold.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.digest(path, record) {
                    failed.push((path.clone(), error));
                    break;
                }
            }
            failed
        };
        let threads = self.threads.min(cold.len());
        let mut failed = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut failed = work();
            for other in others {
                failed.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            failed
        });
        failed.sort_by(|left, right| left.0.cmp(&right.0));
        failed.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Bytes of files read because their digest was not known: what a client would have had to transfer.
    pub fn transferred_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// Remembers the digests for the next build. Does nothing when no file was read or there is no index.
    ///
    /// # Errors
    /// `Index`; the build is not harmed.
    pub fn save_index(&self) -> Result<(), ContextError> {
        let Some(path) = &self.index_path else { return Ok(()) };
        if self.transferred_bytes() == 0 {
            return Ok(());
        }
        let mut fresh = BTreeMap::new();
        for (file, record) in self.files() {
            if let Some(sha256) = record.digest.get()
                && record.stamp.size_bytes > 0
                && index::is_quiet(&record.stamp, self.walked_at)
            {
                fresh.insert(index::key(file.as_bytes()), Known { stamp: record.stamp, sha256: *sha256 });
            }
        }
        self.index.save(path, &fresh).map_err(|source| ContextError::Index { path: path.clone(), source })
    }

    /// Fills in the digests that earlier builds knew.
    pub(super) fn recall(&self) {
        for (path, record) in self.files() {
            let known = match record.stamp.size_bytes {
                0 => Some(EMPTY),
                _ => self.index.find(&index::key(path.as_bytes()), &record.stamp),
            };
            if let Some(sha256) = known {
                _ = record.digest.set(sha256);
            }
        }
    }

    /// The digest of a file; reads it when nobody has.
    pub(super) fn digest(&self, path: &RootedPath, record: &Record) -> Result<[u8; 32], TreeError> {
        if record.kind == Kind::Socket {
            return Ok(EMPTY);
        }
        if let Some(sha256) = record.digest.get() {
            return Ok(*sha256);
        }
        let mut file = self.open_file(path)?;
        let mut hasher = Sha256::new();
        let mut buffer =
            vec![0; BUFFER_BYTES.min(usize::try_from(record.stamp.size_bytes).unwrap_or(BUFFER_BYTES) + 1)];
        let mut total = 0_u64;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    total += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(path, error)),
            }
        }
        let after = stamp_of(file.file()).map_err(|errno| read_error(path, errno.into()))?;
        if after != record.stamp || total != record.stamp.size_bytes {
            return Err(read_error(path, changed()));
        }
        let sha256: [u8; 32] = hasher.finalize().into();
        if record.digest.set(sha256).is_ok() {
            self.read_bytes.fetch_add(total, Ordering::Relaxed);
        }
        Ok(sha256)
    }

    /// Opens a file without following a link anywhere on its way.
    pub(super) fn open_file(&self, path: &RootedPath) -> Result<fs_err::File, TreeError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = match rustix::fs::openat2(&self.root, path.as_path(), flags, Mode::empty(), within) {
            // Kernels before 5.6, and sandboxes that refuse the call.
            Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(&self.root, path.as_path(), flags, Mode::empty()),
            other => other,
        };
        match opened {
            Ok(fd) => Ok(fs_err::File::from_parts(fd.into(), path.below(&self.root_path))),
            // It was there when the context was walked.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(read_error(path, changed())),
            Err(errno) => Err(read_error(path, errno.into())),
        }
    }

    fn files(&self) -> impl Iterator<Item = (RootedPath, &Record)> {
        self.walked.dirs.iter().flat_map(|dir| {
            let files = dir.records.iter().filter(|record| record.kind == Kind::File);
            files.filter_map(|record| Some((dir.path.join(&record.name).ok()?, record)))
        })
    }
}

fn stamp_of(file: impl AsFd) -> Result<Stamp, Errno> {
    let empty: &[u8] = b"";
    let stat = rustix::fs::statx(file, empty, AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    Ok(Stamp::of(&stat))
}
