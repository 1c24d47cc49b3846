//! In: blobs written in all ways. Out: proof that they arrive whole, once, durable, or not at all. Never: a test that needs root.

use std::io::{Seek as _, SeekFrom};

use fs_err as fs;

use super::*;
use crate::fsync_count;

struct Fixture {
    _place: tempfile::TempDir,
    store: Store,
    lease: Lease,
}

fn fixture() -> Fixture {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    let lease = store.lease().unwrap();
    Fixture { _place: place, store, lease }
}

impl Fixture {
    fn temporary_files(&self) -> usize {
        fs::read_dir(self.store.root().join(place::INGEST)).unwrap().count()
    }

    fn stored(&self, digest: BlobDigest) -> Option<Vec<u8>> {
        self.store.read(digest, u64::MAX).unwrap().map(|bytes| bytes.to_vec())
    }
}

#[test]
fn pieces_of_all_sizes_make_one_blob() {
    let it = fixture();
    let mut ingest = it.store.ingest(&it.lease).unwrap();
    let mut whole = Vec::new();
    for size in [1, 512, BUFFER_SIZE - 1, 7, BUFFER_SIZE, 0, 3 * BUFFER_SIZE + 1, 2] {
        let piece: Vec<u8> = (0..size).map(|index| (index * 31 + size) as u8).collect();
        ingest.write_all(&piece).unwrap();
        whole.extend_from_slice(&piece);
    }
    assert_eq!(ingest.size_bytes(), whole.len() as u64);
    let (digest, size) = ingest.commit().unwrap();
    assert_eq!((digest, size), (BlobDigest::of(&whole), whole.len() as u64));
    assert_eq!(it.stored(digest).unwrap(), whole);
    assert_eq!(it.temporary_files(), 0);
}

#[test]
fn a_new_blob_costs_two_syncs_and_a_known_one_none() {
    // Other tests of this process sync too, so the smallest of several tries counts.
    let it = fixture();
    let cost = |bytes: &[u8]| {
        let before = fsync_count();
        it.store.put(&it.lease, bytes).unwrap();
        fsync_count() - before
    };
    let new = (0..50_u8).map(|number| cost(&[number])).min().unwrap();
    let known = (0..50_u8).map(|number| cost(&[number])).min().unwrap();
    assert_eq!((new, known), (2, 0));
}

#[test]
fn several_blobs_share_the_sync_of_the_directory() {
    let it = fixture();
    let batch = |round: u8| {
        let ingests: Vec<Ingest> = (0..4_u8)
            .map(|number| {
                let mut ingest = it.store.ingest(&it.lease).unwrap();
                ingest.write_all(&[round, number]).unwrap();
                ingest
            })
            .collect();
        let before = fsync_count();
        let names = it.store.commit_all(ingests).unwrap();
        let cost = fsync_count() - before;
        for (number, (digest, size)) in names.into_iter().enumerate() {
            assert_eq!((digest, size), (BlobDigest::of(&[round, number as u8]), 2));
            assert!(it.store.has(digest).unwrap());
        }
        cost
    };
    assert_eq!((0..30).map(batch).min(), Some(5));
}

#[test]
fn a_dropped_ingest_leaves_nothing() {
    let it = fixture();
    let mut ingest = it.store.ingest(&it.lease).unwrap();
    ingest.write_all(b"never finished").unwrap();
    assert_eq!(it.temporary_files(), 1);
    drop(ingest);
    assert_eq!(it.temporary_files(), 0);
    assert!(!it.store.has(BlobDigest::of(b"never finished")).unwrap());
}

#[test]
fn another_blob_than_expected_is_refused() {
    let it = fixture();
    let commit = |bytes: &[u8], want: &Descriptor| {
        let mut ingest = it.store.ingest(&it.lease).unwrap();
        ingest.write_all(bytes).unwrap();
        ingest.commit_expecting(want)
    };
    let want = Descriptor::of("text/plain", b"right");
    let short = commit(b"righ", &want).unwrap_err();
    assert!(matches!(short, ContentError::BlobTruncated { want: 5, got: 4, .. }), "{short}");
    let long = commit(b"rightly", &want).unwrap_err();
    assert!(matches!(long, ContentError::BlobOverlong { want: 5, got: 7, .. }), "{long}");
    let wrong = commit(b"wrong", &want).unwrap_err();
    assert!(matches!(wrong, ContentError::DigestMismatch { got, .. } if got == BlobDigest::of(b"wrong")), "{wrong}");
    assert!(!it.store.has(BlobDigest::of(b"wrong")).unwrap());
    assert_eq!(it.temporary_files(), 0);
    commit(b"right", &want).unwrap();
    assert_eq!(it.stored(want.digest).unwrap(), b"right");
}

#[test]
fn callers_may_hash_themselves() {
    let it = fixture();
    let mut ingest = it.store.ingest_without_hash(&it.lease).unwrap();
    ingest.write_all(b"head ").unwrap();
    let mut file = ingest.file();
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(b"and body").unwrap();
    ingest.commit_as(BlobDigest::of(b"head and body"), 13).unwrap();
    assert_eq!(it.stored(BlobDigest::of(b"head and body")).unwrap(), b"head and body");

    let mut ingest = it.store.ingest_without_hash(&it.lease).unwrap();
    ingest.write_all(b"short").unwrap();
    let error = ingest.commit_as(BlobDigest::of(b"short"), 6).unwrap_err();
    assert!(matches!(error, ContentError::BlobTruncated { want: 6, got: 5, .. }), "{error}");

    let mut ingest = it.store.ingest_without_hash(&it.lease).unwrap();
    ingest.write_all(b"read back").unwrap();
    assert_eq!(ingest.commit().unwrap(), (BlobDigest::of(b"read back"), 9));
}

#[test]
fn a_lost_or_short_file_is_brought_back_by_the_next_ingest() {
    let it = fixture();
    let digest = it.store.put(&it.lease, b"comes back").unwrap();
    let path = it.store.blob_path(digest);
    fs::remove_file(&path).unwrap();
    it.store.put(&it.lease, b"comes back").unwrap();
    assert_eq!(it.stored(digest).unwrap(), b"comes back");
    fs::write(&path, b"comes").unwrap();
    it.store.put(&it.lease, b"comes back").unwrap();
    assert_eq!(it.stored(digest).unwrap(), b"comes back");
}
