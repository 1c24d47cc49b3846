//! In: several real processes on one state directory, some of them killed. Out: proof that they share it and that no death leaves it wrong. Never: a mock of a process.
//!
//! A child is this test binary again: `child` does what `CONTENT_CHILD` says. `CONTENT_SEED` repeats a run.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "all of this file is a test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossdock_content::{CheckReport, GcOptions, Lease, Link, Space, Store};
use crossdock_oci::BlobDigest;
use fs_err as fs;

/// Rounds of the test that kills children.
const KILL_ROUNDS: u64 = 25;

/// A small generator (xorshift64*), so that a printed seed is all there is to a run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    }
}

fn seed() -> u64 {
    let given = std::env::var("CONTENT_SEED").ok().and_then(|text| text.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = given.unwrap_or(now.as_nanos() as u64) | 1;
    println!("seed: CONTENT_SEED={seed}");
    seed
}

fn spawn(task: &str, root: &Path, seed: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env("CONTENT_CHILD", format!("{task} {seed} {}", root.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the child's line "ready".
fn wait_until_ready(child: &mut Child) {
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    for line in lines {
        if line.unwrap().ends_with("ready") {
            return;
        }
    }
    panic!("the child ended before it was ready");
}

fn say_ready() {
    println!("ready");
    std::io::stdout().flush().unwrap();
}

/// Not a test: what a child process does.
#[test]
fn child() {
    let Ok(task) = std::env::var("CONTENT_CHILD") else { return };
    let [task, seed, root] = task.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("bad task {task}") };
    let mut random = Random(seed.parse::<u64>().unwrap() | 1);
    match task {
        "work" => {
            for _ in 0..10 {
                let store = Store::open(Path::new(root)).unwrap();
                std::thread::scope(|scope| {
                    for _ in 0..2 {
                        let (store, mut random) = (store.clone(), Random(random.next(1 << 30) | 1));
                        scope.spawn(move || (0..2).for_each(|_| work_once(&store, &mut random)));
                    }
                });
            }
        }
        "work-forever" => {
            let store = Store::open(Path::new(root)).unwrap();
            say_ready();
            loop {
                work_once(&store, &mut random);
            }
        }
        "hold" => {
            let store = Store::open(Path::new(root)).unwrap();
            let lease = store.lease().unwrap();
            store.put(&lease, b"held").unwrap();
            let mut ingest = store.ingest_without_hash(&lease).unwrap();
            ingest.write_all(b"half").unwrap();
            let snapshot = store.new_snapshot(&lease).unwrap();
            fs::create_dir(store.snapshot_root().join(snapshot).join("fs")).unwrap();
            say_ready();
            std::thread::sleep(Duration::from_secs(600));
        }
        other => panic!("unknown task {other}"),
    }
}

/// What a build does to the store, with a bit of tagging, untagging and pruning.
fn work_once(store: &Store, random: &mut Random) {
    let lease = store.lease().unwrap();
    let image = format!("image-{}", random.next(6));
    match random.next(10) {
        0 => {
            store.remove_row(Space::Image, &image).unwrap();
        }
        1 => {
            let options = GcOptions { cache: random.next(2) == 0, ..GcOptions::default() };
            store.gc(&options, &mut |id| fs::remove_dir_all(store.snapshot_root().join(id))).unwrap();
        }
        2 => {
            store.sync_snapshots().unwrap();
        }
        _ => build_once(store, &lease, &image, random),
    }
}

fn build_once(store: &Store, lease: &Lease, image: &str, random: &mut Random) {
    let mut links = Vec::new();
    for _ in 0..=random.next(3) {
        // Few different blobs, so that processes meet on the same digests.
        let digest = ingest(store, lease, random.next(24), random);
        let snapshot = store.new_snapshot(lease).unwrap();
        fs::create_dir(store.snapshot_root().join(&snapshot).join("fs")).unwrap();
        fs::write(store.snapshot_root().join(&snapshot).join("fs/file"), &snapshot).unwrap();
        store.put_row(Space::Snapshot, &snapshot, b"", &[]).unwrap();
        let layer = format!("layer-{digest}");
        store.put_row(Space::Layer, &layer, b"", &[Link::Blob(digest), Link::Row(Space::Snapshot, snapshot)]).unwrap();
        links.push(Link::Row(Space::Layer, layer));
        // What was made under the lease is there, whatever others collect.
        assert!(store.open_blob(digest).unwrap().is_some(), "{digest} is covered by a lease");
    }
    let record = format!("record-{}", random.next(6));
    store.put_row(Space::Record, &record, b"", &links).unwrap();
    store.put_row(Space::Image, image, b"", &links).unwrap();
}

fn ingest(store: &Store, lease: &Lease, number: u64, random: &mut Random) -> BlobDigest {
    let bytes = vec![number as u8; (number * 9973) as usize];
    let mut ingest = store.ingest(lease).unwrap();
    for piece in bytes.chunks(1 + random.next(40_000) as usize) {
        ingest.write_all(piece).unwrap();
    }
    let (digest, _) = ingest.commit().unwrap();
    assert_eq!(digest, BlobDigest::of(&bytes));
    digest
}

/// Every image still has all its layers with all their blobs, right in every byte.
fn assert_images_whole(store: &Store) -> usize {
    let blobs: std::collections::HashSet<_> = store.blobs().unwrap().into_iter().map(|blob| blob.digest).collect();
    let images = store.scan(Space::Image).unwrap();
    for (layer, _) in store.scan(Space::Layer).unwrap() {
        let digest: BlobDigest = layer.strip_prefix("layer-").unwrap().parse().unwrap();
        assert!(blobs.contains(&digest), "{layer} has lost its blob");
        assert!(store.read(digest, u64::MAX).unwrap().is_some());
    }
    images.len()
}

fn assert_clean(report: &CheckReport) {
    assert!(report.is_clean(), "{}", report.lines().join("\n"));
}

fn collect(store: &Store) {
    let report = store.gc(&GcOptions::default(), &mut |id| fs::remove_dir_all(store.snapshot_root().join(id))).unwrap();
    assert!(report.failed_snapshots.is_empty(), "{:?}", report.failed_snapshots);
}

#[test]
fn processes_create_and_share_a_store() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("state");
    let seed = seed();
    let children: Vec<Child> = (0..4).map(|number| spawn("work", &root, seed + number * 1000)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let store = Store::open(&root).unwrap();
    collect(&store);
    assert!(assert_images_whole(&store) > 0);
    let report = store.check().unwrap();
    assert_clean(&report);
    assert!(report.leftovers.is_empty(), "{}", report.lines().join("\n"));
    assert!(report.blobs > 0 && report.snapshots > 0);
}

#[test]
fn killed_processes_leave_nothing_wrong() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("state");
    let mut random = Random(seed());
    let mut leftovers = 0;
    for _ in 0..KILL_ROUNDS {
        let mut children: Vec<Child> = (0..2).map(|_| spawn("work-forever", &root, random.next(1 << 30))).collect();
        children.iter_mut().for_each(wait_until_ready);
        std::thread::sleep(Duration::from_micros(random.next(40_000)));
        for child in &mut children {
            assert_eq!(child.try_wait().unwrap(), None, "a child ended on its own: what it printed says why");
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let store = Store::open(&root).unwrap();
        let report = store.check().unwrap();
        assert_clean(&report);
        leftovers += report.leftovers.len();
        assert_images_whole(&store);
        work_once(&store, &mut random);
    }
    println!("{KILL_ROUNDS} rounds, {leftovers} leftovers seen");
    assert!(leftovers > 0, "no child was killed in the middle of anything: the test tests nothing");
    let store = Store::open(&root).unwrap();
    collect(&store);
    let report = store.check().unwrap();
    assert_clean(&report);
    assert!(report.leftovers.is_empty(), "{}", report.lines().join("\n"));
}

#[test]
fn a_lease_of_another_process_holds_until_it_dies() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("state");
    let mut child = spawn("hold", &root, 1);
    wait_until_ready(&mut child);
    let store = Store::open(&root).unwrap();
    collect(&store);
    assert!(store.has(BlobDigest::of(b"held")).unwrap());
    assert_eq!(fs::read_dir(root.join("ingest")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(store.snapshot_root()).unwrap().count(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    collect(&store);
    assert!(!store.has(BlobDigest::of(b"held")).unwrap());
    for folder in ["ingest", "leases", "snapshots", "blobs/sha256", "trash"] {
        assert_eq!(fs::read_dir(root.join(folder)).unwrap().count(), 0, "{folder}");
    }
}

#[test]
fn a_new_lease_sweeps_half_written_blobs_of_the_dead() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("state");
    let mut child = spawn("hold", &root, 1);
    wait_until_ready(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    let store = Store::open(&root).unwrap();
    let _lease = store.lease().unwrap();
    assert_eq!(fs::read_dir(root.join("ingest")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(root.join("leases")).unwrap().count(), 1);
}

#[test]
fn opening_takes_two_milliseconds_at_most() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    let lease = store.lease().unwrap();
    let value = vec![7; 300];
    let digest = store.put(&lease, b"blob").unwrap();
    for number in 0..2000 {
        store.put_row(Space::Record, &format!("key-{number}"), &value, &[Link::Blob(digest)]).unwrap();
    }
    drop((lease, store));
    // The machine may be busy with other things: the fastest of several counts.
    let measure = || {
        let start = Instant::now();
        let store = Store::open(place.path()).unwrap();
        let opened = start.elapsed();
        assert!(store.get(Space::Record, "key-77").unwrap().is_some());
        opened
    };
    let fastest = (0..20).map(|_| measure()).min().unwrap();
    println!("opened in {fastest:?}");
    assert!(fastest < Duration::from_millis(2), "{fastest:?}");
}
