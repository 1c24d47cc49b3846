//! In: steps with mounts. Out: whether they see what they should, and whether the layer stays clean. Never: a mount on the host.

use std::os::unix::fs::MetadataExt as _;

use crossdock_executor::HostPath;
use crossdock_executor::keeper::Layers;
use crossdock_executor::sandbox::{Memory, MountSource, RootSpec, SandboxMount};
use crossdock_llb::Network;

use crate::Case;
use crate::world::{Ran, World, tree};

pub const CASES: &[Case] = &[
    ("stub_files_do_not_enter_the_layer", stub_files_do_not_enter_the_layer),
    ("used_stubs_stay", used_stubs_stay),
    ("standard_mounts_are_there", standard_mounts_are_there),
    ("devices_work", devices_work),
    ("host_directories_and_files_can_be_shown", host_directories_and_files_can_be_shown),
    ("trees_and_selectors_can_be_shown", trees_and_selectors_can_be_shown),
    ("memory_and_secrets", memory_and_secrets),
    ("links_in_the_image_lead_nowhere_else", links_in_the_image_lead_nowhere_else),
    ("readonly_roots_refuse_writes", readonly_roots_refuse_writes),
    ("no_network_is_loopback_alone", no_network_is_loopback_alone),
    ("deletions_and_changes_reach_the_layer", deletions_and_changes_reach_the_layer),
    ("many_layers", many_layers),
];

fn mount(dest: &str, readonly: bool, source: MountSource) -> SandboxMount {
    SandboxMount { dest: dest.to_owned(), readonly, source }
}

/// Whether the layer holds nothing but directories that stubs were in, which are equal to those below.
fn clean(ran: &Ran) -> bool {
    tree(&ran.upper).iter().all(|path| path == "etc/")
}

fn stub_files_do_not_enter_the_layer(world: &World) {
    let lower = world.state.path().join("bare");
    fs_err::create_dir_all(lower.join("etc")).unwrap();
    fs_err::create_dir_all(lower.join("bin")).unwrap();
    fs_err::copy(world.base("amd64").join("bin/busybox"), lower.join("bin/sh")).unwrap();
    let before = fs_err::metadata(lower.join("etc")).unwrap();
    let mut spec = world.words(&["/bin/sh", "-c", "exit 0"]);
    spec.root = RootSpec::Overlay { lowers: Layers(vec![HostPath::from(lower.as_path())]), upper: Some(world.upper()) };
    spec.mounts = vec![mount("/cache/deep/er", false, MountSource::Tmpfs(Memory::default()))];
    let ran = world.run(&spec);
    assert_eq!(ran.code(), 0);
    let left = tree(&ran.upper);
    assert!(left.iter().all(|path| path == "etc/"), "{left:?}");
    if !left.is_empty() {
        let after = fs_err::metadata(ran.upper.join("etc")).unwrap();
        assert_eq!(
            (after.mtime(), after.mtime_nsec(), after.mode()),
            (before.mtime(), before.mtime_nsec(), before.mode())
        );
    }
}

fn used_stubs_stay(world: &World) {
    let mut spec = world.shell("touch /cache/kept /var/made; echo x >/data/deep/mine");
    spec.mounts = vec![
        mount("/cache/deep", false, MountSource::Tmpfs(Memory::default())),
        mount("/data/deep", false, MountSource::Tmpfs(Memory::default())),
    ];
    let ran = world.run(&spec);
    assert_eq!(ran.code(), 0, "{ran:?}");
    let left = tree(&ran.upper);
    assert!(left.contains(&"cache/kept".to_owned()) && left.contains(&"var/made".to_owned()), "{left:?}");
    assert!(!left.iter().any(|path| path.starts_with("data") || path.starts_with("cache/deep")), "{left:?}");
}

fn standard_mounts_are_there(world: &World) {
    let ran = world.sh("awk '{print $2, $3}' /proc/mounts | sort; stat -f -c '%b %S' /dev/shm; touch /etc/hosts 2>&1; readlink /proc/1/exe || echo hidden");
    let text = ran.stdout;
    for line in [
        "/ overlay",
        "/proc proc",
        "/dev tmpfs",
        "/dev/pts devpts",
        "/dev/mqueue mqueue",
        "/dev/shm tmpfs",
        "/sys sysfs",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("16384 4096"), "{text}");
    assert!(text.contains("Read-only file system"), "{text}");
    assert!(text.ends_with("hidden\n"), "{text}");
    let written = world.sh("echo x > /sys/kernel/uevent_seqnum; echo 1 > /proc/sys/kernel/domainname; cat /proc/keys /proc/timer_list | wc -c");
    assert_eq!(written.stderr.matches("Read-only file system").count(), 2, "{written:?}");
    assert_eq!(written.stdout.trim(), "0");
}

fn devices_work(world: &World) {
    let script = "head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; echo x >/dev/null; echo x >/dev/full || echo full; ls /dev; readlink /dev/fd; readlink /dev/ptmx";
    let ran = world.sh(script);
    let wanted = "4\n4\nfull\ncore\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n/proc/self/fd\npts/ptmx";
    assert_eq!(ran.text(), wanted);
}

fn host_directories_and_files_can_be_shown(world: &World) {
    let host = world.state.path().join("host");
    fs_err::create_dir_all(host.join("sub")).unwrap();
    fs_err::write(host.join("sub/file"), "content").unwrap();
    let mut spec = world.shell("cat /ro/sub/file /one; echo x >/ro/sub/new; echo y >/rw/new && cat /rw/new");
    let source = |path: &std::path::Path| MountSource::Host(HostPath::from(path));
    spec.mounts = vec![
        mount("/ro", true, source(&host)),
        mount("/rw", false, source(&host)),
        mount("/one", true, source(&host.join("sub/file"))),
    ];
    let ran = world.run(&spec);
    assert_eq!(ran.text(), "contentcontenty");
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    assert!(host.join("new").exists() && clean(&ran));
}

fn trees_and_selectors_can_be_shown(world: &World) {
    let base = || RootSpec::Overlay { lowers: Layers(vec![HostPath::from(world.base("amd64"))]), upper: None };
    let mut spec =
        world.shell("ls /tree | head -3; echo x >/tree/new && ls /tree/new; cat /pw | head -1; echo y >/tree2/new");
    let tree_source = |selector: &str| MountSource::Tree { root: base(), selector: selector.to_owned() };
    spec.mounts = vec![
        mount("/tree", false, tree_source("")),
        mount("/pw", true, tree_source("/etc/passwd")),
        mount("/tree2", true, tree_source("etc")),
    ];
    let ran = world.run(&spec);
    assert_eq!(ran.stdout, "bin\ndev\netc\n/tree/new\nroot:x:0:0:root:/root:/bin/sh\n");
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    assert!(!world.base("amd64").join("new").exists());
    spec.mounts = vec![mount("/x", true, tree_source("no/such"))];
    assert!(world.run(&spec).outcome.unwrap_err().to_string().contains("/no/such"));
}

fn memory_and_secrets(world: &World) {
    let mut spec =
        world.shell("stat -c '%a %u' /run/secrets/key; cat /run/secrets/key; df /mem | tail -1 | awk '{print $2}'");
    let secret = MountSource::File { data: b"word\n".to_vec(), uid: 0, gid: 0, mode: 0o400 };
    spec.mounts = vec![
        mount("/run/secrets/key", true, secret),
        mount("/mem", false, MountSource::Tmpfs(Memory { options: "size=1m".to_owned(), ..Memory::default() })),
    ];
    let ran = world.run(&spec);
    assert_eq!(ran.text(), "400 0\nword\n1024");
    assert!(clean(&ran), "{:?}", tree(&ran.upper));
}

fn links_in_the_image_lead_nowhere_else(world: &World) {
    let lower = world.state.path().join("hostile");
    fs_err::create_dir_all(&lower).unwrap();
    let victim = world.state.path().join("victim");
    fs_err::create_dir_all(&victim).unwrap();
    for name in ["cache", "etc"] {
        std::os::unix::fs::symlink(&victim, lower.join(name)).unwrap();
    }
    fs_err::copy(world.base("amd64").join("bin/busybox"), lower.join("sh")).unwrap();
    let mut spec = world.words(&["/sh", "-c", "echo $(cat /cache/x/y)"]);
    spec.root = RootSpec::Overlay { lowers: Layers(vec![HostPath::from(lower)]), upper: Some(world.upper()) };
    spec.mounts = vec![mount("/cache/x", false, MountSource::Tmpfs(Memory::default()))];
    assert_eq!(world.run(&spec).code(), 0);
    assert_eq!(fs_err::read_dir(&victim).unwrap().count(), 0);
}

fn readonly_roots_refuse_writes(world: &World) {
    let mut spec = world.shell("touch /x; touch /tmp/x; touch /dev/shm/x && echo shm");
    spec.readonly_root = true;
    let ran = world.run(&spec);
    assert_eq!((ran.stdout.as_str(), ran.stderr.matches("Read-only file system").count()), ("shm\n", 2), "{ran:?}");
}

fn no_network_is_loopback_alone(world: &World) {
    let mut spec = world.shell("tail -n +3 /proc/net/dev | cut -d: -f1; ip addr show lo | grep -c 127.0.0.1; ping -c1 127.0.0.1 >/dev/null && echo up");
    spec.network = Network::None;
    assert_eq!(world.run(&spec).text().replace(' ', ""), "lo\n1\nup");
    spec.network = Network::Default;
    let host = fs_err::read_to_string("/proc/net/dev").unwrap().lines().count() - 2;
    let ran = world.run(&spec);
    assert_eq!(
        ran.stdout.lines().filter(|line| line.parse::<u32>().is_err() && *line != "up").count(),
        host,
        "{ran:?}"
    );
}

fn deletions_and_changes_reach_the_layer(world: &World) {
    let ran = world.sh("rm /etc/shadow; chmod 700 /home; ln /etc/passwd /etc/passwd2; mkdir -p /new/dir; rm -r /var; mkdir /var; mkfifo /new/fifo");
    assert_eq!(ran.code(), 0, "{ran:?}");
    let left = tree(&ran.upper);
    let wanted = ["etc/", "etc/passwd", "etc/passwd2", "etc/shadow", "home/", "new/", "new/dir/", "new/fifo", "var/"];
    assert_eq!(left, wanted);
    let whiteout = fs_err::symlink_metadata(ran.upper.join("etc/shadow")).unwrap();
    assert_eq!((whiteout.mode() & libc::S_IFMT, whiteout.rdev()), (libc::S_IFCHR, 0));
}

fn many_layers(world: &World) {
    let snapshots = world.state.path().join("stack");
    let mut lowers = vec![HostPath::from(world.base("amd64"))];
    for number in 0..120 {
        let fs = snapshots.join(number.to_string()).join("fs");
        fs_err::create_dir_all(&fs).unwrap();
        fs_err::write(fs.join(format!("from-{number}")), "").unwrap();
        lowers.push(HostPath::from(fs));
    }
    let mut spec = world.shell("ls / | grep -c from-");
    spec.root = RootSpec::Overlay { lowers: Layers(lowers), upper: Some(world.upper()) };
    assert_eq!(world.run(&spec).text(), "120");
}
