//! In: a file that may be a packed or plain tar. Out: its members placed beneath a directory of the overlay, their bytes in a spool. Never: a member outside that directory, a byte in memory beyond a buffer.
//!
//! ADD unpacks a local archive with the directory as the root of everything: links on the way of a member are followed inside
//! it, absolute ones begin at it (spec/dockerfile.md §4).

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use crossdock_snapshot::compression;
use crossdock_snapshot::tar::{Chunk, Reader, TarEntry, TarError};
use crossdock_snapshot::{Entry, EntryKind, RootedPath, Tree, TreeError};
use fs_err::os::unix::fs::FileExt as _;
use sha2::{Digest as _, Sha256};

use super::content::Content;
use super::error::FileError;
use super::make::{Stamp, make_dirs};
use super::overlay::{Made, Overlay, TimeOrigin};
use super::owner::Ids;
use super::plan::PlanOptions;
use super::resolve::{LastLink, resolve, resolve_within};

/// Members are collected to pieces of this size before they are written to the spool.
const SPOOL_BUFFER_BYTES: usize = 1 << 20;
/// Directories that members imply but the archive does not describe.
const IMPLIED_MODE: u32 = 0o755;

type Members = Reader<Box<dyn Read + Send>>;

/// An archive whose first member was read.
pub(super) struct Archive {
    path: RootedPath,
    members: Members,
    first: TarEntry,
    packed: HashingReader,
    want: [u8; 32],
}

/// Opens `path` as an archive; none when it is no regular file or its content is no archive.
///
/// # Errors
/// What the tree says when the file cannot be read.
pub(super) fn detect(source: &dyn Tree, path: &RootedPath) -> Result<Option<Archive>, FileError> {
    let path = resolve(source, path, LastLink::Follow)?;
    if !source.lookup(&path)?.is_some_and(|node| node.entry.is_file() && node.entry.size_bytes() > 0) {
        return Ok(None);
    }
    let packed = HashingReader::new(source.open(&path)?);
    let unpacked = compression::decoder(Box::new(packed.clone()))
        .map_err(|cause| TreeError::Read { path: path.clone(), source: cause })?;
    let mut members = Reader::new(unpacked);
    match members.next_item() {
        Ok(Some(first)) => {
            let want = source.content(&path)?;
            Ok(Some(Archive { path, members, first: first.entry, packed, want }))
        }
        // A header that is one but names something outside: an archive, and a bad one. Anything else is no archive.
        Err(source @ TarError::Path { .. }) => Err(FileError::Archive { archive: path, source }),
        Ok(None) | Err(_) => Ok(None),
    }
}

/// Places all members beneath `place`, a directory free of symlinks.
///
/// # Errors
/// `Archive`, `ArchiveEntry`, `Spool`, `SourceChanged`, and what the overlay says.
pub(super) fn unpack(
    overlay: &mut Overlay,
    place: &RootedPath,
    archive: Archive,
    stamp: Stamp,
    options: &PlanOptions<'_>,
) -> Result<(), FileError> {
    let Archive { path, mut members, first, mut packed, want } = archive;
    let mut unpacking = Unpacking {
        overlay,
        place,
        archive: &path,
        owner: stamp.owner,
        implied: Stamp { owner: Some(Ids { uid: 0, gid: 0 }), time: None, ..stamp },
        spool: Spool::new(options, &path),
    };
    let damaged = |source| FileError::Archive { archive: path.clone(), source };
    let mut next = Some(first);
    while let Some(member) = next {
        unpacking.member(member, &mut members)?;
        next = members.next_item().map_err(damaged)?.map(|item| item.entry);
    }
    unpacking.spool.flush()?;
    members.finish().map_err(damaged)?;
    if packed.finish().map_err(|source| damaged(TarError::Read { offset: 0, source }))? == want {
        Ok(())
    } else {
        Err(FileError::SourceChanged { path })
    }
}

struct Unpacking<'a, 'o> {
    overlay: &'a mut Overlay,
    place: &'a RootedPath,
    archive: &'a RootedPath,
    owner: Option<Ids>,
    implied: Stamp,
    spool: Spool<'a, 'o>,
}

impl Unpacking<'_, '_> {
    fn member(&mut self, member: TarEntry, members: &mut Members) -> Result<(), FileError> {
        match member {
            // In the image's layer such a file is a deletion, so it is one here.
            TarEntry::Whiteout { path } => {
                let target = self.target(&path, LastLink::Keep)?;
                self.overlay.remove(&target)
            }
            TarEntry::Opaque { dir } => {
                let target = self.target(&dir, LastLink::Follow)?;
                for child in self.overlay.read_dir(&target)? {
                    self.overlay.remove(&child.entry.path)?;
                }
                Ok(())
            }
            TarEntry::Entry(entry) if entry.path.is_root() => Ok(()),
            TarEntry::Entry(entry) => self.entry(entry, members),
        }
    }

    fn entry(&mut self, mut entry: Entry, members: &mut Members) -> Result<(), FileError> {
        let target = self.target(&entry.path, LastLink::Keep)?;
        make_dirs(self.overlay, &target.parent().unwrap_or_default(), IMPLIED_MODE, self.implied)?;
        if let Some(owner) = self.owner {
            (entry.uid, entry.gid) = (owner.uid, owner.gid);
        }
        let member = std::mem::replace(&mut entry.path, target.clone());
        entry.mtime = entry.mtime.whole_seconds();
        let existing = self.overlay.lookup(&target)?;
        match existing {
            Some(existing) if existing.entry.is_dir() && entry.is_dir() => {
                let mut xattrs = existing.entry.xattrs;
                xattrs.append(&mut entry.xattrs);
                entry.xattrs = xattrs;
                let made = self.overlay.copy_up(&target)?;
                (made.entry, made.time) = (entry, TimeOrigin::Given);
                return Ok(());
            }
            Some(_) => self.overlay.remove(&target)?,
            None => {}
        }
        if let EntryKind::HardLink { target: other } = &entry.kind {
            let other = other.clone();
            return self.hard_link(&other, entry, &member);
        }
        let content = match entry.kind {
            EntryKind::File { size_bytes } => Some(self.spool.write(members, size_bytes, &member)?),
            _ => None,
        };
        let inode = self.overlay.new_inode();
        let hides = entry.is_dir();
        self.overlay.put(Made { entry, content, inode, hides, time: TimeOrigin::Given });
        Ok(())
    }

    /// The header of a hard link describes the object for all of its names.
    fn hard_link(&mut self, other: &RootedPath, mut entry: Entry, member: &RootedPath) -> Result<(), FileError> {
        let name = self.target(other, LastLink::Keep)?;
        match self.overlay.lookup(&name)? {
            Some(node) if !node.entry.is_dir() => {
                entry.kind = node.entry.kind;
                entry.xattrs = node.entry.xattrs;
                if entry.symlink_target().is_some() {
                    entry.mode = node.entry.mode;
                }
                self.overlay.link(&name, &entry, TimeOrigin::Given)
            }
            Some(_) => Err(self.invalid(member, format!("it is a hard link to {other}, which is a directory"))),
            None => Err(self.invalid(member, format!("it is a hard link to {other}, which does not exist"))),
        }
    }

    fn target(&self, member: &RootedPath, last: LastLink) -> Result<RootedPath, FileError> {
        resolve_within(self.overlay, self.place, member, last)
    }

    fn invalid(&self, member: &RootedPath, reason: String) -> FileError {
        FileError::ArchiveEntry { archive: self.archive.clone(), name: member.to_string_lossy().into_owned(), reason }
    }
}

/// The unpacked bytes of one archive, one member after the other, in a file that has no name.
struct Spool<'a, 'o> {
    options: &'a PlanOptions<'o>,
    archive: &'a RootedPath,
    file: Option<Arc<fs_err::File>>,
    buffer: Vec<u8>,
    /// Where `buffer` belongs in the file.
    offset: u64,
}

impl<'a, 'o> Spool<'a, 'o> {
    fn new(options: &'a PlanOptions<'o>, archive: &'a RootedPath) -> Self {
        Self { options, archive, file: None, buffer: Vec::new(), offset: 0 }
    }

    /// Takes the data of the current member.
    fn write(&mut self, members: &mut Members, size_bytes: u64, member: &RootedPath) -> Result<Content, FileError> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = Arc::new((self.options.spool)().map_err(|source| self.error(source))?);
                self.file.insert(file).clone()
            }
        };
        let begin = self.offset + self.buffer.len() as u64;
        let mut hasher = Sha256::new();
        let damaged = |source| FileError::Archive { archive: self.archive.clone(), source };
        while let Some(chunk) = members.next_chunk().map_err(damaged)? {
            match chunk {
                Chunk::Bytes(bytes) => {
                    hasher.update(bytes);
                    self.buffer.extend_from_slice(bytes);
                    if self.buffer.len() >= SPOOL_BUFFER_BYTES {
                        self.flush()?;
                    }
                }
                Chunk::Hole(bytes) => {
                    self.flush()?;
                    self.offset += bytes;
                    hash_zeros(&mut hasher, bytes);
                    file.set_len(self.offset).map_err(|source| self.error(source))?;
                }
            }
        }
        Ok(Content::spooled(&file, begin, size_bytes, hasher.finalize().into(), member.clone()))
    }

    fn flush(&mut self) -> Result<(), FileError> {
        if let Some(file) = &self.file {
            file.write_all_at(&self.buffer, self.offset).map_err(|source| self.error(source))?;
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    fn error(&self, source: io::Error) -> FileError {
        FileError::Spool { archive: self.archive.clone(), source }
    }
}

fn hash_zeros(hasher: &mut Sha256, mut bytes: u64) {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while bytes > 0 {
        let count = bytes.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..usize::try_from(count).unwrap_or(ZEROS.len())]);
        bytes -= count;
    }
}

/// Hashes what passes, so that the archive unpacked is proven to be the archive the key was made of.
#[derive(Clone)]
struct HashingReader(Arc<Mutex<Hashed>>);

struct Hashed {
    inner: Box<dyn Read + Send>,
    hasher: Sha256,
}

impl HashingReader {
    fn new(inner: Box<dyn Read + Send>) -> Self {
        Self(Arc::new(Mutex::new(Hashed { inner, hasher: Sha256::new() })))
    }

    /// Reads what is left and says the digest of everything.
    fn finish(&mut self) -> io::Result<[u8; 32]> {
        io::copy(self, &mut io::sink())?;
        let hashed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(hashed.hasher.clone().finalize().into())
    }
}

impl Read for HashingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut hashed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = hashed.inner.read(buffer)?;
        hashed.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
