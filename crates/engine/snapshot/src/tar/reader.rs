//! In: a stream that may be hostile. Out: one member after the other, with its data in pieces of a fixed buffer. Never: a seek, a panic, a name that leaves the root.

use std::io::{self, Read};

use super::header::{BLOCK_BYTES, Block, Header};
use super::names::{marker, member_name, owner, until_nul};
use super::pax::Overrides;
use super::sparse::{self, DecimalMap, Segment};
use super::{Chunk, ENTRIES_MAX, HOLE_BYTES_MAX, PAX_BYTES_MAX, TarEntry, TarError, TarItem};
use crate::entry::{Entry, EntryKind, Mtime};
use crate::path::{RootedPath, lossy};

const BUFFER_BYTES: usize = 256 << 10;

/// Reads v7, ustar, star, GNU and PAX archives.
///
/// After an error the archive is unusable; the same or another error comes back.
pub struct Reader<R: Read> {
    inner: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Offset of `buffer[start]` in the archive.
    offset: u64,
    data: Data,
    /// Zero bytes of a hole still to be handed out by `Read`.
    pending_hole: u64,
    headers: u64,
    hole_bytes: u64,
    whiteouts: bool,
    done: bool,
}

/// What is left of the current member.
#[derive(Default)]
struct Data {
    path: Vec<u8>,
    /// Stored bytes not yet handed out, without padding.
    stored: u64,
    padding: u64,
    sparse: Option<Sparse>,
}

struct Sparse {
    segments: Vec<Segment>,
    next: usize,
    /// Where we are in the file.
    position: u64,
    size_bytes: u64,
}

impl<R: Read> Reader<R> {
    /// An archive whose whiteouts mean something: a layer.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            offset: 0,
            data: Data::default(),
            pending_hole: 0,
            headers: 0,
            hole_bytes: 0,
            whiteouts: true,
            done: false,
        }
    }

    /// An archive of a user (ADD): names that begin with `.wh.` are ordinary files.
    pub fn plain(inner: R) -> Self {
        Self { whiteouts: false, ..Self::new(inner) }
    }

    /// The stream itself; what was read from it may not be handed out yet.
    pub(crate) fn stream_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Where the next unread byte is in the uncompressed archive.
    pub fn offset_bytes(&self) -> u64 {
        self.offset
    }

    /// The next member; unread data of the one before is skipped. None at the end of the archive.
    ///
    /// # Errors
    /// Anything but `Write`, `DataSize`, `Data` and `Unstorable`.
    pub fn next_item(&mut self) -> Result<Option<TarItem>, TarError> {
        self.pending_hole = 0;
        let mut overrides = Overrides::default();
        loop {
            self.skip_rest()?;
            if self.done {
                return Ok(None);
            }
            let at = self.offset;
            let Some(block) = self.next_header_block()? else {
                self.done = true;
                return Ok(None);
            };
            let header = Header::parse(&block, at)?;
            match header.type_flag() {
                b'x' | b'X' => {
                    let records = self.read_payload(&header, at)?;
                    overrides.parse(&records, at)?;
                }
                b'L' => overrides.path = Some(until_nul(self.read_payload(&header, at)?)),
                b'K' => overrides.link_path = Some(until_nul(self.read_payload(&header, at)?)),
                // Global records and volume labels describe the archive, not a file.
                b'g' | b'V' => self.begin_data(header.size_bytes()?, &header)?,
                _ => {
                    if let Some(item) = self.open_member(&header, std::mem::take(&mut overrides), at)? {
                        return Ok(Some(item));
                    }
                }
            }
        }
    }

    /// The next piece of the current member's data; none at its end.
    ///
    /// # Errors
    /// `Read`, `Truncated`.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, TarError> {
        let mut limit = self.data.stored;
        if let Some(sparse) = &mut self.data.sparse {
            while sparse
                .segments
                .get(sparse.next)
                .is_some_and(|segment| segment.offset + segment.length <= sparse.position)
            {
                sparse.next += 1;
            }
            let data_at = sparse.segments.get(sparse.next).map_or(sparse.size_bytes, |segment| segment.offset);
            if data_at > sparse.position {
                let hole = data_at - sparse.position;
                sparse.position = data_at;
                return Ok(Some(Chunk::Hole(hole)));
            }
            limit =
                sparse.segments.get(sparse.next).map_or(0, |segment| segment.offset + segment.length - sparse.position);
        }
        if limit == 0 {
            return Ok(None);
        }
        if self.start == self.end && self.refill()? == 0 {
            return Err(self.truncated());
        }
        let count = usize::try_from(limit).unwrap_or(usize::MAX).min(self.end - self.start);
        self.data.stored -= count as u64;
        if let Some(sparse) = &mut self.data.sparse {
            sparse.position += count as u64;
        }
        let from = self.start;
        self.consume(count);
        Ok(Some(Chunk::Bytes(&self.buffer[from..from + count])))
    }

    /// Reads to the end of the stream, also what stands behind the end of the archive (Go and GNU tar ignore it, but a digest covers it), and hands
    /// the stream back.
    ///
    /// # Errors
    /// As `next_item`.
    pub fn finish(mut self) -> Result<R, TarError> {
        while self.next_item()?.is_some() {}
        loop {
            self.consume(self.end - self.start);
            if self.refill()? == 0 {
                return Ok(self.inner);
            }
        }
    }

    /// The next header; none at the end. One zero block and the end of the stream, or no zero block at all, are accepted as ends.
    fn next_header_block(&mut self) -> Result<Option<Block>, TarError> {
        let Some(block) = self.read_block()? else {
            return Ok(None);
        };
        self.headers += 1;
        if self.headers > ENTRIES_MAX {
            return Err(TarError::Limit { offset: self.offset, what: "number of entries", limit: ENTRIES_MAX });
        }
        if block.iter().any(|&byte| byte != 0) {
            return Ok(Some(block));
        }
        let offset = self.offset;
        match self.read_block()? {
            Some(second) if second.iter().any(|&byte| byte != 0) => {
                Err(TarError::Header { offset, reason: "a single zero block stands between entries" })
            }
            _ => Ok(None),
        }
    }

    /// The whole payload of an extended or long-name header.
    fn read_payload(&mut self, header: &Header<'_>, at: u64) -> Result<Vec<u8>, TarError> {
        let size = header.size_bytes()?;
        if size > PAX_BYTES_MAX {
            return Err(TarError::Limit { offset: at, what: "size of an extended header", limit: PAX_BYTES_MAX });
        }
        self.begin_data(size, header)?;
        let mut payload = Vec::with_capacity(size.min(4096) as usize);
        while let Some(Chunk::Bytes(bytes)) = self.next_chunk()? {
            payload.extend_from_slice(bytes);
        }
        Ok(payload)
    }

    /// Builds the item; none when it is bookkeeping to be skipped.
    fn open_member(
        &mut self,
        header: &Header<'_>,
        mut overrides: Overrides,
        at: u64,
    ) -> Result<Option<TarItem>, TarError> {
        let flag = header.type_flag();
        let mut size = match overrides.size_bytes {
            Some(size) => size,
            None => header.size_bytes()?,
        };
        if matches!(flag, b'1'..=b'6') {
            size = 0;
        }
        self.begin_data(size, header)?;
        let raw_path = member_name(header, &mut overrides);
        let in_tar = |source| TarError::Path { offset: at, source };
        let path = RootedPath::parse(&raw_path).map_err(in_tar)?;
        self.data.path.clone_from(&raw_path);
        let file_size = self.open_sparse(header, &mut overrides, size)?;
        if self.whiteouts
            && let Some(marker) = marker(&path).map_err(|reason| header.error(reason))?
        {
            return Ok(marker.map(|entry| TarItem { entry, data_offset: None }));
        }
        let link = || overrides.link_path.as_deref().unwrap_or_else(|| header.link_name());
        let kind = match flag {
            // Before POSIX a directory was a file whose name ends with a slash.
            0 if raw_path.ends_with(b"/") => EntryKind::Dir,
            0 | b'0' | b'7' | b'S' => EntryKind::File { size_bytes: file_size },
            b'1' => EntryKind::HardLink { target: RootedPath::parse(link()).map_err(in_tar)? },
            b'2' if link().contains(&0) => return Err(header.error("target of a symlink holds a NUL byte")),
            b'2' => EntryKind::Symlink { target: link().to_vec() },
            b'3' => header.device().map(|(major, minor)| EntryKind::CharDevice { major, minor })?,
            b'4' => header.device().map(|(major, minor)| EntryKind::BlockDevice { major, minor })?,
            b'5' => EntryKind::Dir,
            b'6' => EntryKind::Fifo,
            _ => return Err(header.error("type of the entry is unknown")),
        };
        let has_data = matches!(kind, EntryKind::File { .. }) && self.data.sparse.is_none();
        let data_offset = has_data.then_some(self.offset);
        let entry = Entry {
            path,
            kind,
            mode: header.mode()?,
            uid: owner(header, overrides.uid, header.uid())?,
            gid: owner(header, overrides.gid, header.gid())?,
            mtime: match overrides.mtime {
                Some(mtime) => mtime,
                None => Mtime::from_seconds(header.mtime_seconds()?),
            },
            xattrs: overrides.xattrs,
        };
        Ok(Some(TarItem { entry: TarEntry::Entry(entry), data_offset }))
    }

    /// Reads the sparse map, if there is one; returns the size of the file.
    fn open_sparse(&mut self, header: &Header<'_>, overrides: &mut Overrides, size: u64) -> Result<u64, TarError> {
        let mut records = std::mem::take(&mut overrides.sparse);
        let mut segments = std::mem::take(&mut records.segments);
        let real_size = if header.type_flag() == b'S' {
            segments.clear();
            self.read_old_gnu_map(header, &mut segments)?
        } else if records.present && matches!(header.type_flag(), 0 | b'0' | b'7') {
            if records.version == (Some(1), Some(0)) {
                segments = self.read_decimal_map()?;
            }
            let Some(real_size) = records.real_size_bytes else {
                return Err(self.sparse_error("the size of the file is missing"));
            };
            real_size
        } else {
            return Ok(size);
        };
        if i64::try_from(real_size).is_err() {
            return Err(self.sparse_error("the size of the file is too large"));
        }
        sparse::validate(&segments, real_size, self.data.stored).map_err(|reason| self.sparse_error(reason))?;
        self.hole_bytes = self.hole_bytes.saturating_add(real_size - self.data.stored);
        if self.hole_bytes > HOLE_BYTES_MAX {
            return Err(TarError::Limit {
                offset: self.offset,
                what: "total size of the holes of sparse files",
                limit: HOLE_BYTES_MAX,
            });
        }
        self.data.sparse = Some(Sparse { segments, next: 0, position: 0, size_bytes: real_size });
        Ok(real_size)
    }

    fn read_old_gnu_map(&mut self, header: &Header<'_>, segments: &mut Vec<Segment>) -> Result<u64, TarError> {
        let (real_size, mut more) = sparse::old_gnu_first(header, segments)?;
        while more {
            let at = self.offset;
            let Some(block) = self.read_block()? else {
                return Err(self.truncated());
            };
            more = sparse::old_gnu_next(&block, at, segments)?;
        }
        Ok(real_size)
    }

    fn read_decimal_map(&mut self) -> Result<Vec<Segment>, TarError> {
        let mut map = DecimalMap::default();
        loop {
            if self.data.stored < BLOCK_BYTES as u64 {
                return Err(self.sparse_error("it is longer than the stored data"));
            }
            let Some(block) = self.read_block()? else {
                return Err(self.truncated());
            };
            self.data.stored -= BLOCK_BYTES as u64;
            if map.push_block(&block).map_err(|reason| self.sparse_error(reason))? {
                return Ok(map.into_segments());
            }
        }
    }

    fn begin_data(&mut self, size: u64, header: &Header<'_>) -> Result<(), TarError> {
        let over = size % BLOCK_BYTES as u64;
        let padding = if over == 0 { 0 } else { BLOCK_BYTES as u64 - over };
        if i64::try_from(size).is_err() {
            return Err(header.error("size is not a number"));
        }
        self.data.path.clear();
        self.data = Data { path: std::mem::take(&mut self.data.path), stored: size, padding, sparse: None };
        Ok(())
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let mut rest = self.data.stored + self.data.padding;
        while rest > 0 {
            if self.start == self.end && self.refill()? == 0 {
                // The padding of the last entry may be missing when the archive has no end marker.
                if rest <= self.data.padding {
                    self.done = true;
                    break;
                }
                return Err(self.truncated());
            }
            let count = usize::try_from(rest).unwrap_or(usize::MAX).min(self.end - self.start);
            self.consume(count);
            rest -= count as u64;
        }
        self.data.stored = 0;
        self.data.padding = 0;
        self.data.sparse = None;
        Ok(())
    }

    /// A whole block; none when the stream ends before it, an error when it ends inside.
    fn read_block(&mut self) -> Result<Option<Block>, TarError> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            if self.start == self.end && self.refill()? == 0 {
                return if filled == 0 { Ok(None) } else { Err(self.truncated()) };
            }
            let count = (BLOCK_BYTES - filled).min(self.end - self.start);
            block[filled..filled + count].copy_from_slice(&self.buffer[self.start..self.start + count]);
            self.consume(count);
            filled += count;
        }
        Ok(Some(block))
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    fn refill(&mut self) -> Result<usize, TarError> {
        debug_assert_eq!(self.start, self.end, "refill would lose bytes");
        loop {
            match self.inner.read(&mut self.buffer) {
                Ok(count) => {
                    self.start = 0;
                    self.end = count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Read { offset: self.offset, source }),
            }
        }
    }

    fn truncated(&self) -> TarError {
        TarError::Truncated { offset: self.offset, path: lossy(&self.data.path) }
    }

    fn sparse_error(&self, reason: &'static str) -> TarError {
        TarError::Sparse { path: lossy(&self.data.path), reason }
    }
}

/// The data of the current member; holes come as zeros.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.pending_hole == 0 {
            // A piece must not be larger than `out`: put back what does not fit.
            match self.next_chunk().map_err(into_io)? {
                None => return Ok(0),
                Some(Chunk::Hole(length)) => self.pending_hole = length,
                Some(Chunk::Bytes(bytes)) => {
                    let count = bytes.len().min(out.len());
                    out[..count].copy_from_slice(&bytes[..count]);
                    let back = bytes.len() - count;
                    self.give_back(back);
                    return Ok(count);
                }
            }
        }
        let count = usize::try_from(self.pending_hole).unwrap_or(usize::MAX).min(out.len());
        out[..count].fill(0);
        self.pending_hole -= count as u64;
        Ok(count)
    }
}

impl<R: Read> Reader<R> {
    fn give_back(&mut self, count: usize) {
        self.start -= count;
        self.offset -= count as u64;
        self.data.stored += count as u64;
        if let Some(sparse) = &mut self.data.sparse {
            sparse.position -= count as u64;
        }
    }
}

/// A damaged archive as the error of a plain stream; the cause stays inside.
fn into_io(error: TarError) -> io::Error {
    match error {
        TarError::Read { source, .. } => source,
        TarError::Truncated { .. } => io::Error::new(io::ErrorKind::UnexpectedEof, error),
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
