//! In: bytes of one file. Out: the same bytes in another file, with holes kept; or whether two files are the same. Never: more than one buffer of memory.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// A run of zero bytes this long becomes a hole.
pub(crate) const HOLE_BYTES_MIN: usize = 64 << 10;
/// Size of the buffer for copies.
const BUFFER_BYTES: usize = 256 << 10;
/// Size of each buffer for comparisons: most files are small, and most that differ do so early.
const COMPARE_BYTES: usize = 64 << 10;

/// Writes a new, empty file from front to back and leaves holes where long runs of zeros would stand.
pub(crate) struct ContentWriter<'f> {
    file: &'f std::fs::File,
    /// How much of the content has come, zeros that wait included.
    at_bytes: u64,
    /// Where the file's position and end are.
    written_bytes: u64,
}

impl<'f> ContentWriter<'f> {
    /// For a file that was just created.
    pub fn new(file: &'f std::fs::File) -> Self {
        Self { file, at_bytes: 0, written_bytes: 0 }
    }

    /// Appends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Whole blocks are looked at, as they stand in the file: a block of zeros waits, everything else is written in one piece.
        let mut from = 0;
        let mut to = 0;
        while to < bytes.len() {
            let at = self.at_bytes + (to - from) as u64;
            let ahead = HOLE_BYTES_MIN - usize::try_from(at % HOLE_BYTES_MIN as u64).unwrap_or(0);
            let block = &bytes[to..bytes.len().min(to + ahead)];
            to += block.len();
            if is_zero(block) {
                self.raw(&bytes[from..to - block.len()])?;
                self.at_bytes += block.len() as u64;
                from = to;
            }
        }
        self.raw(&bytes[from..])
    }

    /// Appends a hole.
    pub fn hole(&mut self, size_bytes: u64) {
        self.at_bytes += size_bytes;
    }

    /// Sets the length, which a hole at the end does not.
    pub fn finish(mut self) -> io::Result<()> {
        self.end_of_zeros()?;
        if self.at_bytes > self.written_bytes {
            rustix::fs::ftruncate(self.file, self.at_bytes)?;
        }
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.end_of_zeros()?;
        self.file.write_all(bytes)?;
        self.at_bytes += bytes.len() as u64;
        self.written_bytes = self.at_bytes;
        Ok(())
    }

    /// Zeros that wait become a hole when there are many, else they are written.
    fn end_of_zeros(&mut self) -> io::Result<()> {
        const ZEROS: &[u8] = &[0; HOLE_BYTES_MIN];
        match usize::try_from(self.at_bytes - self.written_bytes) {
            Ok(0) => {}
            Ok(few) if few < HOLE_BYTES_MIN => {
                self.file.write_all(&ZEROS[..few])?;
                self.written_bytes = self.at_bytes;
            }
            _ => {
                rustix::fs::seek(self.file, SeekFrom::Start(self.at_bytes))?;
            }
        }
        Ok(())
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<32>();
    chunks.iter().all(|chunk| *chunk == [0; 32]) && rest.iter().all(|&byte| byte == 0)
}

/// Copies a whole file into a new, empty one: shared blocks where the file system can, else in the kernel, else through a buffer. Holes stay holes.
pub(crate) fn copy_content(from: &std::fs::File, to: &std::fs::File, size_bytes: u64) -> io::Result<()> {
    if size_bytes == 0 || rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let mut at = 0;
    while at < size_bytes {
        let data = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            // A file system without holes: everything is data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(data)).unwrap_or(size_bytes).min(size_bytes);
        copy_range(from, to, data, end)?;
        at = end.max(data + 1);
    }
    Ok(rustix::fs::ftruncate(to, size_bytes)?)
}

fn copy_range(from: &std::fs::File, to: &std::fs::File, start: u64, end: u64) -> io::Result<()> {
    let (mut read_at, mut write_at) = (start, start);
    while read_at < end {
        let want = usize::try_from(end - read_at).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from.as_fd(), Some(&mut read_at), to.as_fd(), Some(&mut write_at), want) {
            // The file became shorter while we read it.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return copy_buffered(from, to, read_at, end);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_buffered(mut from: &std::fs::File, mut to: &std::fs::File, start: u64, end: u64) -> io::Result<()> {
    rustix::fs::seek(from, SeekFrom::Start(start))?;
    rustix::fs::seek(to, SeekFrom::Start(start))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut left = end - start;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let got = from.read(&mut buffer[..want])?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all(&buffer[..got])?;
        left -= got as u64;
    }
    Ok(())
}

/// Whether two files of `size_bytes` hold the same bytes.
pub(crate) fn same_content(left: &mut dyn io::Read, right: &mut dyn io::Read, size_bytes: u64) -> io::Result<bool> {
    let buffer_bytes = usize::try_from(size_bytes).unwrap_or(usize::MAX).min(COMPARE_BYTES);
    let (mut left_bytes, mut right_bytes) = (vec![0; buffer_bytes], vec![0; buffer_bytes]);
    let mut unread = size_bytes;
    while unread > 0 {
        let want = usize::try_from(unread).unwrap_or(usize::MAX).min(buffer_bytes);
        left.read_exact(&mut left_bytes[..want])?;
        right.read_exact(&mut right_bytes[..want])?;
        if left_bytes[..want] != right_bytes[..want] {
            return Ok(false);
        }
        unread -= want as u64;
    }
    Ok(true)
}
