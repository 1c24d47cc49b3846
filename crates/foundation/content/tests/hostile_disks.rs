//! In: disks that are full or read-only, in a mount namespace of their own. Out: proof that errors name the place and the way out, and that pruning works. Never: a mount the host can see.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "all of this file is a test")]

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crossdock_content::{ContentError, GcOptions, Link, Space, Store};
use fs_err as fs;

/// Runs `child` with `task` in a fresh mount namespace with an empty tmpfs at `place`; false when that is not allowed.
fn on_a_small_disk(task: &str, place: &Path) -> bool {
    let exe = std::env::current_exe().unwrap();
    let script = "mount -t tmpfs -o size=4m,mode=0700 small \"$1\" && exec \"$2\" --exact child --nocapture";
    let is_root = rustix::process::geteuid().is_root();
    let flags = if is_root { "-m" } else { "-Urm" };
    let probe = Command::new("unshare").args([flags, "mount", "-t", "tmpfs", "probe"]).arg(place).output();
    match probe {
        Ok(output) if output.status.success() => {}
        outcome => {
            let reason =
                outcome.map_or_else(|error| error.to_string(), |out| String::from_utf8_lossy(&out.stderr).into());
            println!("skipped: no tmpfs in a namespace of our own: {reason}");
            return false;
        }
    }
    let output = Command::new("unshare")
        .args([flags, "sh", "-c", script, "sh"])
        .arg(place)
        .arg(exe)
        .env("CONTENT_DISK_CHILD", format!("{task} {}", place.display()))
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    assert!(output.status.success(), "{text}");
    assert!(text.contains("child done"), "{text}");
    true
}

/// Not a test: what happens on the small disk.
#[test]
fn child() {
    let Ok(task) = std::env::var("CONTENT_DISK_CHILD") else { return };
    let (task, place) = task.split_once(' ').unwrap();
    let root = Path::new(place).join("state");
    match task {
        "full" => fill_and_prune(&root),
        "full-of-others" => prune_on_a_disk_full_of_others(&root),
        "read-only" => refuse_read_only(&root),
        other => panic!("unknown task {other}"),
    }
    println!("child done");
}

fn fill_and_prune(root: &Path) {
    let store = Store::open(root).unwrap();
    let error = fill(&store);
    let text = error.to_string();
    assert!(error.is_disk_full(), "{text}");
    for part in ["disk full", root.to_str().unwrap(), "crossdock prune -a", "CROSSDOCK_STATE_DIR"] {
        assert!(text.contains(part), "{part:?} not in {text:?}");
    }
    let stored = store.blobs().unwrap().len();
    assert!(stored > 3);
    drop(store);
    fill_to_the_brim(&root.with_file_name("filler"));

    // How far one gets depends on what SQLite left in its log; a blob is too much in any case.
    let attempt = Store::open(root).and_then(|store| store.put(&store.lease()?, &[1; 100_000]));
    let error = attempt.unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    let store = Store::open_for_pruning(root).unwrap();
    assert_eq!(store.blobs().unwrap().len(), stored);
    let report = store.gc(&GcOptions { cache: true, ..GcOptions::default() }, &mut |_| Ok(())).unwrap();
    assert_eq!(report.blobs as usize, stored);
    let check = store.check().unwrap();
    assert!(check.is_clean() && check.leftovers.is_empty(), "{:?}", check.lines());
    let lease = store.lease().unwrap();
    store.put(&lease, &[1; 100_000]).unwrap();
    assert!(root.join("reserve").exists(), "space for the next time is set aside again");
}

/// Here not even the database's log has any space: only what was set aside for it.
fn prune_on_a_disk_full_of_others(root: &Path) {
    let store = Store::open(root).unwrap();
    let lease = store.lease().unwrap();
    for number in 0..10_u8 {
        let digest = store.put(&lease, &[number; 50_000]).unwrap();
        store.put_row(Space::Record, &number.to_string(), b"", &[Link::Blob(digest)]).unwrap();
    }
    drop((lease, store));
    assert!(!root.join("metadata.sqlite-wal").exists());
    fill_to_the_brim(&root.with_file_name("filler"));
    let attempt = Store::open(root).and_then(|store| store.lease());
    let error = attempt.map(|_| ()).unwrap_err();
    assert!(error.is_disk_full(), "{error:?}");
    println!("on the full disk: {error}");
    let store = Store::open_for_pruning(root).unwrap();
    let report = store.gc(&GcOptions { cache: true, ..GcOptions::default() }, &mut |_| Ok(())).unwrap();
    assert_eq!((report.blobs, report.rows), (10, 10));
    store.lease().unwrap();
}

fn fill(store: &Store) -> ContentError {
    let lease = store.lease().unwrap();
    for number in 0..1000_u32 {
        let stored = store.ingest(&lease).and_then(|mut ingest| {
            let bytes: Vec<u8> = number.to_le_bytes().repeat(25_000);
            // Through Write the error is an io::Error, which must still say what to do.
            if let Err(error) = ingest.write_all(&bytes) {
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
                assert!(error.to_string().contains("crossdock prune -a"), "{error}");
            }
            ingest.commit()
        });
        let row = stored
            .and_then(|(digest, _)| store.put_row(Space::Record, &number.to_string(), b"", &[Link::Blob(digest)]));
        if let Err(error) = row {
            return error;
        }
    }
    panic!("a disk of 4 MiB held 100 MB");
}

fn fill_to_the_brim(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
}

fn refuse_read_only(root: &Path) {
    drop(Store::open(root).unwrap());
    let remounted = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(root.parent().unwrap()).status().unwrap();
    assert!(remounted.success());
    for path in [root.to_path_buf(), root.with_file_name("new")] {
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, ContentError::NotWritable { .. }), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_full_disk_is_named_and_can_be_pruned() {
    let place = tempfile::tempdir().unwrap();
    on_a_small_disk("full", place.path());
}

#[test]
fn a_disk_full_of_other_things_can_be_pruned() {
    let place = tempfile::tempdir().unwrap();
    on_a_small_disk("full-of-others", place.path());
}

#[test]
fn a_read_only_disk_is_named() {
    let place = tempfile::tempdir().unwrap();
    on_a_small_disk("read-only", place.path());
}
