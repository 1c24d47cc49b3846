//! In: a layer plan. Out: the layer's tar, its diffID. Never: bytes that differ from what the plan promised.

use std::io::{self, Read, Write};

use crossdock_oci::DiffId;
use crossdock_oci::digest::Hasher;
use crossdock_snapshot::tar::{TarError, Writer};
use crossdock_snapshot::{Entry, RootedPath};
use sha2::{Digest as _, Sha256};

use super::content::Content;
use super::error::FileError;
use super::layer::{Item, LayerPlan};

const BUFFER_BYTES: usize = 256 << 10;

/// A layer that was written.
#[derive(Debug)]
pub struct Written {
    /// The sha256 of the tar.
    pub diff_id: DiffId,
    /// The length of the tar.
    pub size_bytes: u64,
}

/// Streams the layer to `out`. Equal plans give equal bytes.
///
/// # Errors
/// `SourceChanged` when a file has no longer the bytes its digest promised: plan again and try again; `Read`, `Layer`.
pub fn write(plan: &LayerPlan, out: &mut dyn Write) -> Result<Written, FileError> {
    let mut tar = Writer::new(Hashing { out, hasher: Hasher::new() });
    let mut buffer = vec![0; BUFFER_BYTES];
    for item in &plan.items {
        match item {
            Item::Whiteout(path) => tar.whiteout(path).map_err(layer)?,
            Item::Entry(entry, content, _) => {
                tar.append_header(entry).map_err(layer)?;
                if let Some(content) = content {
                    copy(&mut tar, entry, content, &mut buffer)?;
                }
            }
        }
    }
    let size_bytes = tar.offset_bytes();
    let hashing = tar.finish().map_err(layer)?;
    Ok(Written { diff_id: hashing.hasher.finish_diff(), size_bytes })
}

fn copy<W: Write>(tar: &mut Writer<W>, entry: &Entry, content: &Content, buffer: &mut [u8]) -> Result<(), FileError> {
    let path = content.source_path(&entry.path);
    let mut reader = content.open()?;
    let mut hasher = Sha256::new();
    let mut left = content.size_bytes;
    loop {
        let count = read(&mut reader, buffer, &path)?;
        if count as u64 > left || (count == 0 && left > 0) {
            return Err(FileError::SourceChanged { path });
        }
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        tar.write_data(&buffer[..count]).map_err(layer)?;
        left -= count as u64;
    }
    if hasher.finalize().as_slice() == content.sha256 { Ok(()) } else { Err(FileError::SourceChanged { path }) }
}

fn read(reader: &mut dyn Read, buffer: &mut [u8], path: &RootedPath) -> Result<usize, FileError> {
    loop {
        match reader.read(buffer) {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(FileError::Read { path: path.clone(), source }),
        }
    }
}

fn layer(source: TarError) -> FileError {
    FileError::Layer { source }
}

/// Hashes the tar on its way out.
struct Hashing<'a> {
    out: &'a mut dyn Write,
    hasher: Hasher,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
