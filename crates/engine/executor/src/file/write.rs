//! In: a layer plan. Out: the layer's tar, its diffID and its listing, in one pass. Never: bytes that differ from what the plan promised.
//!
//! Two threads share the work: this one reads files, hashes each and forms the tar; the other hashes the tar and
//! hands it to the sink. The bytes are those of one thread.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crossdock_oci::{DiffId, Hasher};
use crossdock_snapshot::listing::{INLINE_BYTES_MAX, INLINE_PATHS, Listing, ListingBuilder, ListingError};
use crossdock_snapshot::tar::{TarEntry, TarError, Writer};
use crossdock_snapshot::{Entry, TreeError};

use super::content::Content;
use super::error::FileError;
use super::layer::{Item, LayerPlan};

/// Pieces of the tar between the two threads: 2 MiB, as the tar writer makes pieces of 256 KiB.
const PIECES_MAX: usize = 8;
/// Bytes read from a file at a time.
const READ_BYTES: usize = 256 << 10;

/// A layer that was written.
#[derive(Debug)]
pub struct Written {
    /// The sha256 of the tar.
    pub diff_id: DiffId,
    /// The length of the tar.
    pub size_bytes: u64,
    /// Everything about the layer but the bytes of its files.
    pub listing: Listing,
}

/// Streams the layer to `out`. Equal plans give equal bytes.
///
/// # Errors
/// `SourceChanged` when a file has no longer the bytes its digest promised: plan again and try again; `Read`, `Layer`.
pub fn write(plan: &LayerPlan, out: &mut (dyn Write + Send)) -> Result<Written, FileError> {
    let (full, pieces) = sync_channel(PIECES_MAX);
    let (spent, empty) = sync_channel(PIECES_MAX);
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || hash_and_send(&pieces, &spent, out));
        // The pipe is gone when this returns: the other thread ends then.
        let formed = form(plan, Pipe { full, empty, made: 0 });
        let sent = sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A sink that failed is why the pipe broke.
        let (diff_id, size_bytes) = sent.map_err(|source| layer_error(TarError::Write { source }.into()))?;
        Ok(Written { diff_id, size_bytes, listing: formed? })
    })
}

/// The end of the pipe on which the tar is formed.
struct Pipe {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    /// Buffers that exist.
    made: usize,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let mut piece = match self.empty.try_recv() {
            Ok(piece) => piece,
            Err(_) if self.made < PIECES_MAX => {
                self.made += 1;
                Vec::with_capacity(bytes.len())
            }
            Err(_) => self.empty.recv().map_err(|_| broken())?,
        };
        piece.clear();
        piece.extend_from_slice(bytes);
        self.full.send(piece).map_err(|_| broken())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hash_and_send(
    pieces: &Receiver<Vec<u8>>,
    spent: &SyncSender<Vec<u8>>,
    out: &mut (dyn Write + Send),
) -> io::Result<(DiffId, u64)> {
    let (mut hasher, mut size_bytes) = (Hasher::new(), 0_u64);
    while let Ok(piece) = pieces.recv() {
        out.write_all(&piece)?;
        hasher.update(&piece);
        size_bytes += piece.len() as u64;
        // Nobody wants it back when the last piece was made.
        let _ = spent.send(piece);
    }
    Ok((hasher.finish_diff(), size_bytes))
}

fn form(plan: &LayerPlan, sink: Pipe) -> Result<Listing, FileError> {
    let mut layer = Forming { writer: Writer::new(sink), listing: ListingBuilder::new(), buffer: vec![0; READ_BYTES] };
    for item in &plan.items {
        match item {
            Item::Whiteout(path) => {
                layer.writer.whiteout(path).map_err(tar_error)?;
                layer.list(TarEntry::Whiteout { path: path.clone() }, None, None)?;
            }
            Item::Entry(entry, Some(content), _) => layer.file(entry, content)?,
            Item::Entry(entry, None, _) if entry.is_file() => layer.data(entry, &mut io::empty()).map(drop)?,
            Item::Entry(entry, None, _) => {
                layer.writer.append_header(entry).map_err(tar_error)?;
                layer.list(TarEntry::Entry(Entry::clone(entry)), None, None)?;
            }
        }
    }
    layer.writer.finish().map_err(tar_error)?;
    Ok(layer.listing.finish())
}

/// A layer of which some entries are in the tar.
struct Forming {
    writer: Writer<Pipe>,
    listing: ListingBuilder,
    buffer: Vec<u8>,
}

impl Forming {
    /// A file whose bytes must be those the plan saw.
    fn file(&mut self, entry: &Entry, content: &Content) -> Result<(), FileError> {
        let path = content.source_path(&entry.path);
        let mut reader = match content.open() {
            Ok(reader) => reader,
            // The tree promised this file when the plan was made.
            Err(TreeError::NotFound { .. } | TreeError::NotAFile { .. }) => {
                return Err(FileError::SourceChanged { path });
            }
            Err(error) => return Err(error.into()),
        };
        match self.data(entry, &mut reader) {
            Ok(sha256) if sha256 == content.sha256 => Ok(()),
            Ok(_) | Err(FileError::Layer { source: ListingError::Tar(TarError::DataSize { .. }) }) => {
                Err(FileError::SourceChanged { path })
            }
            Err(FileError::Layer { source: ListingError::Tar(TarError::Data { source, .. }) }) => {
                Err(FileError::Read { path, source })
            }
            Err(error) => Err(error),
        }
    }

    /// A file's header and bytes; returns the sha256 of the bytes.
    fn data(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<[u8; 32], FileError> {
        let data_offset = self.writer.append_header(entry).map_err(tar_error)?;
        let inline = entry.size_bytes() <= INLINE_BYTES_MAX
            && INLINE_PATHS.iter().any(|path| path.as_bytes() == entry.path.as_bytes());
        let (mut hasher, mut kept, mut got) = (Hasher::new(), Vec::new(), 0_u64);
        loop {
            let count = match data.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(tar_error(TarError::Data { path: entry.path.clone(), source })),
            };
            let bytes = &self.buffer[..count];
            self.writer.write_data(bytes).map_err(tar_error)?;
            hasher.update(bytes);
            got += count as u64;
            if inline {
                kept.extend_from_slice(bytes);
            }
        }
        if got < entry.size_bytes() {
            return Err(tar_error(TarError::DataSize { path: entry.path.clone(), want: entry.size_bytes(), got }));
        }
        let sha256 = hasher.finish_raw();
        self.list(TarEntry::Entry(entry.clone()), Some(sha256), Some(data_offset))?;
        if inline {
            self.listing.keep_inline(&entry.path, kept);
        }
        Ok(sha256)
    }

    /// Layers hold whole seconds; the listing says what the tar says.
    fn list(
        &mut self,
        mut member: TarEntry,
        sha256: Option<[u8; 32]>,
        data_offset: Option<u64>,
    ) -> Result<(), FileError> {
        if let TarEntry::Entry(entry) = &mut member {
            entry.mtime = entry.mtime.whole_seconds();
        }
        self.listing.push(member, sha256, data_offset).map_err(layer_error)
    }
}

fn tar_error(source: TarError) -> FileError {
    layer_error(source.into())
}

fn layer_error(source: ListingError) -> FileError {
    FileError::Layer { source }
}
