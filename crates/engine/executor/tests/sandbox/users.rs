//! In: root's suite. Out: the same suite as a user with sub-ids and as one without. Never: a user left behind.

use std::process::Command;

/// Names the part of the suite a process runs.
pub const PART: &str = "CROSSDOCK_TEST_PART";
/// A user with sub-ids, made for the time of the run.
const USER: &str = "crossdock-test";

/// The name of this process's part.
pub fn part() -> String {
    std::env::var(PART).unwrap_or_else(|_| if is_root() { "root" } else { "user" }.to_owned())
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs the suite as other users; only root can.
pub fn run_as_others(filters: &[String]) -> usize {
    if !is_root() {
        println!("skipped: the suite as other users needs root");
        return 0;
    }
    let mut failures = run_as("one-id", &["--reuid", "65534", "--regid", "65534"], filters);
    let made = Command::new("useradd").args(["--system", "--no-create-home", "--shell", "/bin/false", USER]).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: the suite as a user with sub-ids needs useradd, and no user {USER} yet");
        return failures;
    }
    let lent = Command::new("usermod")
        .args(["--add-subuids", "700000-765535", "--add-subgids", "700000-765535", USER])
        .status();
    let id = |flag: &str| {
        let output = Command::new("id").args([flag, USER]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    if lent.is_ok_and(|status| status.success()) && crate::world::has_tool("newuidmap") {
        failures += run_as("sub-ids", &["--reuid", &id("-u"), "--regid", &id("-g")], filters);
    } else {
        println!("skipped: the suite as a user with sub-ids needs newuidmap (package uidmap) and usermod");
    }
    let _ = Command::new("userdel").arg(USER).status();
    failures
}

fn run_as(part: &str, ids: &[&str], filters: &[String]) -> usize {
    let home = tempfile::tempdir().unwrap();
    let numbers: Vec<u32> = ids.iter().filter_map(|word| word.parse().ok()).collect();
    std::os::unix::fs::chown(home.path(), Some(numbers[0]), Some(numbers[1])).unwrap();
    let name = if part == "sub-ids" { USER } else { "nobody" };
    let mut command = Command::new("setpriv");
    command.args(ids).arg("--clear-groups").arg("--").arg(std::env::current_exe().unwrap()).args(filters);
    command.env(PART, part).env("HOME", home.path()).env("TMPDIR", home.path()).env("USER", name).current_dir("/");
    match command.status() {
        Ok(status) if status.success() => 0,
        Ok(_) => 1,
        Err(error) => {
            println!("skipped ({part}): setpriv: {error}");
            0
        }
    }
}
