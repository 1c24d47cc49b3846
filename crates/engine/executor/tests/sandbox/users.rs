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

/// Whether only one id exists in this part.
pub fn has_one_id() -> bool {
    matches!(part().as_str(), "one-id" | "contained")
}

/// Runs the suite as other users; only root can.
pub fn run_as_others(filters: &[String]) -> usize {
    if !is_root() {
        println!("skipped: the suite as other users needs root");
        return 0;
    }
    let mut failures = run_as("one-id", 65534, 65534, filters);
    failures += run_in("weak-root", &["setpriv", "--bounding-set", "-sys_admin"], filters, None);
    failures += run_in("contained", &["unshare", "--user", "--map-root-user"], filters, None);
    let made = Command::new("useradd").args(["--system", "--no-create-home", "--shell", "/bin/false", USER]).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: the suite as a user with sub-ids needs useradd, and no user {USER} yet");
        return failures;
    }
    let lent = Command::new("usermod")
        .args(["--add-subuids", "700000-765535", "--add-subgids", "700000-765535", USER])
        .status();
    let id = |flag: &str| -> u32 {
        let output = Command::new("id").args([flag, USER]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    };
    if lent.is_ok_and(|status| status.success()) && crate::world::has_tool("newuidmap") {
        failures += run_as("sub-ids", id("-u"), id("-g"), filters);
    } else {
        println!("skipped: the suite as a user with sub-ids needs newuidmap (package uidmap) and usermod");
    }
    let _ = Command::new("userdel").arg(USER).status();
    failures
}

fn run_as(part: &str, uid: u32, gid: u32, filters: &[String]) -> usize {
    let (user, group) = (uid.to_string(), gid.to_string());
    run_in(part, &["setpriv", "--reuid", &user, "--regid", &group, "--clear-groups"], filters, Some((uid, gid)))
}

/// Runs this program with these words in front.
fn run_in(part: &str, words: &[&str], filters: &[String], owner: Option<(u32, u32)>) -> usize {
    let home = tempfile::tempdir().unwrap();
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::chown(home.path(), Some(uid), Some(gid)).unwrap();
    }
    let name = if part == "sub-ids" { USER } else { "nobody" };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg("--").arg(std::env::current_exe().unwrap()).args(filters);
    command.env(PART, part).env("HOME", home.path()).env("TMPDIR", home.path()).env("USER", name).current_dir("/");
    match command.status() {
        Ok(status) if status.success() => 0,
        Ok(_) => 1,
        Err(error) => {
            println!("skipped ({part}): {}: {error}", words[0]);
            0
        }
    }
}
