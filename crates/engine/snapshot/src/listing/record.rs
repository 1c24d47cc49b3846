//! In: entries of a new layer and their bytes. Out: the tar, and its listing and diffID without reading it again. Never: a file read twice.

use std::io::{self, Read, Write};

use crossdock_oci::Hasher;

use super::builder::{ListingBuilder, is_inline};
use super::scan::{Hashed, Scan};
use super::{INLINE_BYTES_MAX, ListingError};
use crate::entry::Entry;
use crate::path::RootedPath;
use crate::tar::{TarEntry, TarError, Writer};

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a layer and lists it at the same time.
pub struct ListedWriter<W: Write> {
    writer: Writer<Hashed<W>>,
    builder: ListingBuilder,
}

impl<W: Write> ListedWriter<W> {
    /// A layer that goes to `sink`.
    pub fn new(sink: W) -> Self {
        Self { writer: Writer::new(Hashed::new(sink)), builder: ListingBuilder::new() }
    }

    /// An entry with its bytes; returns their sha256 for a regular file. `data` is ignored for everything else.
    ///
    /// # Errors
    /// As `tar::Writer::append` and [`ListingBuilder::push`].
    pub fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<Option<[u8; 32]>, ListingError> {
        if !entry.is_file() {
            self.writer.append_header(entry)?;
            self.push(TarEntry::Entry(entry.clone()), None, None)?;
            return Ok(None);
        }
        let inline = is_inline(&entry.path) && entry.size_bytes() <= INLINE_BYTES_MAX;
        let mut tee = Tee { data, hasher: Hasher::new(), kept: inline.then(Vec::new) };
        let before = self.writer.append_file(entry, &mut tee)?;
        let digest = tee.hasher.finish_raw();
        let kept = tee.kept;
        self.push(TarEntry::Entry(entry.clone()), Some(digest), Some(before))?;
        if let Some(kept) = kept {
            self.builder.keep_inline(&entry.path, kept);
        }
        Ok(Some(digest))
    }

    /// Hides a path of lower layers.
    ///
    /// # Errors
    /// As `tar::Writer::whiteout`.
    pub fn whiteout(&mut self, path: &RootedPath) -> Result<(), ListingError> {
        self.writer.whiteout(path)?;
        self.push(TarEntry::Whiteout { path: path.clone() }, None, None)
    }

    /// Hides everything lower layers have in a directory.
    ///
    /// # Errors
    /// As `tar::Writer::opaque`.
    pub fn opaque(&mut self, dir: &RootedPath) -> Result<(), ListingError> {
        self.writer.opaque(dir)?;
        self.push(TarEntry::Opaque { dir: dir.clone() }, None, None)
    }

    /// Ends the archive; hands the sink back with what is known about the layer.
    ///
    /// # Errors
    /// As `tar::Writer::finish`.
    pub fn finish(self) -> Result<(W, Scan), TarError> {
        let hashed = self.writer.finish()?;
        let scan =
            Scan { listing: self.builder.finish(), diff_id: hashed.hasher.finish_diff(), size_bytes: hashed.bytes };
        Ok((hashed.inner, scan))
    }

    /// Layers hold whole seconds; the listing says what the tar says.
    fn push(
        &mut self,
        mut member: TarEntry,
        content: Option<[u8; 32]>,
        data_offset: Option<u64>,
    ) -> Result<(), ListingError> {
        if let TarEntry::Entry(entry) = &mut member {
            entry.mtime = entry.mtime.whole_seconds();
        }
        self.builder.push(member, content, data_offset)
    }
}

struct Tee<'a> {
    data: &'a mut dyn Read,
    hasher: Hasher,
    kept: Option<Vec<u8>>,
}

impl Read for Tee<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.data.read(out)?;
        self.hasher.update(&out[..count]);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(&out[..count]);
        }
        Ok(count)
    }
}
