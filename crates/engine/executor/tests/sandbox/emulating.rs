//! In: steps of foreign platforms. Out: whether they run by a private emulator as they would on their own machine. Never: a change of the host's table.

use std::path::Path;

use crossdock_emulation::{Host, Means};
use crossdock_executor::HostPath;
use crossdock_executor::sandbox::{EmulatorSpec, ExecSpec};

use crate::Case;
use crate::users;
use crate::world::World;

pub const CASES: &[Case] = &[
    ("foreign_programs_run", foreign_programs_run),
    ("children_and_scripts_run", children_and_scripts_run),
    ("root_rights_work_under_emulation", root_rights_work_under_emulation),
    ("the_hosts_table_is_untouched", the_hosts_table_is_untouched),
    ("without_emulator_the_format_is_foreign", without_emulator_the_format_is_foreign),
];

/// A private emulator; `None`, with the reason printed, where there is none.
pub fn emulator(platform: &str) -> Option<EmulatorSpec> {
    match Host::probe().choose(&platform.parse().unwrap()) {
        Ok(Means::Private(emulator)) => {
            Some(EmulatorSpec { architecture: emulator.architecture.to_owned(), qemu: HostPath::from(emulator.path) })
        }
        Ok(_) => {
            println!("    skipped: {platform} is not emulated privately here");
            None
        }
        Err(error) => {
            println!("    skipped: {error}");
            None
        }
    }
}

/// A shell script under a private emulator.
fn emulated(world: &World, platform: &str, script: &str) -> Option<ExecSpec> {
    let emulator = emulator(platform)?;
    let mut spec = world.shell(script);
    spec.root = world.root(&emulator.architecture);
    spec.emulator = Some(emulator);
    Some(spec)
}

fn foreign_programs_run(world: &World) {
    for (platform, machine) in [("linux/arm64", "aarch64"), ("linux/arm/v7", "armv7l")] {
        let Some(spec) = emulated(
            world,
            platform,
            "uname -m; hostname; id -u; echo $0; cat /proc/sys/fs/binfmt_misc/status 2>&1 | tail -1",
        ) else {
            return;
        };
        let begun = std::time::Instant::now();
        let ran = world.run(&spec);
        let text = ran.text();
        assert!(text.starts_with(&format!("{machine}\nbuildkitsandbox\n0\n/bin/sh\n")), "{ran:?}");
        println!("    a step of {platform}: {:?}", begun.elapsed());
    }
}

fn children_and_scripts_run(world: &World) {
    let script = "printf '#!/bin/sh\\necho script $0 $1\\n' >/tmp/s && chmod +x /tmp/s && /tmp/s arg && cd /tmp && ./s x; \
        i=0; while [ $i -lt 40 ]; do /bin/true & i=$((i+1)); done; wait; echo $(/bin/echo nested $(/bin/uname -m)); ls /proc/1/exe >/dev/null; env -i /bin/sh -c 'exec -a zero /bin/busybox 2>/dev/null | head -0; exit 5'";
    let Some(spec) = emulated(world, "linux/arm64", script) else { return };
    let ran = world.run(&spec);
    assert_eq!((ran.code(), ran.stdout.as_str()), (5, "script /tmp/s arg\nscript ./s x\nnested aarch64\n"), "{ran:?}");
}

fn root_rights_work_under_emulation(world: &World) {
    let script = "touch /f && chown 33:100 /f && chmod 4711 /f && stat -c '%u:%g %a' /f; touch /etc/made; \
        grep -E '^(CapEff|Seccomp:|NoNewPrivs)' /proc/self/status | tr '\\t' ' '; mount -t tmpfs n /mnt 2>/dev/null || echo refused; head -c 3 /dev/zero | wc -c; touch /sys/x 2>/dev/null || echo readonly";
    let Some(spec) = emulated(world, "linux/arm64", script) else { return };
    let ran = world.run(&spec);
    let rest = "CapEff: 00000000a80425fb\nNoNewPrivs: 0\nSeccomp: 2\nrefused\n3\nreadonly";
    if users::has_one_id() {
        assert!(ran.text().ends_with(rest), "{ran:?}");
    } else {
        assert_eq!(ran.text(), format!("33:100 4711\n{rest}"));
    }
    assert_eq!(crate::world::tree(&ran.upper), ["etc/", "etc/made", "f"]);
    if !users::has_one_id() {
        let mut spec = emulated(world, "linux/arm64", "id -u; id -g; echo $HOME").unwrap();
        spec.user = "www-data".to_owned();
        assert_eq!(world.run(&spec).text(), "33\n33\n/var/www");
    }
}

fn the_hosts_table_is_untouched(world: &World) {
    let names = || {
        let listing = fs_err::read_dir("/proc/sys/fs/binfmt_misc");
        let mut names: Vec<_> =
            listing.map(|list| list.map(|entry| entry.unwrap().file_name()).collect()).unwrap_or_default();
        names.sort();
        names
    };
    let before = names();
    let Some(spec) = emulated(world, "linux/arm64", "true") else { return };
    assert_eq!(world.run(&spec).text(), "");
    assert_eq!(names(), before);
    assert!(!names().iter().any(|name| name.to_string_lossy().contains("crossdock")));
}

fn without_emulator_the_format_is_foreign(world: &World) {
    if Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() {
        println!("    skipped: this host has an emulator registered");
        return;
    }
    let mut spec = world.words(&["/bin/sh", "-c", "true"]);
    spec.root = world.root("arm64");
    assert_eq!(world.run(&spec).outcome.unwrap_err().to_string(), "exec /bin/sh: exec format error");
}
