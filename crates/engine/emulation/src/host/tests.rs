//! In: machines made up for the test. Out: which means is chosen, and what a refusal says. Never: this machine's own emulators.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;

fn machine(own: PathBuf) -> Host {
    Host {
        platform: Platform::new("linux", "amd64", ""),
        amd64_level: 3,
        kernel: (6, 8),
        search: SearchPath { own: vec![own], host: Vec::new() },
        force: Ok(None),
        table: TableState::default(),
        runs_32_bit: OnceLock::from(true),
        ptrace_scope: Some(1),
    }
}

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

fn put_emulator(directory: &Path, name: &str) {
    let mut head = vec![0; 64];
    head[..6].copy_from_slice(b"\x7fELF\x02\x01");
    head[18] = if cfg!(target_arch = "aarch64") { 0xb7 } else { 0x3e };
    fs_err::write(directory.join(name), head).unwrap();
    fs_err::set_permissions(directory.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn register(directory: &Path, flags: &str) {
    fs_err::write(directory.join("status"), "enabled\n").unwrap();
    let text = format!(
        "enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: {flags}\noffset 0\nmagic 7f454c460201010000000000000000000200b700\n\
         mask ffffffffffffff00fffffffffffffffffeffffff\n"
    );
    fs_err::write(directory.join("qemu-aarch64"), text).unwrap();
}

#[test]
fn native_platforms_follow_the_processor() {
    let host = machine(PathBuf::from("/none"));
    for text in ["linux/amd64", "linux/amd64/v3", "linux/386"] {
        assert_eq!(host.choose(&platform(text)).unwrap(), Means::Native, "{text}");
    }
    let refusal = host.choose(&platform("linux/amd64/v4")).unwrap_err().to_string();
    assert!(refusal.contains("it reaches linux/amd64/v3"), "{refusal}");
    let list: Vec<String> = host.native().iter().map(ToString::to_string).collect();
    assert_eq!(list, ["linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/386"]);
}

#[test]
fn a_static_emulator_makes_private_the_means() {
    let directory = tempfile::tempdir().unwrap();
    put_emulator(directory.path(), "qemu-aarch64");
    put_emulator(directory.path(), "qemu-arm-static");
    let host = machine(directory.path().to_owned());
    let Means::Private(emulator) = host.choose(&platform("linux/arm64")).unwrap() else { panic!("not private") };
    assert_eq!((emulator.architecture, emulator.cpu), ("arm64", "aarch64"));
    let Means::Private(emulator) = host.choose(&platform("linux/arm/v6")).unwrap() else { panic!("not private") };
    assert_eq!(emulator.path, directory.path().join("qemu-arm-static"));
}

#[test]
fn a_refusal_names_places_and_fix() {
    let host = machine(PathBuf::from("/emulators"));
    let refusal = host.choose(&platform("linux/arm64")).unwrap_err().to_string();
    for part in [
        "linux/arm64",
        "no static qemu-aarch64",
        "/emulators is no directory",
        "apt-get install qemu-user-static",
        "into /emulators",
    ] {
        assert!(refusal.contains(part), "{part} is missing in: {refusal}");
    }
}

#[test]
fn old_kernels_and_force_fall_back_to_the_host() {
    let directory = tempfile::tempdir().unwrap();
    put_emulator(directory.path(), "qemu-aarch64");
    let table = tempfile::tempdir().unwrap();
    register(table.path(), "POCF");
    let mut host = machine(directory.path().to_owned());
    host.table = TableState::read(table.path());
    assert!(matches!(host.choose(&platform("linux/arm64")).unwrap(), Means::Private(_)));
    host.force = Ok(Some(Force::Host));
    assert_eq!(host.choose(&platform("linux/arm64")).unwrap(), Means::Host { entry: "qemu-aarch64".to_owned() });
    host.force = Ok(None);
    host.kernel = (5, 15);
    assert!(matches!(host.choose(&platform("linux/arm64")).unwrap(), Means::Host { .. }));
    register(table.path(), "OC");
    host.table = TableState::read(table.path());
    assert!(matches!(host.choose(&platform("linux/arm64")).unwrap(), Means::Trace(_)));
    host.ptrace_scope = Some(3);
    let refusal = host.choose(&platform("linux/arm64")).unwrap_err().to_string();
    for part in ["kernel 5.15", "lacks the flag F", "ptrace_scope is 3", "Install and register one"] {
        assert!(refusal.contains(part), "{part} is missing in: {refusal}");
    }
    host.force = "tomato".parse::<Force>().map(Some);
    assert!(host.choose(&platform("linux/arm64")).unwrap_err().to_string().contains("CROSSDOCK_EMULATION=tomato"));
}

#[test]
fn trace_can_be_forced_and_says_what_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    put_emulator(directory.path(), "qemu-aarch64");
    let mut host = machine(directory.path().to_owned());
    host.force = Ok(Some(Force::Trace));
    assert!(matches!(host.choose(&platform("linux/arm64")).unwrap(), Means::Trace(_)));
    let status = host.status();
    assert_eq!(status.trace.keys().collect::<Vec<_>>(), ["linux/arm64"]);
    assert!(status.private.is_empty());
    let refusal = host.choose(&platform("linux/s390x")).unwrap_err().to_string();
    assert!(refusal.contains("no static qemu-s390x") && refusal.contains("or put a static"), "{refusal}");
    host.ptrace_scope = Some(3);
    let refusal = host.choose(&platform("linux/arm64")).unwrap_err().to_string();
    assert!(refusal.contains("ptrace_scope is 3") && refusal.contains("Set it to 1 or 2"), "{refusal}");
    host.platform = Platform::new("linux", "riscv64", "");
    let refusal = host.choose(&platform("linux/arm64")).unwrap_err().to_string();
    assert!(refusal.contains("only on amd64 and arm64"), "{refusal}");
}

#[test]
fn kernel_versions_are_read() {
    assert_eq!(kernel_version("6.18.44-fc-v669"), (6, 18));
    assert_eq!(kernel_version("5.15"), (5, 15));
    assert_eq!(kernel_version("strange"), (0, 0));
}
