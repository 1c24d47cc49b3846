//! In: addresses in a followed process. Out: the texts and lists there; new ones below its stack. Never: a write where the process keeps anything.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Below the stack pointer a function may keep this much without saying so, in bytes (the red zone of x86-64).
const RED_ZONE_BYTES: u64 = 128;
/// The longest path, in bytes, with its NUL.
const PATH_BYTES_MAX: usize = 4096;
/// More arguments fit no program: with its pointer each takes 9 bytes of the kernel's 6 MiB.
const ARGUMENTS_MAX: usize = 1 << 20;
/// What may be written below a stack pointer without a look at the map: the guard below every stack is bigger.
const UNCHECKED_BYTES: u64 = 3072;
/// What must stay free between a growing stack and what lies below it, in bytes: the kernel's own gap.
const STACK_GAP_BYTES: u64 = 1 << 20;

/// The memory of a process.
#[derive(Debug)]
pub(super) struct Memory(File);

impl Memory {
    /// Opens the memory of a thread through its directory in a /proc.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let file = fs_err::OpenOptions::new().read(true).write(true).open(directory.join("mem"))?;
        Ok(Self(file.into_file()))
    }

    /// A path at an address, without its NUL.
    ///
    /// # Errors
    /// EFAULT, ENAMETOOLONG.
    pub(super) fn path(&self, address: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < PATH_BYTES_MAX {
            let chunk = self.chunk(address + bytes.len() as u64)?;
            if let Some(end) = chunk.iter().position(|&byte| byte == 0) {
                bytes.extend(&chunk[..end]);
                return Ok(bytes);
            }
            bytes.extend(chunk);
        }
        Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
    }

    /// A list of addresses up to a null one, which is not given back.
    ///
    /// # Errors
    /// EFAULT, E2BIG.
    pub(super) fn pointers(&self, address: u64) -> io::Result<Vec<u64>> {
        const WORD: usize = size_of::<u64>();
        let mut list = Vec::new();
        if address == 0 {
            // Linux takes no list as an empty one.
            return Ok(list);
        }
        let mut left = Vec::new();
        let mut place = address;
        while list.len() < ARGUMENTS_MAX {
            let chunk = self.chunk(place)?;
            place += chunk.len() as u64;
            left.extend(chunk);
            let whole = left.len() / WORD * WORD;
            for word in left[..whole].chunks_exact(WORD) {
                match u64::from_ne_bytes(word.try_into().unwrap_or_default()) {
                    0 => return Ok(list),
                    pointer => list.push(pointer),
                }
            }
            left.drain(..whole);
        }
        Err(io::Error::from_raw_os_error(libc::E2BIG))
    }

    /// Some bytes from an address on, never beyond the end of their page.
    fn chunk(&self, address: u64) -> io::Result<Vec<u8>> {
        const PAGE: u64 = 4096;
        let length = usize::try_from(PAGE - address % PAGE).unwrap_or(1);
        let mut bytes = vec![0; length];
        let read = self.0.read_at(&mut bytes, address)?;
        if read == 0 {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        }
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Writes a block where its layout puts it.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn write(&self, block: &Block) -> io::Result<()> {
        self.0.write_all_at(&block.bytes, block.address)
    }
}

/// A word of a new argument list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// A new text.
    Text(Vec<u8>),
    /// A text that is there already.
    At(u64),
}

/// A path and an argument list as they lie in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) address: u64,
    bytes: Vec<u8>,
    /// Where the path lies.
    pub(super) path: u64,
    /// Where the list lies.
    pub(super) list: u64,
}

impl Block {
    /// Lays a path and a list out below a stack pointer.
    pub(super) fn below(stack_pointer: u64, path: &[u8], words: &[Word]) -> Self {
        let mut texts = path.to_vec();
        texts.push(0);
        let mut places = Vec::with_capacity(words.len());
        for word in words {
            match word {
                Word::At(address) => places.push(Err(*address)),
                Word::Text(text) => {
                    places.push(Ok(texts.len() as u64));
                    texts.extend(text);
                    texts.push(0);
                }
            }
        }
        let list_bytes = (words.len() as u64 + 1) * size_of::<u64>() as u64;
        let length = list_bytes + texts.len() as u64;
        let address = stack_pointer.saturating_sub(RED_ZONE_BYTES + length) & !15;
        let first_text = address + list_bytes;
        let mut bytes = Vec::with_capacity(texts.len() + places.len() * 8 + 8);
        for place in places {
            bytes.extend(place.map_or_else(|there| there, |offset| first_text + offset).to_ne_bytes());
        }
        bytes.extend(0_u64.to_ne_bytes());
        bytes.extend(texts);
        Self { address, bytes, path: first_text, list: address }
    }

    /// Whether the process's stack holds the block, given its map (`/proc/ID/maps`), which is asked for only when it matters.
    pub(super) fn fits(&self, stack_pointer: u64, map: impl FnOnce() -> String) -> bool {
        stack_pointer - self.address <= UNCHECKED_BYTES
            || room_below(&map(), stack_pointer) >= stack_pointer - self.address
    }
}

/// How many bytes below an address belong to the same stack.
fn room_below(map: &str, stack_pointer: u64) -> u64 {
    let mut end_below = 0;
    for line in map.lines() {
        let range = line.split_whitespace().next().and_then(|range| range.split_once('-'));
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let Some((Some(start), Some(end))) = range.map(|(start, end)| (number(start), number(end))) else { continue };
        if (start..end).contains(&(stack_pointer.saturating_sub(1))) {
            let own = stack_pointer - start;
            // The first thread's stack grows by itself, down to a gap above its neighbour.
            let grows = if line.ends_with("[stack]") { (start - end_below).saturating_sub(STACK_GAP_BYTES) } else { 0 };
            return own + grows;
        }
        end_below = end;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_reads_back_as_it_was_laid_out() {
        let words = [Word::Text(b"one".to_vec()), Word::At(0x1234), Word::Text(Vec::new())];
        let block = Block::below(0x7fff_0001, b"/q", &words);
        assert_eq!(block.address % 16, 0);
        let end = block.address + block.bytes.len() as u64;
        assert!(end + RED_ZONE_BYTES <= 0x7fff_0001, "the red zone is left alone");
        let at = |address: u64| &block.bytes[usize::try_from(address - block.address).unwrap()..];
        let word = |index: u64| u64::from_ne_bytes(at(block.list + 8 * index)[..8].try_into().unwrap());
        assert!(at(block.path).starts_with(b"/q\0"));
        assert!(at(word(0)).starts_with(b"one\0") && at(word(2)).starts_with(b"\0"));
        assert_eq!((word(1), word(3)), (0x1234, 0));
    }

    #[test]
    fn big_blocks_need_room() {
        let map = "1000-5000 rw-p 00000000 00:00 0\n\
                   7000000-7400000 rw-p 00000000 00:00 0\n\
                   7ffff0000000-7ffff0021000 rw-p 00000000 00:00 0                          [stack]\n";
        assert_eq!(room_below(map, 0x4000), 0x3000);
        assert_eq!(room_below(map, 0x6000), 0);
        assert_eq!(room_below(map, 0x7fff_f000_1000), 0x7fff_f000_1000 - 0x740_0000 - STACK_GAP_BYTES);
        let small = Block::below(0x4000, b"/q", &[]);
        assert!(small.fits(0x4000, || unreachable!("small blocks need no map")));
        let many = vec![Word::At(1); 2000];
        assert!(!Block::below(0x4000, b"/q", &many).fits(0x4000, || map.to_owned()));
        assert!(Block::below(0x7fff_f001_0000, b"/q", &many).fits(0x7fff_f001_0000, || map.to_owned()));
    }

    #[test]
    fn the_memory_of_this_process_is_read() {
        let text = c"/a/path";
        let list = [text.as_ptr() as u64, 7, 0, 9];
        let memory = Memory(fs_err::File::open("/proc/self/mem").unwrap().into_file());
        assert_eq!(memory.path(text.as_ptr() as u64).unwrap(), b"/a/path");
        assert_eq!(memory.pointers(list.as_ptr() as u64).unwrap(), [list[0], 7]);
        assert!(memory.pointers(0).unwrap().is_empty());
        assert!(memory.path(16).is_err());
    }
}
