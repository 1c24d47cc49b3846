//! In: a listing. Out: its stored form, and the way back. Never: a panic or unbounded memory on damaged bytes.
//!
//! Form: 8 bytes `XDLIST` + version, then one zstd frame of numbers (LEB128) and bytes, row after row, paths without what they share with the row before.
//! The digests stand together at the end: they do not compress.

use std::io::Read as _;

use super::{Listing, ListingEntry, ListingError};
use crate::entry::{Entry, EntryKind, Mtime, Xattrs};
use crate::path::{RootedPath, compare};

/// Raised whenever the form or the meaning changes; other versions are listed anew.
const MAGIC: &[u8; 8] = b"XDLIST\x00\x01";
const ZSTD_LEVEL: i32 = 3;
/// Largest unpacked form that is read.
const BODY_BYTES_MAX: u64 = 1 << 30;

const HAS_CONTENT: u8 = 0x10;
const HAS_OFFSET: u8 = 0x20;
const HAS_LINKS: u8 = 0x40;
const HAS_XATTRS: u8 = 0x80;
const KIND_MASK: u8 = 0x0f;

impl Listing {
    /// The stored form. Equal listings have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Body::default();
        body.number(self.entries.len() as u64);
        let mut previous: &[u8] = &[];
        let mut previous_offset = 0;
        for listed in &self.entries {
            body.row(listed, previous, &mut previous_offset);
            previous = listed.entry.path.as_bytes();
        }
        for paths in [&self.whiteouts, &self.opaques] {
            body.number(paths.len() as u64);
            let mut previous: &[u8] = &[];
            for path in paths {
                body.path(path.as_bytes(), previous);
                previous = path.as_bytes();
            }
        }
        body.number(self.inline.len() as u64);
        for (path, bytes) in &self.inline {
            body.bytes(path.as_bytes());
            body.bytes(bytes);
        }
        for digest in self.entries.iter().filter_map(|listed| listed.content.as_ref()) {
            body.0.extend_from_slice(digest);
        }
        let mut out = MAGIC.to_vec();
        let packed = zstd::bulk::compress(&body.0, ZSTD_LEVEL).expect("compressing into memory has no way to fail");
        out.extend_from_slice(&packed);
        out
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Decode`: the caller lists the layer again.
    pub fn decode(stored: &[u8]) -> Result<Self, ListingError> {
        let packed = stored.strip_prefix(MAGIC.as_slice()).ok_or(wrong("it is of another version"))?;
        let body = unpack(packed)?;
        let mut rows = Rows(&body);
        let count = rows.count(4)?;
        let mut entries: Vec<ListingEntry> = Vec::with_capacity(count);
        let mut previous_offset = 0;
        for _ in 0..count {
            let previous = entries.last().map(|listed| listed.entry.path.as_bytes());
            let next = rows.row(previous, &mut previous_offset)?;
            entries.push(next);
        }
        let whiteouts = rows.paths()?;
        let opaques = rows.paths()?;
        let count = rows.count(2)?;
        let mut inline = Vec::with_capacity(count);
        for _ in 0..count {
            inline.push((rooted(rows.bytes()?)?, rows.bytes()?.to_vec()));
        }
        for content in entries.iter_mut().filter_map(|listed| listed.content.as_mut()) {
            *content = rows.take(32)?.try_into().map_err(|_| wrong("it is cut short"))?;
        }
        if !rows.0.is_empty() {
            return Err(wrong("bytes follow its end"));
        }
        Ok(Self { entries, whiteouts, opaques, inline })
    }
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, ListingError> {
    let damaged = |_| wrong("it does not unpack");
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(damaged)?;
    let mut body = Vec::new();
    decoder.by_ref().take(BODY_BYTES_MAX + 1).read_to_end(&mut body).map_err(damaged)?;
    if body.len() as u64 > BODY_BYTES_MAX {
        return Err(wrong("it is larger than the limit"));
    }
    Ok(body)
}

const fn wrong(reason: &'static str) -> ListingError {
    ListingError::Decode { reason }
}

fn rooted(bytes: &[u8]) -> Result<RootedPath, ListingError> {
    let path = RootedPath::parse(bytes).map_err(|_| wrong("a path is not usable"))?;
    if path.as_bytes() == bytes { Ok(path) } else { Err(wrong("a path is not clean")) }
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn path(&mut self, path: &[u8], previous: &[u8]) {
        let shared = path.iter().zip(previous).take_while(|(a, b)| a == b).count();
        self.number(shared as u64);
        self.bytes(&path[shared..]);
    }

    fn row(&mut self, listed: &ListingEntry, previous: &[u8], previous_offset: &mut u64) {
        let entry = &listed.entry;
        self.path(entry.path.as_bytes(), previous);
        let kind = match &entry.kind {
            EntryKind::File { .. } => 0,
            EntryKind::Dir => 1,
            EntryKind::Symlink { .. } => 2,
            EntryKind::HardLink { .. } => 3,
            EntryKind::CharDevice { .. } => 4,
            EntryKind::BlockDevice { .. } => 5,
            EntryKind::Fifo => 6,
        };
        let mut flags = kind;
        for (present, flag) in [
            (listed.content.is_some(), HAS_CONTENT),
            (listed.data_offset.is_some(), HAS_OFFSET),
            (listed.link_group != 0, HAS_LINKS),
            (!entry.xattrs.is_empty(), HAS_XATTRS),
        ] {
            flags |= if present { flag } else { 0 };
        }
        self.0.push(flags);
        self.number(u64::from(entry.mode));
        self.number(u64::from(entry.uid));
        self.number(u64::from(entry.gid));
        self.number(zigzag(entry.mtime.seconds));
        self.number(u64::from(entry.mtime.nanoseconds));
        match &entry.kind {
            EntryKind::File { size_bytes } => self.number(*size_bytes),
            EntryKind::Symlink { target } => self.bytes(target),
            EntryKind::HardLink { target } => self.bytes(target.as_bytes()),
            EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
                self.number(u64::from(*major));
                self.number(u64::from(*minor));
            }
            EntryKind::Dir | EntryKind::Fifo => {}
        }
        if let Some(offset) = listed.data_offset {
            self.number(zigzag(offset.wrapping_sub(*previous_offset) as i64));
            *previous_offset = offset;
        }
        if listed.link_group != 0 {
            self.number(u64::from(listed.link_group));
        }
        if !entry.xattrs.is_empty() {
            self.number(entry.xattrs.len() as u64);
            for (name, value) in &entry.xattrs {
                self.bytes(name);
                self.bytes(value);
            }
        }
    }
}

/// What is left of the unpacked form.
struct Rows<'a>(&'a [u8]);

impl<'a> Rows<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ListingError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(wrong("it is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, ListingError> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64, ListingError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(wrong("a number is too long"))
    }

    fn small(&mut self) -> Result<u32, ListingError> {
        u32::try_from(self.number()?).map_err(|_| wrong("a number is too large"))
    }

    /// A number of rows of at least `least` bytes each; what the rest cannot hold is refused before memory is taken for it.
    fn count(&mut self, least: usize) -> Result<usize, ListingError> {
        let count = usize::try_from(self.number()?).map_err(|_| wrong("a number is too large"))?;
        if count > self.0.len() / least { Err(wrong("it is cut short")) } else { Ok(count) }
    }

    fn bytes(&mut self) -> Result<&'a [u8], ListingError> {
        let length = self.count(1)?;
        self.take(length)
    }

    /// The next path; it must follow the one before.
    fn path(&mut self, previous: Option<&[u8]>) -> Result<RootedPath, ListingError> {
        let shared = self.count_shared(previous.unwrap_or_default())?;
        let rest = self.bytes()?;
        let mut full = Vec::with_capacity(shared.len() + rest.len());
        full.extend_from_slice(shared);
        full.extend_from_slice(rest);
        if previous.is_some_and(|previous| compare(previous, &full).is_ge()) {
            return Err(wrong("paths are not in order"));
        }
        rooted(&full)
    }

    fn count_shared<'p>(&mut self, previous: &'p [u8]) -> Result<&'p [u8], ListingError> {
        let shared = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        previous.get(..shared).ok_or(wrong("a path shares more than there is"))
    }

    fn paths(&mut self) -> Result<Vec<RootedPath>, ListingError> {
        let count = self.count(2)?;
        let mut paths: Vec<RootedPath> = Vec::with_capacity(count);
        for _ in 0..count {
            let next = self.path(paths.last().map(RootedPath::as_bytes))?;
            paths.push(next);
        }
        Ok(paths)
    }

    fn row(&mut self, previous: Option<&[u8]>, previous_offset: &mut u64) -> Result<ListingEntry, ListingError> {
        let path = self.path(previous)?;
        let flags = self.byte()?;
        let mode = self.small()? & 0o7777;
        let (uid, gid) = (self.small()?, self.small()?);
        let mtime = Mtime { seconds: unzigzag(self.number()?), nanoseconds: self.small()? };
        let kind = match flags & KIND_MASK {
            0 => EntryKind::File { size_bytes: self.number()? },
            1 => EntryKind::Dir,
            2 => EntryKind::Symlink { target: self.bytes()?.to_vec() },
            3 => EntryKind::HardLink { target: rooted(self.bytes()?)? },
            4 => EntryKind::CharDevice { major: self.small()?, minor: self.small()? },
            5 => EntryKind::BlockDevice { major: self.small()?, minor: self.small()? },
            6 => EntryKind::Fifo,
            _ => return Err(wrong("a kind is unknown")),
        };
        let mut data_offset = None;
        if flags & HAS_OFFSET != 0 {
            *previous_offset = previous_offset.wrapping_add(unzigzag(self.number()?) as u64);
            data_offset = Some(*previous_offset);
        }
        let link_group = if flags & HAS_LINKS != 0 { self.small()? } else { 0 };
        let mut xattrs = Xattrs::new();
        if flags & HAS_XATTRS != 0 {
            for _ in 0..self.count(2)? {
                xattrs.insert(self.bytes()?.to_vec(), self.bytes()?.to_vec());
            }
        }
        let content = (flags & HAS_CONTENT != 0).then_some([0; 32]);
        Ok(ListingEntry {
            entry: Entry { path, kind, mode, uid, gid, mtime, xattrs },
            content,
            data_offset,
            link_group,
        })
    }
}
