//! In: a tar stream. Out: a layer blob in the store: its descriptor facts, the diffID, the uncompressed size. Never: bytes that depend on the number of threads or on what was compressed before.
//!
//! One thread reads, hashes and cuts; workers compress chunks (or find them in the chunk memory); the caller's thread
//! writes them in order. At most a few chunks are in memory at a time, whatever the size of the layer.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crossdock_content::{Lease, Store};
use crossdock_oci::media_type::Compression;
use crossdock_oci::{BlobDigest, DiffId, Hasher};

use crate::ImageError;
use crate::chunk::Cutter;
use crate::memory::{ChunkKey, ChunkMemory, Remembered};

/// Names the bytes a compressor makes: change it whenever they change, so that stored layers are not confused.
pub const FORMAT_VERSION: u32 = 1;
/// The gzip level when none is asked for.
pub const GZIP_LEVEL_DEFAULT: i32 = 6;
/// The zstd level when none is asked for.
pub const ZSTD_LEVEL_DEFAULT: i32 = 3;

/// How a layer is to be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method {
    pub compression: Compression,
    pub level: i32,
}

impl Method {
    /// A compression with its level, or the default one.
    ///
    /// # Errors
    /// When the level is outside 0–9 for gzip or 0–22 for zstd (spec/engine.md §4).
    pub fn new(compression: Compression, level: Option<i32>) -> Result<Self, ImageError> {
        let (default, max) = match compression {
            Compression::Uncompressed => (0, i32::MAX),
            Compression::Gzip => (GZIP_LEVEL_DEFAULT, 9),
            Compression::Zstd => (ZSTD_LEVEL_DEFAULT, 22),
        };
        let level = level.unwrap_or(default);
        if !(0..=max).contains(&level) {
            return Err(ImageError::CompressionLevel { compression, level, max });
        }
        let level = if compression == Compression::Uncompressed { 0 } else { level };
        Ok(Self { compression, level })
    }

    /// The name of the bytes this method makes, for the key of a stored layer and of a chunk.
    pub fn id(self) -> String {
        match self.compression {
            Compression::Uncompressed => "tar".to_owned(),
            Compression::Gzip => format!("gzip-{}-libdeflate-{FORMAT_VERSION}", self.level),
            Compression::Zstd => format!("zstd-{}-zstd-{FORMAT_VERSION}", self.level),
        }
    }

    fn compress(self, chunk: &[u8]) -> Result<Vec<u8>, ImageError> {
        match self.compression {
            Compression::Uncompressed => Ok(chunk.to_vec()),
            Compression::Gzip => {
                let level = libdeflater::CompressionLvl::new(self.level).expect("the level was checked");
                let mut compressor = libdeflater::Compressor::new(level);
                let mut out = vec![0; compressor.gzip_compress_bound(chunk.len())];
                let used = compressor
                    .gzip_compress(chunk, &mut out)
                    .map_err(|_| ImageError::Compress { source: io::Error::other("the gzip buffer was too small") })?;
                out.truncate(used);
                Ok(out)
            }
            Compression::Zstd => {
                zstd::bulk::compress(chunk, self.level).map_err(|source| ImageError::Compress { source })
            }
        }
    }
}

/// A layer as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLayer {
    pub digest: BlobDigest,
    /// Bytes of the blob.
    pub size: u64,
    pub diff_id: DiffId,
    /// Bytes of the tar.
    pub uncompressed_size: u64,
}

struct Job {
    number: u64,
    chunk: Vec<u8>,
}

struct Done {
    number: u64,
    key: ChunkKey,
    bytes: Result<Vec<u8>, ImageError>,
    /// The bytes came from memory and need not be remembered again.
    remembered: bool,
}

/// Compresses a tar stream into the store.
///
/// # Errors
/// Those of the stream, the store and the compressor.
pub fn compress_layer(
    store: &Store,
    lease: &Lease,
    tar: &mut (dyn Read + Send),
    method: Method,
    threads: usize,
) -> Result<StoredLayer, ImageError> {
    let memory = ChunkMemory::new(store);
    let mut ingest = store.ingest(lease)?;
    let threads = threads.max(1);
    let (jobs, job_queue) = sync_channel::<Job>(threads);
    let (results, result_queue) = sync_channel::<Done>(threads);
    let job_queue = Arc::new(Mutex::new(job_queue));
    let (diff_id, uncompressed_size, remembered) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || cut_and_hash(tar, &jobs));
        for _ in 0..threads {
            let (job_queue, results, memory) = (Arc::clone(&job_queue), results.clone(), &memory);
            scope.spawn(move || work(&job_queue, &results, memory, method));
        }
        drop(results);
        drop(job_queue);
        let remembered = write_in_order(&result_queue, &mut ingest);
        // When writing failed, the receiver must go first: the workers and the reader end by the closed channels.
        drop(result_queue);
        let read = reader.join().unwrap_or_else(|_| {
            Err(ImageError::Compress { source: io::Error::other("the reader of the layer stopped") })
        });
        let remembered = remembered?;
        let (diff_id, size) = read?;
        Ok::<_, ImageError>((diff_id, size, remembered))
    })?;
    let (digest, size) = ingest.commit()?;
    if method.compression != Compression::Uncompressed {
        memory.remember(digest, &remembered)?;
    }
    Ok(StoredLayer { digest, size, diff_id, uncompressed_size })
}

fn cut_and_hash(tar: &mut (dyn Read + Send), jobs: &SyncSender<Job>) -> Result<(DiffId, u64), ImageError> {
    let mut cutter = Cutter::new(tar);
    let (mut hasher, mut size, mut number) = (Hasher::new(), 0_u64, 0_u64);
    while let Some(chunk) = cutter.next_chunk().map_err(|source| ImageError::ReadTar { source })? {
        hasher.update(&chunk);
        size += chunk.len() as u64;
        if jobs.send(Job { number, chunk }).is_err() {
            break; // The writer failed; its error is the one that is reported.
        }
        number += 1;
    }
    Ok((hasher.finish_diff(), size))
}

fn work(jobs: &Mutex<Receiver<Job>>, results: &SyncSender<Done>, memory: &ChunkMemory, method: Method) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { number, chunk }) = job else { return };
        let key = ChunkKey::of(&chunk, method);
        let found = if method.compression == Compression::Uncompressed { None } else { memory.find(&key) };
        let remembered = found.is_some();
        let bytes = found.map_or_else(
            || if method.compression == Compression::Uncompressed { Ok(chunk) } else { method.compress(&chunk) },
            Ok,
        );
        if results.send(Done { number, key, bytes, remembered }).is_err() {
            return;
        }
    }
}

fn write_in_order(results: &Receiver<Done>, out: &mut impl Write) -> Result<Vec<Remembered>, ImageError> {
    let mut waiting: BTreeMap<u64, Done> = BTreeMap::new();
    let (mut next, mut offset) = (0_u64, 0_u64);
    let mut remembered = Vec::new();
    while let Ok(done) = results.recv() {
        waiting.insert(done.number, done);
        while let Some(done) = waiting.remove(&next) {
            let bytes = done.bytes?;
            out.write_all(&bytes).map_err(|source| ImageError::WriteLayer { source })?;
            if !done.remembered {
                let check = blake3::hash(&bytes).to_hex().to_string();
                remembered.push(Remembered { key: done.key, offset, length: bytes.len() as u64, check });
            }
            offset += bytes.len() as u64;
            next += 1;
        }
    }
    Ok(remembered)
}
