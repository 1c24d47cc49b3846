//! In: stores damaged in every way. Out: proof that the check names it, in words. Never: a test that needs root.

use super::*;
use crate::GcOptions;

#[test]
fn every_damage_has_its_line() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    let lease = store.lease().unwrap();
    let [missing, short, wrong, fine] =
        ["missing", "short", "wrong", "fine"].map(|text| store.put(&lease, text.as_bytes()).unwrap());
    assert_eq!(store.check().unwrap().lines(), ["checked 4 blobs (21 bytes), 0 rows, 0 snapshots: nothing wrong"]);
    fs::remove_file(store.blob_path(missing)).unwrap();
    fs::write(store.blob_path(short), b"shor").unwrap();
    fs::write(store.blob_path(wrong), b"gnorw").unwrap();
    let id = store.new_snapshot(&lease).unwrap();
    store.put_row(Space::Snapshot, &id, b"", &[]).unwrap();
    fs::remove_dir(store.snapshot_root().join(&id)).unwrap();
    let report = store.check().unwrap();
    for fault in [
        Fault::BlobMissing { digest: missing },
        Fault::BlobSize { digest: short, want: 5, got: 4 },
        Fault::BlobDamaged { digest: wrong, got: BlobDigest::of(b"gnorw") },
        Fault::SnapshotMissing { id },
    ] {
        assert!(report.faults.contains(&fault), "{fault} not in {:?}", report.lines());
    }
    assert_eq!(report.faults.len(), 4);
    assert!(!report.is_clean() && report.lines().last().unwrap().ends_with("4 wrong"));
    assert!(store.has(fine).unwrap());
    for digest in [missing, short, wrong] {
        assert!(store.discard_blob(digest).unwrap());
    }
    assert!(!store.discard_blob(wrong).unwrap());
    drop(lease);
    store.gc(&GcOptions::default(), &mut |_| Ok(())).unwrap();
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn rows_that_lost_their_values_are_named() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    store.put_row(Space::Pin, "p", b"", &[]).unwrap();
    store
        .inner
        .database
        .write("test", crate::database::Durability::Ordered, |transaction| transaction.execute("DELETE FROM value", []))
        .unwrap();
    let report = store.check().unwrap();
    assert_eq!(report.lines()[0], "wrong: metadata database: 1 rows, values or links without their counterpart");
}

#[test]
fn living_work_is_no_leftover() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    let lease = store.lease().unwrap();
    let _ingest = store.ingest(&lease).unwrap();
    let _id = store.new_snapshot(&lease).unwrap();
    let report = store.check().unwrap();
    assert_eq!((report.faults.len(), report.leftovers.len()), (0, 0), "{:?}", report.lines());
}
