//! In: layers and snapshots. Out: whether the keeper unpacks, compares, lists, exports and opens them as its user can. Never: the algorithms themselves; the snapshot room tests those.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;

use crossdock_executor::keeper::{
    ApplyRequest, DiffRequest, ExportRequest, Layers, ReadFileRequest, TreeFormat, WalkRequest,
};
use crossdock_executor::{Cancel, ExecutorError, HostPath, Keeper, KeeperOptions};
use crossdock_snapshot::RootedPath;
use crossdock_snapshot::listing::{Listing, from_tar};

use crate::Case;
use crate::users;
use crate::world::{Ran, World};

pub const CASES: &[Case] = &[
    ("compressed_layers_unpack_to_their_diff_id", compressed_layers_unpack_to_their_diff_id),
    ("what_a_step_changed_becomes_a_layer", what_a_step_changed_becomes_a_layer),
    ("nothing_changed_is_an_empty_layer", nothing_changed_is_an_empty_layer),
    ("listings_are_those_of_the_layer", listings_are_those_of_the_layer),
    ("merged_trees_are_exported", merged_trees_are_exported),
    ("files_are_opened_through_links", files_are_opened_through_links),
    ("overlays_can_be_tried", overlays_can_be_tried),
    ("bad_layers_are_refused", bad_layers_are_refused),
    ("cancelling_ends_unpacking", cancelling_ends_unpacking),
];

/// What a request writes to a pipe.
fn collect<T: Send>(write: impl FnOnce(OwnedFd) -> T + Send) -> (T, Vec<u8>) {
    let (mut read, end) = std::io::pipe().unwrap();
    let mut bytes = Vec::new();
    let done = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(end.into()));
        read.read_to_end(&mut bytes).unwrap();
        writer.join().unwrap()
    });
    (done, bytes)
}

fn diff(world: &World, ran: &Ran) -> (u64, Vec<u8>) {
    let lowers = Layers(vec![HostPath::from(world.base("amd64"))]);
    let request = DiffRequest {
        upper: HostPath::from(ran.upper.as_path()),
        lowers,
        format: TreeFormat::Overlay,
        omit: Vec::new(),
    };
    let (report, tar) = collect(|out| world.keeper.diff(&request, &out, &Cancel::new()).unwrap());
    (report.entries, tar)
}

fn names(tar: &[u8]) -> Vec<String> {
    let listing = from_tar(tar).unwrap().listing;
    let entries = listing.entries().iter().map(|entry| entry.entry.path.to_string());
    let gone = listing.whiteouts().iter().map(|path| format!("-{path}"));
    entries.chain(gone).collect()
}

fn compressed_layers_unpack_to_their_diff_id(world: &World) {
    let plain = fs_err::read(world.tar("amd64")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let wanted = from_tar(&plain[..]).unwrap().diff_id;
    for bytes in [&plain, &gzip] {
        let upper = world.upper();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let request = ApplyRequest { dest: upper.fs.clone(), lowers: Layers::default(), format: TreeFormat::Overlay };
        let applied = world.keeper.apply(&request, &file, &Cancel::new()).unwrap();
        assert_eq!(applied.size_bytes, plain.len() as u64);
        assert_eq!(crossdock_oci::DiffId::from_raw_verified(applied.diff_id), wanted);
        assert!(upper.fs.as_path().join("bin/busybox").exists());
    }
}

fn what_a_step_changed_becomes_a_layer(world: &World) {
    let ran = world.sh("rm /etc/shadow; echo x >/new; mkdir -p /a/b; chmod 700 /home");
    assert_eq!(ran.code(), 0);
    let (entries, tar) = diff(world, &ran);
    assert_eq!(names(&tar), ["/a", "/a/b", "/etc", "/home", "/new", "-/etc/shadow"]);
    assert_eq!(entries, 6);
}

fn nothing_changed_is_an_empty_layer(world: &World) {
    let ran = world.sh("cat /etc/resolv.conf >/dev/null; touch /dev/shm/x; cd /home");
    let (entries, tar) = diff(world, &ran);
    assert_eq!((entries, names(&tar)), (0, Vec::new()), "{:?}", crate::world::tree(&ran.upper));
}

fn listings_are_those_of_the_layer(world: &World) {
    let ran = world.sh("echo one >/etc/passwd; mkdir /d; ln -s /d /l; rm /etc/group");
    let (_, tar) = diff(world, &ran);
    let scanned = from_tar(&tar[..]).unwrap().listing;
    let request = WalkRequest { directory: HostPath::from(ran.upper.as_path()) };
    let (done, bytes) = collect(|out| world.keeper.walk(&request, &out, &Cancel::new()));
    done.unwrap();
    let walked = Listing::decode(&bytes).unwrap();
    let passwd = RootedPath::parse("etc/passwd").unwrap();
    assert_eq!(walked.inline(&passwd), Some(&b"one\n"[..]));
    assert_eq!(walked.get(&passwd).unwrap().content, scanned.get(&passwd).unwrap().content);
    assert_eq!(walked.whiteouts(), scanned.whiteouts());
}

fn merged_trees_are_exported(world: &World) {
    let ran = world.sh("rm -r /var; echo x >/new");
    let layers = Layers(vec![HostPath::from(world.base("amd64")), HostPath::from(ran.upper.as_path())]);
    let (done, tar) = collect(|out| world.keeper.export(&ExportRequest { layers }, &out, &Cancel::new()));
    done.unwrap();
    let names = names(&tar);
    assert!(names.contains(&"/bin/busybox".to_owned()) && names.contains(&"/new".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("var")), "{names:?}");
}

fn files_are_opened_through_links(world: &World) {
    let ran = world.sh("ln -s /etc /e; ln -s ../../../../e/passwd /p; echo secret >/root/s; chmod 600 /root/s; rm /etc/group; ln -s loop /loop");
    let layers = Layers(vec![HostPath::from(world.base("amd64")), HostPath::from(ran.upper.as_path())]);
    let open = |path: &str| {
        world.keeper.read_file(&ReadFileRequest { layers: layers.clone(), path: path.to_owned() }, &Cancel::new())
    };
    let read = |path: &str| std::io::read_to_string(open(path).unwrap().unwrap()).unwrap();
    assert!(read("/p").starts_with("root:"));
    assert_eq!(read("root/s"), "secret\n");
    for path in ["etc/group", "etc", "etc/passwd/x", "nosuch"] {
        assert!(open(path).unwrap().is_none(), "{path}");
    }
    assert_eq!(open("loop").unwrap_err().errno(), Some(libc::ELOOP));
}

fn overlays_can_be_tried(world: &World) {
    let snapshots = world.state.path().join("tried");
    world.keeper.probe_overlay(&snapshots, &Cancel::new()).unwrap();
    assert_eq!(fs_err::read_dir(snapshots).unwrap().count(), 0);
    let error = world.keeper.probe_overlay(std::path::Path::new("/proc"), &Cancel::new()).unwrap_err();
    assert!(matches!(error, ExecutorError::Layer { .. }), "{error:?}");
}

fn bad_layers_are_refused(world: &World) {
    let upper = world.upper();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[b'x'; 2048]).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let request = ApplyRequest { dest: upper.fs, lowers: Layers::default(), format: TreeFormat::Overlay };
    let error = world.keeper.apply(&request, &file, &Cancel::new()).unwrap_err();
    assert!(matches!(error, ExecutorError::Layer { .. }), "{error:?}");
    if users::part() == "root" {
        full_disk(world);
    }
}

/// A full disk is named by its errno, wherever it fills.
fn full_disk(world: &World) {
    let small = world.state.path().join("small");
    fs_err::create_dir(&small).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "small"])
        .arg(&small)
        .status()
        .unwrap();
    assert!(mounted.success());
    let request =
        ApplyRequest { dest: HostPath::from(small.as_path()), lowers: Layers::default(), format: TreeFormat::Plain };
    let tar = fs_err::File::open(world.tar("amd64")).unwrap();
    // A keeper that runs already does not see what is mounted later.
    let keeper = Keeper::new(KeeperOptions::new(world.state.path()));
    let error = keeper.apply(&request, tar.file(), &Cancel::new());
    drop(keeper);
    let _ = std::process::Command::new("umount").arg(&small).status();
    assert!(error.as_ref().is_err_and(ExecutorError::is_disk_full), "{error:?}");
}

fn cancelling_ends_unpacking(world: &World) {
    let upper = world.upper();
    // A pipe that nobody fills: the worker waits for ever.
    let (read, write) = std::io::pipe().unwrap();
    let cancel = Cancel::new();
    let request = ApplyRequest { dest: upper.fs, lowers: Layers::default(), format: TreeFormat::Overlay };
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        let stop = cancel.clone();
        scope.spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            stop.cancel();
        });
        assert_eq!(world.keeper.apply(&request, &read, &cancel).unwrap_err(), ExecutorError::Cancelled);
    });
    assert!(begun.elapsed().as_millis() < 1000);
    drop(write);
    world.keeper.ping(&Cancel::new()).unwrap();
}
