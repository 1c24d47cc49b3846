//! In: any bytes as a stored listing, and as what is packed in one. Out: nothing. Never: a panic, unbounded memory, a listing that cannot be stored again.

use crossdock_snapshot::listing::Listing;

/// What stands before the packed rows.
const MAGIC: &[u8; 8] = b"XDLIST\x00\x01";

/// Reads a listing; bytes that do not begin as one count as its rows, so that the compression is no wall.
pub fn run(bytes: &[u8]) {
    check(bytes);
    if let Ok(packed) = zstd::bulk::compress(bytes, 1) {
        check(&[MAGIC, &packed[..]].concat());
    }
}

fn check(stored: &[u8]) {
    let Ok(listing) = Listing::decode(stored) else { return };
    let again = Listing::decode(&listing.encode()).expect("a listing reads what it wrote");
    assert_eq!(again, listing);
}
