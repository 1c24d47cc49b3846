//! In: stores with garbage of every kind. Out: proof that it goes, and nothing else. Never: a test that needs root.

use std::time::Duration;

use fs_err as fs;

use super::*;
use crate::{Link, Space, UNTAGGED_PREFIX, place};
use crossdock_oci::BlobDigest;

fn store() -> (tempfile::TempDir, Store) {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    (place, store)
}

fn collect(store: &Store, options: GcOptions) -> GcReport {
    let folder = store.snapshot_root();
    store.gc(&options, &mut |id| fs::remove_dir_all(folder.join(id))).unwrap()
}

#[test]
fn what_an_image_or_a_cache_row_reaches_stays() {
    let (_place, store) = store();
    let lease = store.lease().unwrap();
    let blob = |text: &str| store.put(&lease, text.as_bytes()).unwrap();
    let (config, layer, cached, lost) = (blob("config"), blob("layer"), blob("cached"), blob("lost"));
    let layer_link = [Link::Blob(layer)];
    store.put_row(Space::Layer, "l1", b"", &layer_link).unwrap();
    store.put_row(Space::Layer, "l2", b"", &[Link::Blob(cached)]).unwrap();
    store.put_row(Space::Listing, "nobody's", b"", &[Link::Blob(lost)]).unwrap();
    let image_links = [Link::Blob(config), Link::Row(Space::Layer, "l1".into()), Link::Blob(BlobDigest::of(b"absent"))];
    store.put_row(Space::Image, "app:1", b"", &image_links).unwrap();
    store.put_row(Space::Record, "r", b"", &[Link::Row(Space::Layer, "l2".into())]).unwrap();

    assert_eq!(collect(&store, GcOptions { cache: true, all: true, ..GcOptions::default() }), GcReport::default());
    drop(lease);
    let report = collect(&store, GcOptions::default());
    assert_eq!((report.blobs, report.blob_bytes, report.rows), (1, 4, 1));
    assert!(!store.has(lost).unwrap());
    let report = collect(&store, GcOptions { cache: true, ..GcOptions::default() });
    assert_eq!((report.blobs, report.rows, report.images), (1, 2, 0));
    assert!(store.has(config).unwrap() && store.has(layer).unwrap() && !store.has(cached).unwrap());
    let report = collect(&store, GcOptions { all: true, ..GcOptions::default() });
    assert_eq!((report.blobs, report.rows, report.images), (2, 2, 1));
    assert_eq!(fs::read_dir(store.root().join(place::BLOBS)).unwrap().count(), 0);
    assert_eq!(fs::read_dir(store.root().join(place::TRASH)).unwrap().count(), 0);
}

#[test]
fn images_without_a_name_go_when_asked() {
    let (_place, store) = store();
    let untagged = format!("{UNTAGGED_PREFIX}{}", BlobDigest::of(b"index"));
    store.put_row(Space::Image, &untagged, b"", &[]).unwrap();
    store.put_row(Space::Image, "docker.io/library/app:1", b"", &[]).unwrap();
    let options = GcOptions { dangling_images: true, ..GcOptions::default() };
    let recently = GcOptions { unused_for: Some(Duration::from_secs(3600)), ..options };
    assert_eq!(collect(&store, recently).images, 0);
    assert_eq!(collect(&store, options).images, 1);
    assert_eq!(store.scan(Space::Image).unwrap().len(), 1);
}

#[test]
fn rereading_a_layer_covers_all_it_needs() {
    let (_place, store) = store();
    let lease = store.lease().unwrap();
    let blob = store.put(&lease, b"bytes").unwrap();
    store.put_row(Space::Layer, "l", b"value", &[Link::Blob(blob)]).unwrap();
    store.put_row(Space::Record, "r", b"", &[Link::Row(Space::Layer, "l".into())]).unwrap();
    drop(lease);
    let lease = store.lease().unwrap();
    assert!(store.get(Space::Layer, "l").unwrap().is_some());
    let everything = GcOptions { cache: true, all: true, ..GcOptions::default() };
    assert_eq!(collect(&store, everything).rows, 1);
    assert!(store.has(blob).unwrap());
    store.touch(Space::Layer, &["l", "nowhere"]).unwrap();
    drop(lease);
    assert_eq!(collect(&store, everything), GcReport { rows: 1, blobs: 1, blob_bytes: 5, ..GcReport::default() });
}

#[test]
fn files_of_killed_writers_are_swept() {
    let (_place, store) = store();
    let orphan = BlobDigest::of(b"renamed, no row");
    fs::write(store.blob_path(orphan), b"renamed, no row").unwrap();
    fs::write(store.root().join(place::INGEST).join("zz-1"), b"half").unwrap();
    fs::write(store.root().join(place::TRASH).join("x"), b"t").unwrap();
    let strange = store.root().join(place::BLOBS).join("not-a-digest");
    fs::write(&strange, b"").unwrap();
    let report = store.check().unwrap();
    assert!(report.is_clean());
    assert_eq!(report.leftovers.len(), 3, "{:?}", report.lines());
    let report = collect(&store, GcOptions::default());
    assert_eq!((report.leftovers, report.leftover_bytes), (3, 20));
    assert!(store.check().unwrap().leftovers.is_empty());
    assert!(strange.exists());
}

#[test]
fn rows_without_a_file_go() {
    let (_place, store) = store();
    let lease = store.lease().unwrap();
    let blob = store.put(&lease, b"bytes").unwrap();
    store.put_row(Space::Image, "app:1", b"", &[Link::Blob(blob)]).unwrap();
    fs::remove_file(store.blob_path(blob)).unwrap();
    assert_eq!(collect(&store, GcOptions::default()), GcReport::default());
    assert!(store.blobs().unwrap().is_empty());
}

#[test]
fn a_snapshot_that_cannot_be_removed_is_reported_and_tried_again() {
    let (_place, store) = store();
    let lease = store.lease().unwrap();
    let id = store.new_snapshot(&lease).unwrap();
    store.put_row(Space::Snapshot, &id, b"", &[]).unwrap();
    drop(lease);
    let report = store.gc(&GcOptions::default(), &mut |_| Err(io::Error::other("busy"))).unwrap();
    assert_eq!((report.rows, report.snapshots), (1, 0));
    assert_eq!(report.failed_snapshots, [(id, "busy".to_owned())]);
    assert_eq!(collect(&store, GcOptions::default()).snapshots, 1);
    assert_eq!(fs::read_dir(store.snapshot_root()).unwrap().count(), 0);
}

#[test]
fn a_limited_collection_takes_the_largest_blobs_first() {
    let (_place, store) = store();
    let lease = store.lease().unwrap();
    for size in [10, 3000, 20, 500] {
        store.put(&lease, &vec![1; size]).unwrap();
    }
    drop(lease);
    let mut report = GcReport::default();
    let collected = store.collect(&GcOptions::default(), Some(2), &mut report).unwrap();
    assert_eq!((report.blobs, report.blob_bytes, collected.is_complete), (2, 3500, false));
    let collected = store.collect(&GcOptions::default(), Some(2), &mut report).unwrap();
    assert_eq!((report.blobs, collected.is_complete), (4, true));
}

#[test]
fn the_database_gives_its_space_back() {
    let (_place, store) = store();
    let size = || fs::metadata(store.root().join(crate::database::FILE_NAME)).unwrap().len();
    let keys: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    let links = [Link::Row(Space::Stat, "0".to_owned())];
    let rows: Vec<crate::Row<'_>> =
        keys.iter().map(|key| crate::Row { space: Space::Stat, key, value: &[7; 500], links: &links }).collect();
    store.put_rows(&rows).unwrap();
    store.inner.database.shrink().unwrap();
    assert!(size() > 1_000_000, "{}", size());
    assert_eq!(collect(&store, GcOptions { cache: true, ..GcOptions::default() }).rows, 2000);
    assert!(size() < 100_000, "{}", size());
}
