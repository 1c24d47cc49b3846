//! In: bytes of one file. Out: the same bytes in another file, with holes kept; or whether two files are the same. Never: more than one buffer of memory.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// A run of zero bytes this long, and as aligned in the file, becomes a hole.
pub(crate) const HOLE_BYTES_MIN: usize = 64 << 10;
/// Size of the buffer for copies and comparisons.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes a new, empty file from front to back and leaves holes where long runs of zeros would stand.
pub(crate) struct ContentWriter<'f> {
    file: &'f std::fs::File,
    /// Where the next byte belongs.
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
    pub fn bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut pending = 0;
        while bytes.len() - pending >= HOLE_BYTES_MIN {
            // Look at whole blocks, aligned in the file, so that a hole really frees blocks.
            let at = self.at_bytes + pending as u64;
            let ahead = HOLE_BYTES_MIN - usize::try_from(at % HOLE_BYTES_MIN as u64).unwrap_or(0);
            let block = &bytes[pending..bytes.len().min(pending + ahead)];
            if block.len() == HOLE_BYTES_MIN && is_zero(block) {
                self.raw(&bytes[..pending])?;
                self.at_bytes += HOLE_BYTES_MIN as u64;
                bytes = &bytes[pending + HOLE_BYTES_MIN..];
                pending = 0;
            } else {
                pending += block.len();
            }
        }
        self.raw(bytes)
    }

    /// Appends a hole.
    pub fn hole(&mut self, size_bytes: u64) {
        self.at_bytes += size_bytes;
    }

    /// Sets the length, which a hole at the end does not.
    pub fn finish(self) -> io::Result<()> {
        if self.at_bytes > self.written_bytes {
            rustix::fs::ftruncate(self.file, self.at_bytes)?;
        }
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.at_bytes != self.written_bytes {
            rustix::fs::seek(self.file, SeekFrom::Start(self.at_bytes))?;
        }
        self.file.write_all(bytes)?;
        self.at_bytes += bytes.len() as u64;
        self.written_bytes = self.at_bytes;
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

/// Whether two files hold the same bytes.
pub(crate) fn same_content(left: &mut dyn io::Read, right: &mut dyn io::Read) -> io::Result<bool> {
    let (mut left_bytes, mut right_bytes) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    loop {
        let got = fill(left, &mut left_bytes)?;
        if got != fill(right, &mut right_bytes)? || left_bytes[..got] != right_bytes[..got] {
            return Ok(false);
        }
        if got < BUFFER_BYTES {
            return Ok(true);
        }
    }
}

fn fill(from: &mut dyn io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
