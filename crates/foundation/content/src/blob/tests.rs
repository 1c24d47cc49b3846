//! In: blobs, and what can befall their files. Out: proof that a wrong one is found and never handed out twice. Never: a test that needs root.

use std::path::Path;

use super::*;
use crate::{GcOptions, Lease};

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

#[test]
fn an_open_blob_survives_its_collection() {
    let it = fixture();
    let digest = it.store.put(&it.lease, b"still readable").unwrap();
    let Blob { mut file, size_bytes } = it.store.open_blob(digest).unwrap().unwrap();
    let Fixture { store, lease, _place } = it;
    drop(lease);
    let report = store.gc(&GcOptions::default(), &mut |_| Ok(())).unwrap();
    assert_eq!((report.blobs, report.blob_bytes), (1, 14));
    assert!(store.open_blob(digest).unwrap().is_none());
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), size_bytes), ("still readable", 14));
}

#[test]
fn what_was_never_stored_is_a_miss() {
    let it = fixture();
    let digest = BlobDigest::of(b"nowhere");
    assert!(it.store.open_blob(digest).unwrap().is_none());
    assert!(it.store.open_verified(digest).unwrap().is_none());
    assert!(it.store.read(digest, 10).unwrap().is_none());
    assert_eq!(it.store.size(digest).unwrap(), None);
}

#[test]
fn a_missing_or_short_file_is_a_miss_and_loses_its_row() {
    let it = fixture();
    let delete = |path: &Path| fs::remove_file(path);
    let shorten = |path: &Path| fs::write(path, b"sho");
    for damage in [&delete as &dyn Fn(&Path) -> io::Result<()>, &shorten] {
        for ask in [
            |store: &Store, digest| store.open_blob(digest).unwrap().is_some(),
            |store: &Store, digest| store.has(digest).unwrap(),
            |store: &Store, digest| store.read(digest, 100).unwrap().is_some(),
        ] {
            let digest = it.store.put(&it.lease, b"short").unwrap();
            damage(&it.store.blob_path(digest)).unwrap();
            assert!(!ask(&it.store, digest));
            assert!(it.store.blobs().unwrap().is_empty());
            assert!(!it.store.blob_path(digest).exists());
        }
    }
}

#[test]
fn a_damaged_blob_is_an_error_once_and_a_miss_afterwards() {
    let it = fixture();
    let digest = it.store.put(&it.lease, b"right").unwrap();
    fs::write(it.store.blob_path(digest), b"wrong").unwrap();
    assert_eq!(it.store.check().unwrap().faults.len(), 1);
    let error = it.store.read(digest, 100).unwrap_err();
    assert!(matches!(error, ContentError::BlobDamaged { got, .. } if got == BlobDigest::of(b"wrong")), "{error}");
    assert!(it.store.read(digest, 100).unwrap().is_none());
    assert!(it.store.check().unwrap().is_clean());
    it.store.put(&it.lease, b"right").unwrap();
    assert_eq!(&it.store.read(digest, 100).unwrap().unwrap()[..], b"right");
}

#[test]
fn a_damaged_blob_is_found_with_the_last_bytes_of_a_stream() {
    let it = fixture();
    let digest = it.store.put(&it.lease, b"right").unwrap();
    let mut text = String::new();
    it.store.open_verified(digest).unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "right");
    fs::write(it.store.blob_path(digest), b"wrong").unwrap();
    let mut stream = it.store.open_verified(digest).unwrap().unwrap();
    // A reader that stops at the known size gets no chance to miss it.
    let error = stream.read_exact(&mut [0; 5]).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert!(it.store.open_blob(digest).unwrap().is_none());
}

#[test]
fn the_stream_of_an_empty_blob_ends_at_once() {
    let it = fixture();
    let digest = it.store.put(&it.lease, b"").unwrap();
    let mut stream = it.store.open_verified(digest).unwrap().unwrap();
    assert_eq!(stream.read(&mut [0; 5]).unwrap(), 0);
    assert_eq!(stream.size_bytes(), 0);
    assert_eq!(it.store.read(digest, 0).unwrap().unwrap().len(), 0);
}

#[test]
fn a_blob_truncated_while_it_is_read_is_not_taken_for_its_end() {
    let it = fixture();
    let digest = it.store.put(&it.lease, &[7; 1000]).unwrap();
    let mut stream = it.store.open_verified(digest).unwrap().unwrap();
    stream.read_exact(&mut [0; 100]).unwrap();
    fs::OpenOptions::new().write(true).open(it.store.blob_path(digest)).unwrap().set_len(500).unwrap();
    assert!(stream.read_to_end(&mut Vec::new()).is_err());
}

#[test]
fn a_blob_above_the_limit_is_refused_before_it_is_read() {
    let it = fixture();
    let digest = it.store.put(&it.lease, b"12345").unwrap();
    let error = it.store.read(digest, 4).unwrap_err();
    assert!(matches!(error, ContentError::BlobTooLarge { size_bytes: 5, max_bytes: 4, .. }), "{error}");
}

#[test]
fn asking_under_a_lease_covers_the_blob() {
    let it = fixture();
    let asked = it.store.put(&it.lease, b"asked for").unwrap();
    let other = it.store.put(&it.lease, b"not asked for").unwrap();
    let Fixture { store, lease, _place } = it;
    drop(lease);
    let lease = store.lease().unwrap();
    assert!(store.has(asked).unwrap());
    assert_eq!(store.gc(&GcOptions::default(), &mut |_| Ok(())).unwrap().blobs, 1);
    assert!(store.has(asked).unwrap() && !store.has(other).unwrap());
    drop(lease);
    assert_eq!(store.gc(&GcOptions::default(), &mut |_| Ok(())).unwrap().blobs, 1);
}
