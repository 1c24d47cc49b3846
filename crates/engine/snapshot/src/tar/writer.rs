//! In: entries and their bytes, in the order they shall have. Out: an archive that depends on nothing else. Never: a clock, a sort, a user name.

use std::io::{self, BufWriter, Read, Write};

use super::header::{BLOCK_BYTES, Fields, LONG_NUMBER_MAX, NAME_BYTES_MAX, PREFIX_BYTES_MAX, SHORT_NUMBER_MAX};
use super::pax::{Records, format_time};
use super::{OPAQUE_NAME, TarError, WHITEOUT_PREFIX};
use crate::entry::{Entry, EntryKind, Mtime};
use crate::path::RootedPath;

/// The sink is written in pieces of this size.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes ustar headers, with an extended header in front only where a value does not fit one.
///
/// The first error leaves the archive unusable.
pub struct Writer<W: Write> {
    sink: BufWriter<W>,
    offset: u64,
    /// The file being written and the bytes it still misses.
    open: Option<(RootedPath, u64, u64)>,
    nanoseconds: bool,
    buffer: Box<[u8]>,
}

impl<W: Write> Writer<W> {
    /// An archive of a layer: times in whole seconds, as BuildKit's layers have them, so that a fraction never decides about a digest.
    pub fn new(sink: W) -> Self {
        Self {
            sink: BufWriter::with_capacity(BUFFER_BYTES, sink),
            offset: 0,
            open: None,
            nanoseconds: false,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
        }
    }

    /// An archive that keeps fractions of seconds in extended headers.
    pub fn with_nanoseconds(sink: W) -> Self {
        Self { nanoseconds: true, ..Self::new(sink) }
    }

    /// Bytes written so far: where the next header begins when no file is open.
    pub fn offset_bytes(&self) -> u64 {
        self.offset
    }

    /// An entry with its data; `data` is read to its end and must have the length the entry says. Ignored for everything but regular files.
    ///
    /// # Errors
    /// `DataSize`, `Data`, `Write`, `Unstorable`.
    pub fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), TarError> {
        if entry.is_file() { self.append_file(entry, data).map(|_| ()) } else { self.append_header(entry).map(|_| ()) }
    }

    /// A regular file with its data; returns the offset of the data.
    pub(crate) fn append_file(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<u64, TarError> {
        let offset = self.append_header(entry)?;
        let size_bytes = entry.size_bytes();
        let mut got = 0_u64;
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = loop {
            match data.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(count) => {
                    got += count as u64;
                    if got > size_bytes {
                        break Err(TarError::DataSize { path: entry.path.clone(), want: size_bytes, got });
                    }
                    if let Err(error) = self.write_data(&buffer[..count]) {
                        break Err(error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => break Err(TarError::Data { path: entry.path.clone(), source }),
            }
        };
        self.buffer = buffer;
        result.and_then(|()| self.close_file())?;
        Ok(offset)
    }

    /// A header alone. For a regular file exactly its size must follow through `write_data`. Returns the offset at which data begins.
    ///
    /// # Errors
    /// `DataSize` when the file before is incomplete, `Write`, `Unstorable`.
    pub fn append_header(&mut self, entry: &Entry) -> Result<u64, TarError> {
        self.close_file()?;
        let mut name = entry.path.as_bytes().to_vec();
        if name.is_empty() {
            name.push(b'.');
        }
        if entry.is_dir() {
            name.push(b'/');
        }
        self.write_header(entry, &name)?;
        if let EntryKind::File { size_bytes } = entry.kind {
            self.open = Some((entry.path.clone(), size_bytes, size_bytes));
        }
        Ok(self.offset)
    }

    /// The next bytes of the file whose header came last.
    ///
    /// # Errors
    /// `DataSize` when it is more than the header said, `Write`.
    pub fn write_data(&mut self, data: &[u8]) -> Result<(), TarError> {
        let count = data.len() as u64;
        match &mut self.open {
            Some((_, _, missing)) if *missing >= count => *missing -= count,
            Some((path, want, missing)) => {
                return Err(TarError::DataSize { path: path.clone(), want: *want, got: *want - *missing + count });
            }
            None if data.is_empty() => return Ok(()),
            None => return Err(TarError::DataSize { path: RootedPath::root(), want: 0, got: count }),
        }
        self.put(data)
    }

    /// The entry that hides `path` of lower layers.
    ///
    /// # Errors
    /// `Write`, `Unstorable` for the root.
    pub fn whiteout(&mut self, path: &RootedPath) -> Result<(), TarError> {
        let Some((parent, name)) = path.split() else {
            return Err(TarError::Unstorable { path: path.clone(), what: "a whiteout of the root" });
        };
        self.marker(parent, &[WHITEOUT_PREFIX, name].concat())
    }

    /// The entry that hides everything lower layers have in `dir`.
    ///
    /// # Errors
    /// `Write`.
    pub fn opaque(&mut self, dir: &RootedPath) -> Result<(), TarError> {
        self.marker(dir.as_bytes(), OPAQUE_NAME)
    }

    /// Writes the two zero blocks and hands the sink back, flushed.
    ///
    /// # Errors
    /// `DataSize` when the last file is incomplete, `Write`.
    pub fn finish(mut self) -> Result<W, TarError> {
        self.close_file()?;
        self.put(&[0; 2 * BLOCK_BYTES])?;
        self.sink.into_inner().map_err(|error| TarError::Write { source: error.into_error() })
    }

    /// Whiteouts have no owner, mode or time: two layers that delete the same are the same.
    fn marker(&mut self, parent: &[u8], name: &[u8]) -> Result<(), TarError> {
        self.close_file()?;
        let full = if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() };
        let entry = Entry::file(RootedPath::new_unchecked(full.clone()), 0, 0);
        self.write_header(&entry, &full)
    }

    fn write_header(&mut self, entry: &Entry, name: &[u8]) -> Result<(), TarError> {
        let mtime = if self.nanoseconds { entry.mtime } else { entry.mtime.whole_seconds() };
        let link = link_name(entry);
        let (prefix, short) = split_name(name).unwrap_or((&[], name));
        let records = records(entry, name, link, mtime)?;
        if !records.is_empty() {
            self.write_extended(name, &records.format())?;
        }
        let block = Fields {
            name: &ascii(short),
            prefix,
            mode: entry.mode,
            uid: u64::from(entry.uid),
            gid: u64::from(entry.gid),
            size_bytes: entry.size_bytes(),
            mtime_seconds: mtime.seconds,
            type_flag: type_flag(&entry.kind),
            link_name: &ascii(link),
            device: device(&entry.kind),
        }
        .format();
        self.put(&block)
    }

    fn write_extended(&mut self, name: &[u8], records: &[u8]) -> Result<(), TarError> {
        let trimmed = name.strip_suffix(b"/").unwrap_or(name);
        let (dir, base) = match trimmed.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&trimmed[..=slash], &trimmed[slash + 1..]),
            None => (&[][..], trimmed),
        };
        let mut pax_name = ascii(&[dir, b"PaxHeaders.0/", base].concat());
        pax_name.truncate(NAME_BYTES_MAX);
        while pax_name.last() == Some(&b'/') {
            pax_name.pop();
        }
        let block = Fields {
            name: &pax_name,
            prefix: &[],
            mode: 0,
            uid: 0,
            gid: 0,
            size_bytes: records.len() as u64,
            mtime_seconds: 0,
            type_flag: b'x',
            link_name: &[],
            device: (0, 0),
        }
        .format();
        self.put(&block)?;
        self.put(records)?;
        self.pad()
    }

    fn close_file(&mut self) -> Result<(), TarError> {
        match self.open.take() {
            None => Ok(()),
            Some((_, _, 0)) => self.pad(),
            Some((path, want, missing)) => Err(TarError::DataSize { path, want, got: want - missing }),
        }
    }

    fn pad(&mut self) -> Result<(), TarError> {
        let over = (self.offset % BLOCK_BYTES as u64) as usize;
        if over == 0 { Ok(()) } else { self.put(&[0; BLOCK_BYTES][over..]) }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), TarError> {
        self.sink.write_all(bytes).map_err(|source| TarError::Write { source })?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

fn type_flag(kind: &EntryKind) -> u8 {
    match kind {
        EntryKind::File { .. } => b'0',
        EntryKind::HardLink { .. } => b'1',
        EntryKind::Symlink { .. } => b'2',
        EntryKind::CharDevice { .. } => b'3',
        EntryKind::BlockDevice { .. } => b'4',
        EntryKind::Dir => b'5',
        EntryKind::Fifo => b'6',
    }
}

fn link_name(entry: &Entry) -> &[u8] {
    match &entry.kind {
        EntryKind::Symlink { target } => target,
        EntryKind::HardLink { target } => target.as_bytes(),
        _ => &[],
    }
}

fn device(kind: &EntryKind) -> (u32, u32) {
    match *kind {
        EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => (major, minor),
        _ => (0, 0),
    }
}

/// The values that do not fit the header.
fn records(entry: &Entry, name: &[u8], link: &[u8], mtime: Mtime) -> Result<Records, TarError> {
    let unstorable = |what| TarError::Unstorable { path: entry.path.clone(), what };
    let mut records = Records::default();
    if !name.is_ascii() || (name.len() > NAME_BYTES_MAX && split_name(name).is_none()) {
        records.push("path", name);
    }
    if link.contains(&0) {
        return Err(unstorable("a link target with a NUL byte"));
    }
    if link.len() > NAME_BYTES_MAX || !link.is_ascii() {
        records.push("linkpath", link);
    }
    for (key, value, limit) in [
        ("size", entry.size_bytes(), LONG_NUMBER_MAX),
        ("uid", u64::from(entry.uid), SHORT_NUMBER_MAX),
        ("gid", u64::from(entry.gid), SHORT_NUMBER_MAX),
    ] {
        if value > limit {
            records.push(key, value.to_string().as_bytes());
        }
    }
    let (major, minor) = device(&entry.kind);
    if u64::from(major.max(minor)) > SHORT_NUMBER_MAX {
        return Err(unstorable("a device number beyond 21 bits"));
    }
    if mtime.nanoseconds != 0 || mtime.seconds < 0 || mtime.seconds.unsigned_abs() > LONG_NUMBER_MAX {
        records.push("mtime", format_time(mtime).as_bytes());
    }
    for (attribute, value) in &entry.xattrs {
        if attribute.is_empty() || attribute.iter().any(|byte| matches!(byte, 0 | b'=')) {
            return Err(unstorable("an extended attribute whose name is empty or holds '=' or NUL"));
        }
        records.push_xattr(attribute, value);
    }
    Ok(records)
}

/// Splits a long ASCII name at a slash into prefix and name, as late as possible; none when it is short enough or cannot be split.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME_BYTES_MAX || !name.is_ascii() {
        return None;
    }
    let end = name.strip_suffix(b"/").unwrap_or(name).len().min(PREFIX_BYTES_MAX + 1);
    let slash = name[..end].iter().rposition(|&byte| byte == b'/')?;
    let rest = &name[slash + 1..];
    (slash > 0 && !rest.is_empty() && rest.len() <= NAME_BYTES_MAX).then_some((&name[..slash], rest))
}

/// What an old reader sees of a name that stands in the extended header.
fn ascii(name: &[u8]) -> Vec<u8> {
    name.iter().copied().filter(u8::is_ascii).collect()
}
