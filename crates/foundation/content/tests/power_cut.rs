//! In: an ext4 file system that stops in the middle of work, as if the power went. Out: proof that finished builds are whole afterwards and nothing is wrong. Never: a mount the host can see.
//!
//! ext4's shutdown request (without flushing the journal) leaves on the disk exactly what had been made durable. The
//! image is mounted again through another loop device, as a machine that boots again has another boot id.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "all of this file is a test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crossdock_content::{GcOptions, Link, Space, Store};
use crossdock_oci::BlobDigest;
use fs_err as fs;

const ROUNDS: u32 = 4;
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`.
const SHUTDOWN: &str = "open F, '<', $ARGV[0] or die $!; my $how = pack('L', 2); ioctl(F, 0x8004587d, $how) or die $!";

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(text) } else { Err(format!("{program} {}: {complaint}", arguments.join(" "))) }
}

/// A mounted image file; unmounted and detached when dropped.
struct Disk {
    device: String,
    mount_point: PathBuf,
}

impl Disk {
    fn mount(image: &Path, mount_point: &Path) -> Result<Self, String> {
        let device = run("losetup", &["--find", "--show", image.to_str().unwrap()])?;
        let disk = Self { device, mount_point: mount_point.to_path_buf() };
        run("mount", &["-t", "ext4", &disk.device, mount_point.to_str().unwrap()])?;
        Ok(disk)
    }

    fn cut_the_power(&self) -> Result<String, String> {
        run("perl", &["-e", SHUTDOWN, self.mount_point.to_str().unwrap()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run("umount", &[self.mount_point.to_str().unwrap()]);
        let _ = run("losetup", &["--detach", &self.device]);
    }
}

fn spawn(task: &str) -> Child {
    let exe = std::env::current_exe().unwrap();
    Command::new("unshare")
        .args(["-m", exe.to_str().unwrap(), "--exact", "child", "--nocapture"])
        .env("CONTENT_POWER_CHILD", task)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Not a test: what happens in the mount namespace of the test.
#[test]
fn child() {
    let Ok(task) = std::env::var("CONTENT_POWER_CHILD") else { return };
    let (task, path) = task.split_once(' ').unwrap();
    match task {
        "rounds" => {
            for round in 0..ROUNDS {
                if let Err(reason) = one_round(Path::new(path), round) {
                    println!("skipped: {reason}");
                    return;
                }
            }
            println!("all rounds done");
        }
        "build" => build_forever(Path::new(path)),
        other => panic!("unknown task {other}"),
    }
}

fn build_forever(root: &Path) {
    let store = Store::open(root).unwrap();
    for number in 0_u32.. {
        let lease = store.lease().unwrap();
        let mut links = Vec::new();
        let mut value = Vec::new();
        for part in 0..3 {
            let bytes = format!("{number}-{part} ").repeat(3000);
            let digest = store.put(&lease, bytes.as_bytes()).unwrap();
            let snapshot = store.new_snapshot(&lease).unwrap();
            fs::write(store.snapshot_root().join(&snapshot).join("file"), &bytes).unwrap();
            store.put_row(Space::Snapshot, &snapshot, b"", &[]).unwrap();
            writeln!(value, "{digest} {snapshot}").unwrap();
            links.extend([Link::Blob(digest), Link::Row(Space::Snapshot, snapshot)]);
        }
        store.put_row(Space::Image, &format!("image-{number}"), &value, &links).unwrap();
        if number % 3 == 2 {
            // Some builds end without the sync, as killed ones do. A durable transaction of another kind then leaves
            // rows on the disk whose snapshots are not there yet: only the epoch tells that.
            let scrap = store.put(&lease, format!("scrap {number}").as_bytes()).unwrap();
            store.discard_blob(scrap).unwrap();
            println!("left image-{number} unfinished");
            std::io::stdout().flush().unwrap();
            std::thread::sleep(Duration::from_millis(100));
        } else {
            store.sync_snapshots().unwrap();
            println!("finished image-{number}");
            std::io::stdout().flush().unwrap();
        }
    }
}

fn one_round(place: &Path, round: u32) -> Result<(), String> {
    let (image, mount_point) = (place.join("disk"), place.join("mnt"));
    fs::create_dir_all(&mount_point).unwrap();
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()])?;
    let disk = Disk::mount(&image, &mount_point)?;
    let root = mount_point.join("state");

    let mut worker = spawn(&format!("build {}", root.display()));
    let mut finished = Vec::new();
    for line in BufReader::new(worker.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        finished.extend(line.strip_prefix("finished ").map(str::to_owned));
        if finished.len() < 3 {
            continue;
        }
        // Even rounds: right after rows whose snapshots are not on the disk. Odd ones: somewhere in the next build.
        if round.is_multiple_of(2) && line.ends_with("unfinished") {
            break;
        }
        if !round.is_multiple_of(2) && finished.len() as u32 >= 3 + round {
            std::thread::sleep(Duration::from_micros(u64::from(round) * 1000));
            break;
        }
    }
    let cut = disk.cut_the_power();
    worker.kill().unwrap();
    worker.wait().unwrap();
    let first_device = disk.device.clone();
    drop(disk);
    cut?;

    // Takes the device that just came free, so that the image gets another one.
    let taken = Disk::mount(&image_of_another(place)?, &place.join("other"))?;
    let disk = Disk::mount(&image, &mount_point)?;
    if disk.device == first_device {
        return Err(format!("{first_device} came back: somebody else is using loop devices"));
    }
    assert_whole(&root, &finished);
    drop((disk, taken));
    Ok(())
}

fn image_of_another(place: &Path) -> Result<PathBuf, String> {
    let image = place.join("other-disk");
    fs::create_dir_all(place.join("other")).unwrap();
    fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()])?;
    Ok(image)
}

/// Finished images are there with every byte; unfinished ones are there without, or not at all; nothing is wrong.
fn assert_whole(root: &Path, finished: &[String]) {
    let store = Store::open(root).unwrap();
    let report = store.check().unwrap();
    println!("{}", report.lines().last().unwrap());
    assert!(report.is_clean(), "{}", report.lines().join("\n"));
    for name in finished {
        let value = store.get(Space::Image, name).unwrap().unwrap_or_else(|| panic!("{name} is lost"));
        for line in String::from_utf8(value).unwrap().lines() {
            let (digest, snapshot) = line.split_once(' ').unwrap();
            let bytes = store.read(digest.parse().unwrap(), 1 << 20).unwrap().unwrap_or_else(|| panic!("{line}"));
            assert!(store.get(Space::Snapshot, snapshot).unwrap().is_some(), "{snapshot} of {name} is lost");
            assert_eq!(fs::read(store.snapshot_root().join(snapshot).join("file")).unwrap(), bytes);
        }
    }
    // Any snapshot that is believed has its files, whether its build was finished or not.
    for (snapshot, _) in store.scan(Space::Snapshot).unwrap() {
        let bytes = fs::read(store.snapshot_root().join(&snapshot).join("file")).unwrap();
        assert!(store.has(BlobDigest::of(&bytes)).unwrap(), "{snapshot} is believed, but its file is wrong");
    }
    store.gc(&GcOptions::default(), &mut |id| fs::remove_dir_all(store.snapshot_root().join(id))).unwrap();
    let report = store.check().unwrap();
    assert!(report.is_clean() && report.leftovers.is_empty(), "{}", report.lines().join("\n"));
}

#[test]
fn finished_builds_survive_a_power_cut() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let output = spawn(&format!("rounds {}", place.path().display())).wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    assert!(output.status.success(), "{text}");
    assert!(text.contains("all rounds done") || text.contains("skipped: "), "{text}");
}
