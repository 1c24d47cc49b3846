//! In: any bytes as a layer or an archive to ADD. Out: nothing. Never: a panic, a path that leaves its root, more bytes of a file than its size says, a listing that cannot be read back.

use crossdock_snapshot::EntryKind;
use crossdock_snapshot::listing::{Listing, from_tar};
use crossdock_snapshot::tar::{Chunk, Reader, TarEntry};

/// Holes cost time, not input: larger files are not followed to their end here.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads an archive in both meanings, and lists it as a layer.
pub fn run(bytes: &[u8]) {
    read(Reader::new(bytes));
    read(Reader::plain(bytes));
    if declared(bytes) > FILE_BYTES_MAX {
        return;
    }
    let Ok(scan) = from_tar(bytes) else { return };
    let again = Listing::decode(&scan.listing.encode()).expect("a listing reads what it wrote");
    assert_eq!(again, scan.listing);
}

fn read(mut reader: Reader<&[u8]>) {
    while let Ok(Some(item)) = reader.next_item() {
        let TarEntry::Entry(entry) = item.entry else { continue };
        assert!(!entry.path.components().any(|part| part == b".." || part == b"." || part.is_empty()));
        let EntryKind::File { size_bytes } = entry.kind else { continue };
        let mut got = 0_u64;
        while let Ok(Some(chunk)) = reader.next_chunk() {
            got += match chunk {
                Chunk::Bytes(bytes) => bytes.len() as u64,
                Chunk::Hole(length) => length,
            };
        }
        assert!(got <= size_bytes, "{got} bytes of {size_bytes}");
    }
}

/// Bytes of all files as their headers say.
fn declared(bytes: &[u8]) -> u64 {
    let mut reader = Reader::new(bytes);
    let mut sum = 0_u64;
    while let Ok(Some(item)) = reader.next_item() {
        if let TarEntry::Entry(entry) = item.entry {
            sum = sum.saturating_add(entry.size_bytes());
        }
    }
    sum
}
