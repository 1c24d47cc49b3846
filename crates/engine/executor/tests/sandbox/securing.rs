//! In: steps that try what they must not. Out: whether they are refused as under Docker, and whether what Docker allows works. Never: harm when a refusal fails.

use crossdock_llb::Security;

use crate::Case;
use crate::users;
use crate::world::World;

pub const CASES: &[Case] = &[
    ("capabilities_are_dockers", capabilities_are_dockers),
    ("dangerous_calls_are_refused", dangerous_calls_are_refused),
    ("insecure_steps_may_more", insecure_steps_may_more),
    ("ordinary_rights_of_root_work", ordinary_rights_of_root_work),
    ("programs_of_the_32_bit_family_run", programs_of_the_32_bit_family_run),
    ("processes_outside_are_not_seen", processes_outside_are_not_seen),
];

fn status(world: &World, user: &str) -> String {
    let mut spec = world.shell("grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status | tr '\\t' ' '");
    spec.user = user.to_owned();
    world.run(&spec).text().to_owned()
}

fn capabilities_are_dockers(world: &World) {
    let root = "CapInh: 0000000000000000\nCapPrm: 00000000a80425fb\nCapEff: 00000000a80425fb\nCapBnd: 00000000a80425fb\nCapAmb: 0000000000000000\nNoNewPrivs: 0\nSeccomp: 2";
    assert_eq!(status(world, ""), root);
    if users::part() != "one-id" {
        let user = status(world, "www-data");
        assert!(user.contains("CapEff: 0000000000000000") && user.contains("CapBnd: 00000000a80425fb"), "{user}");
    }
}

fn dangerous_calls_are_refused(world: &World) {
    let script = "mount -t tmpfs none /mnt 2>&1; unshare -m true 2>&1; chroot / true && echo chroot; hostname x 2>&1; umount /proc 2>&1; mknod /tmp/sda b 8 0 2>&1; dmesg 2>&1 | head -1";
    let text = world.sh(script).stdout;
    assert!(text.matches("ermitted").count() + text.matches("denied").count() >= 5, "{text}");
    assert!(text.contains("chroot\n"), "{text}");
}

fn insecure_steps_may_more(world: &World) {
    let mut spec = world
        .shell("mkdir /m && mount -t tmpfs none /m && umount /m && grep -E '^(CapEff|Seccomp:)' /proc/self/status");
    spec.security = Security::Insecure;
    let ran = world.run(&spec);
    assert!(ran.text().contains("Seccomp:\t0"), "{ran:?}");
    assert!(!ran.stdout.contains("a80425fb"), "{ran:?}");
}

fn ordinary_rights_of_root_work(world: &World) {
    let ran = world.sh("touch /tmp/a && chown 33:33 /tmp/a && chmod 4755 /tmp/a && stat -c '%u:%g %a' /tmp/a");
    if users::part() == "one-id" {
        assert_ne!(ran.code(), 0);
    } else {
        assert_eq!(ran.text(), "33:33 4755");
        let mut other = world.shell("cat /root/x 2>&1; echo mine >/tmp/mine; su -c true 2>&1; true");
        other.user = "nobody".to_owned();
        assert!(world.run(&other).stdout.contains("denied"));
    }
}

fn programs_of_the_32_bit_family_run(world: &World) {
    if !cfg!(target_arch = "x86_64") || !std::path::Path::new("/proc/sys/abi/vsyscall32").exists() {
        println!("    skipped: this kernel runs no 32-bit programs");
        return;
    }
    // int 0x80: getpid, then mount, whose refusal (EPERM, -1) becomes the exit code 255; killed would be 159.
    let code: &[u8] =
        &[0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xb8, 21, 0, 0, 0, 0xcd, 0x80, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80];
    let lower = world.state.path().join("bits32");
    fs_err::create_dir_all(&lower).unwrap();
    write_program(&lower.join("tiny"), code);
    let mut spec = world.words(&["/tiny"]);
    spec.root = crossdock_executor::sandbox::RootSpec::Overlay {
        lowers: crossdock_executor::keeper::Layers(vec![crossdock_executor::HostPath::from(lower)]),
        upper: None,
    };
    let outcome = world.run(&spec).outcome.unwrap();
    assert_eq!((outcome.code, outcome.signal), (255, None));
}

/// A static program for i386 of one segment.
fn write_program(path: &std::path::Path, code: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0".to_vec();
    let length = 84 + u32::try_from(code.len()).unwrap();
    for word in [1, 0x1_0054, 52, 0, 0] {
        file.extend(u32::to_le_bytes(word));
    }
    for half in [52_u16, 32, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for word in [1, 0, 0x1_0000, 0x1_0000, length, length, 5, 0x1000] {
        file.extend(u32::to_le_bytes(word));
    }
    file.extend(code);
    fs_err::write(path, file).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn processes_outside_are_not_seen(world: &World) {
    let ran = world.sh("ps -o pid,comm; cat /proc/1/comm; cat /proc/1/environ 2>&1 | head -1");
    let pids: Vec<&str> = ran.stdout.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(pids.iter().all(|pid| pid.parse::<u32>().map_or(true, |pid| pid < 10)), "{ran:?}");
}
