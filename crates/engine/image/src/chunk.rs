//! In: a tar stream. Out: the same bytes in chunks, cut where the content says. Never: a cut that depends on read sizes, threads or history.
//!
//! A chunk is the unit of compression (decision 11): it becomes one gzip member or zstd frame, is compressed on
//! its own, and its compressed bytes are remembered by the hash of the chunk. Cuts fall in front of entries whose
//! name hashes to a chosen value, so a changed, added or removed file moves no cut but its own. Files larger than a
//! chunk are cut at fixed offsets from their own beginning.

use std::io::{self, Read};

/// A chunk is not cut at an entry before it holds this many bytes.
pub const CHUNK_SIZE_MIN: usize = 1 << 20;
/// A chunk never holds more bytes than this.
pub const CHUNK_SIZE_MAX: usize = 4 << 20;
/// One entry name in this many makes a cut once the chunk is large enough.
const CUT_ONE_IN: u64 = 32;
const BLOCK: usize = 512;

/// Cuts a tar stream; iterate with [`Cutter::next_chunk`].
#[derive(Debug)]
pub struct Cutter<R> {
    source: R,
    /// What the next bytes of the stream are.
    state: State,
    /// A header read but not yet in a chunk, because a cut fell in front of it.
    pending: Option<Box<[u8; BLOCK]>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A header block comes next. `in_group`: an extension header came before it, so no cut is allowed here.
    Header { in_group: bool },
    /// This many bytes of entry data (padded) come next.
    Data { left: u64, in_group: bool },
    /// Behind the end marker, or no tar at all: bytes without structure.
    Opaque,
}

impl<R: Read> Cutter<R> {
    /// Cuts this stream.
    pub const fn new(source: R) -> Self {
        Self { source, state: State::Header { in_group: false }, pending: None }
    }

    /// The next chunk; `None` at the end of the stream.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn next_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut chunk: Vec<u8> = Vec::with_capacity(CHUNK_SIZE_MIN + CHUNK_SIZE_MIN / 2);
        if let Some(header) = self.pending.take() {
            self.accept_header(&header, &mut chunk);
        }
        loop {
            let room = CHUNK_SIZE_MAX - chunk.len();
            if room == 0 {
                break;
            }
            match self.state {
                State::Opaque => {
                    if self.append(&mut chunk, room)? < room {
                        break;
                    }
                }
                State::Data { left, in_group } => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(room);
                    let got = self.append(&mut chunk, take)?;
                    if got < take {
                        self.state = State::Opaque;
                        break;
                    }
                    let left = left - take as u64;
                    self.state = if left == 0 { State::Header { in_group } } else { State::Data { left, in_group } };
                }
                State::Header { in_group } => {
                    let mut header = Box::new([0_u8; BLOCK]);
                    let got = read_full(&mut self.source, &mut header[..])?;
                    if got < BLOCK {
                        chunk.extend_from_slice(&header[..got]);
                        self.state = State::Opaque;
                        break;
                    }
                    if !in_group && is_cut(&header, chunk.len()) {
                        self.pending = Some(header);
                        break;
                    }
                    self.accept_header(&header, &mut chunk);
                }
            }
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    fn accept_header(&mut self, header: &[u8; BLOCK], chunk: &mut Vec<u8>) {
        chunk.extend_from_slice(header);
        self.state = match data_size(header) {
            None => State::Opaque,
            Some(size) => {
                let in_group = matches!(header[156], b'x' | b'g' | b'L' | b'K');
                let left = size.div_ceil(BLOCK as u64) * BLOCK as u64;
                if left == 0 { State::Header { in_group } } else { State::Data { left, in_group } }
            }
        };
    }

    /// Adds up to `take` bytes of the stream; fewer only at its end.
    fn append(&mut self, chunk: &mut Vec<u8>, take: usize) -> io::Result<usize> {
        let before = chunk.len();
        (&mut self.source).take(take as u64).read_to_end(chunk)?;
        Ok(chunk.len() - before)
    }
}

/// Whether the chunk ends in front of this entry. A large file always begins a chunk of its own, so that its inner
/// cuts depend on nothing that stands before it.
fn is_cut(header: &[u8; BLOCK], chunk_len: usize) -> bool {
    if chunk_len == 0 {
        return false;
    }
    let large = data_size(header).is_some_and(|size| size >= CHUNK_SIZE_MAX as u64);
    large || (chunk_len >= CHUNK_SIZE_MIN && name_hash(header).is_multiple_of(CUT_ONE_IN))
}

/// FNV-1a of the name and prefix fields, mixed once more because names differ mostly in their last bytes.
fn name_hash(header: &[u8; BLOCK]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in header[..100].iter().chain(&header[345..500]) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^ (hash >> 29)
}

/// Bytes of data behind a header; `None` when the block is no header (the end marker, or no tar).
fn data_size(header: &[u8; BLOCK]) -> Option<u64> {
    if header.iter().all(|byte| *byte == 0) {
        return None;
    }
    if matches!(header[156], b'1'..=b'6') {
        return Some(0);
    }
    let field = &header[124..136];
    if field[0] & 0x80 != 0 {
        return Some(field[4..].iter().fold(0, |size, byte| size << 8 | u64::from(*byte)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, size: usize) -> [u8; BLOCK] {
        let mut block = [0_u8; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        block[156] = b'0';
        block
    }

    fn tar(files: &[(String, usize)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, size) in files {
            out.extend_from_slice(&header(name, *size));
            out.extend(std::iter::repeat_n(name.len() as u8, size.div_ceil(BLOCK) * BLOCK));
        }
        out.extend_from_slice(&[0; 1024]);
        out
    }

    fn cut(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::new(bytes);
        std::iter::from_fn(|| cutter.next_chunk().unwrap()).collect()
    }

    #[test]
    fn chunks_join_to_the_stream_and_respect_the_limits() {
        let files: Vec<(String, usize)> = (0..800).map(|n| (format!("dir/file{n}"), n * 37 % 50_000)).collect();
        let bytes = tar(&files);
        let chunks = cut(&bytes);
        assert!(chunks.len() > 3, "{}", chunks.len());
        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_SIZE_MAX));
        assert_eq!(chunks.concat(), bytes);
    }

    #[test]
    fn a_changed_file_changes_only_its_own_chunk() {
        let mut files: Vec<(String, usize)> = (0..2000).map(|n| (format!("dir/file{n}"), n * 37 % 20_000)).collect();
        let before = cut(&tar(&files));
        files[1000].1 += 3000;
        let after = cut(&tar(&files));
        let fresh = after.iter().filter(|chunk| !before.contains(chunk)).count();
        assert!(fresh <= 2, "{fresh} of {} chunks changed", after.len());
    }

    #[test]
    fn large_files_are_cut_from_their_own_beginning() {
        let small = tar(&[("a".to_owned(), 100), ("big".to_owned(), 10 << 20)]);
        let other = tar(&[("a".to_owned(), 9000), ("big".to_owned(), 10 << 20)]);
        let (small, other) = (cut(&small), cut(&other));
        assert_eq!(small[1..], other[1..]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_pass_unchanged(bytes in proptest::collection::vec(0_u8..4, 0..4000)) {
            assert_eq!(cut(&bytes).concat(), bytes);
        }
    }
}
