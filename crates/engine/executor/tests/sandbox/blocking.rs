//! In: hosts that forbid namespaces. Out: whether the keeper names the cause and the fix. Never: a setting of this host changed; each case makes a namespace in which it holds.

use std::ffi::OsStr;
use std::process::Command;

use crossdock_executor::keeper::{ExecStdio, Layers};
use crossdock_executor::sandbox::{ExecSpec, RootSpec};
use crossdock_executor::{Cancel, HostPath, Keeper, KeeperOptions};

use crate::Case;
use crate::users;
use crate::world::World;

/// Names the base on which a process executed in such a place tries a step.
pub const TRIAL: &str = "CROSSDOCK_TEST_TRIAL";

pub const CASES: &[Case] = &[
    ("exhausted_namespaces_are_named", exhausted_namespaces_are_named),
    ("a_covered_proc_is_named", a_covered_proc_is_named),
    ("a_program_that_keeps_nothing_is_named", a_program_that_keeps_nothing_is_named),
];

/// Tries a step and prints what came of it.
pub fn try_a_step(base: &OsStr) -> ! {
    let state = tempfile::tempdir().unwrap();
    let keeper = Keeper::new(KeeperOptions::new(state.path()));
    let root = RootSpec::Overlay { lowers: Layers(vec![HostPath::from(base)]), upper: None };
    let ran = keeper
        .exec(&ExecSpec::new(root, vec!["true".to_owned()]), ExecStdio::default(), &Cancel::new())
        .and_then(|step| step.wait());
    match ran {
        Ok(outcome) => println!("ran: {}", outcome.code),
        Err(error) => println!("{error}"),
    }
    drop(keeper);
    drop(state);
    std::process::exit(0)
}

/// What a trial after this shell script says.
fn trial(world: &World, outer: &[&str], script: &str) -> String {
    let own = std::env::current_exe().unwrap();
    let script = format!("{script} {}", own.display());
    let output = Command::new(outer[0])
        .args(&outer[1..])
        .args(["sh", "-ec", &script])
        .env(TRIAL, world.base("amd64"))
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn exhausted_namespaces_are_named(world: &World) {
    let script = "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set -all";
    let text = trial(world, &["unshare", "--user", "--map-root-user"], script);
    assert!(
        text.contains("user.max_user_namespaces is 0") && text.contains("sudo sysctl -w user.max_user_namespaces="),
        "{text}"
    );
}

fn a_covered_proc_is_named(world: &World) {
    if users::part() != "root" {
        println!("    skipped: needs root");
        return;
    }
    let script = "mount -t tmpfs cover /proc/bus; exec setpriv --reuid 65534 --regid 65534 --clear-groups";
    let text = trial(world, &["unshare", "--mount"], script);
    assert!(text.contains("/proc is partly covered") && text.contains("systempaths=unconfined"), "{text}");
}

fn a_program_that_keeps_nothing_is_named(world: &World) {
    let mut options = KeeperOptions::new(world.state.path());
    options.program = Some("/bin/true".into());
    let error = Keeper::start(&options).unwrap_err().to_string();
    assert!(error.contains("run_if_keeper"), "{error}");
    options.program = Some("/nowhere/at/all".into());
    assert!(Keeper::start(&options).unwrap_err().to_string().contains("/nowhere/at/all"));
}
