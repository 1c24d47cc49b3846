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
    ("device_nodes_open_nothing", device_nodes_open_nothing),
    ("set_uid_programs_and_file_capabilities_work", set_uid_programs_and_file_capabilities_work),
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
    if !users::has_one_id() {
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
    if users::has_one_id() {
        assert_ne!(ran.code(), 0);
    } else {
        assert_eq!(ran.text(), "33:33 4755");
        let mut other = world.shell("cat /root/x 2>&1; echo mine >/tmp/mine; su -c true 2>&1; true");
        other.user = "nobody".to_owned();
        assert!(world.run(&other).stdout.contains("denied"));
    }
}

fn device_nodes_open_nothing(world: &World) {
    // 1:3 is the null device: harmless when it opens after all.
    let script = "for d in / /tmp /dev /dev/shm; do mknod $d/node c 1 3 && cat $d/node && echo opened $d; done; echo x >/dev/null && echo fine";
    let ran = world.sh(script);
    assert_eq!(ran.text(), "fine", "{ran:?}");
    if users::part() == "root" {
        assert!(ran.stderr.contains("can't open '/dev/node': Permission denied"), "{ran:?}");
    }
}

/// A step in which `/tiny` is a program of these instructions (i386), with this mode, on top of busybox.
fn tiny(world: &World, name: &str, mode: u32, code: &[u8]) -> crossdock_executor::sandbox::ExecSpec {
    use std::os::unix::fs::PermissionsExt as _;
    let lower = world.state.path().join(name);
    fs_err::create_dir_all(&lower).unwrap();
    write_program(&lower.join("tiny"), code);
    fs_err::set_permissions(lower.join("tiny"), std::fs::Permissions::from_mode(mode)).unwrap();
    let mut spec = world.words(&["/tiny"]);
    let lowers = [world.base("amd64"), lower].map(crossdock_executor::HostPath::from).to_vec();
    spec.root = crossdock_executor::sandbox::RootSpec::Overlay {
        lowers: crossdock_executor::keeper::Layers(lowers),
        upper: Some(world.upper()),
    };
    spec
}

fn set_uid_programs_and_file_capabilities_work(world: &World) {
    if !runs_32_bit() {
        return;
    }
    // exit(geteuid())
    let who: &[u8] = &[0xb8, 201, 0, 0, 0, 0xcd, 0x80, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80];
    if !users::has_one_id() {
        let mut spec = tiny(world, "setuid-no", 0o755, who);
        spec.user = "33".to_owned();
        assert_eq!(world.run(&spec).code(), 33);
        let mut spec = tiny(world, "setuid-yes", 0o4755, who);
        spec.user = "33".to_owned();
        assert_eq!(world.run(&spec).code(), 0);
    }
    let spec = tiny(world, "setcap", 0o755, &set_capability_code());
    assert_eq!(world.run(&spec).code(), 0);
    for emulator in crate::emulating::emulators("linux/arm64") {
        let mut spec = tiny(world, "setcap", 0o755, &set_capability_code());
        spec.emulator = Some(emulator);
        assert_eq!(world.run(&spec).code(), 0);
    }
}

/// exit(-setxattr("/etc/passwd", "security.capability", cap_net_bind_service=ep, 20, 0))
fn set_capability_code() -> Vec<u8> {
    const BASE: u32 = 0x1_0054;
    const CODE_BYTES: u32 = 43;
    let (path, name) = (b"/etc/passwd\0", b"security.capability\0");
    let name_at = BASE + CODE_BYTES + u32::try_from(path.len()).unwrap();
    let value_at = name_at + u32::try_from(name.len()).unwrap();
    let mut code = vec![0xb8, 226, 0, 0, 0, 0xbb];
    code.extend((BASE + CODE_BYTES).to_le_bytes());
    code.push(0xb9);
    code.extend(name_at.to_le_bytes());
    code.push(0xba);
    code.extend(value_at.to_le_bytes());
    code.extend([
        0xbe, 20, 0, 0, 0, 0xbf, 0, 0, 0, 0, 0xcd, 0x80, 0xf7, 0xd8, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80,
    ]);
    assert_eq!(code.len(), CODE_BYTES as usize);
    code.extend(path);
    code.extend(name);
    for word in [0x0200_0001_u32, 1 << 10, 0, 0, 0] {
        code.extend(word.to_le_bytes());
    }
    code
}

fn runs_32_bit() -> bool {
    let runs = cfg!(target_arch = "x86_64") && std::path::Path::new("/proc/sys/abi/vsyscall32").exists();
    if !runs {
        println!("    skipped: this kernel runs no 32-bit programs");
    }
    runs
}

fn programs_of_the_32_bit_family_run(world: &World) {
    if !runs_32_bit() {
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
