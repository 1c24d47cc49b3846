//! In: steps cut short, programs killed. Out: whether everything ends at once and nothing stays. Never: a process of another test ended.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crossdock_executor::keeper::{ExecStdio, Layers};
use crossdock_executor::sandbox::{ExecSpec, RootSpec};
use crossdock_executor::{Cancel, ExecutorError, HostPath, Keeper, KeeperOptions};

use crate::Case;
use crate::world::World;

/// Names what a process executed as a victim works on.
pub const VICTIM: &str = "CROSSDOCK_TEST_VICTIM";

pub const CASES: &[Case] = &[
    ("cancelling_ends_a_step_at_once", cancelling_ends_a_step_at_once),
    ("dropping_ends_a_step", dropping_ends_a_step),
    ("cancelled_before_is_cancelled", cancelled_before_is_cancelled),
    ("killed_programs_leave_nothing", killed_programs_leave_nothing),
    ("the_last_handle_ends_the_keeper", the_last_handle_ends_the_keeper),
    ("removal_takes_what_steps_made", removal_takes_what_steps_made),
];

/// Whether a process has this word on its command line.
pub fn is_running(word: &str) -> bool {
    processes().any(|path| {
        fs_err::read(path.join("cmdline"))
            .unwrap_or_default()
            .split(|&byte| byte == 0)
            .any(|part| part == word.as_bytes())
    })
}

fn processes() -> impl Iterator<Item = std::path::PathBuf> {
    fs_err::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.join("cmdline").exists())
}

/// Whether any process sees a mount under this path, or its own mounts there.
fn is_mounted(path: &str) -> bool {
    processes().any(|process| fs_err::read_to_string(process.join("mountinfo")).unwrap_or_default().contains(path))
}

pub fn soon(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(5), "{what} took more than 5 s");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn cancelling_ends_a_step_at_once(world: &World) {
    let cancel = Cancel::new();
    let spec = world.shell("trap '' TERM INT HUP; setsid sleep 88.25 & (trap '' TERM; sleep 88.25) & sleep 88.25");
    let running = world.keeper.exec(&spec, ExecStdio::default(), &cancel).unwrap();
    soon("the start", || is_running("88.25"));
    let begun = Instant::now();
    cancel.cancel();
    assert_eq!(running.wait().unwrap_err(), ExecutorError::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(!is_running("88.25"));
    // The upper directory is free again.
    let mut again = world.shell("echo again");
    again.root = spec.root;
    if let RootSpec::Overlay { upper: Some(upper), .. } = &mut again.root {
        let work = upper.work.as_path().to_owned();
        world.keeper.remove(&work, &Cancel::new()).unwrap();
        fs_err::create_dir(&work).unwrap();
    }
    assert_eq!(world.run(&again).text(), "again");
}

fn dropping_ends_a_step(world: &World) {
    let running = world.keeper.exec(&world.words(&["sleep", "88.5"]), ExecStdio::default(), &Cancel::new()).unwrap();
    drop(running);
    soon("the end", || !is_running("88.5"));
}

fn cancelled_before_is_cancelled(world: &World) {
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(world.keeper.ping(&cancel).unwrap_err(), ExecutorError::Cancelled);
}

/// The life of a program that is going to be killed: it starts a step, says so, and waits.
pub fn be_a_victim(what: &OsStr) -> ! {
    let mut parts = what.to_str().unwrap().splitn(3, ' ');
    let (state, base, seconds) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let keeper = Keeper::new(KeeperOptions::new(state));
    let root = RootSpec::Overlay { lowers: Layers(vec![HostPath::from(base)]), upper: None };
    let words = ["/bin/sh", "-c", &format!("sleep {seconds} & sleep {seconds}")].map(str::to_owned);
    let running = keeper.exec(&ExecSpec::new(root, words.to_vec()), ExecStdio::default(), &Cancel::new()).unwrap();
    println!("ready");
    let _ = running.wait();
    std::process::exit(0)
}

fn killed_programs_leave_nothing(world: &World) {
    let base = world.base("amd64");
    for round in 0..5 {
        let state = tempfile::tempdir().unwrap();
        let place = state.path().display().to_string();
        let seconds = format!("99.{round}5");
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .env(VICTIM, format!("{place} {} {seconds}", base.display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(victim.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        soon("the start", || is_running(&seconds));
        assert!(is_mounted(&format!("{place}/keeper")));
        victim.kill().unwrap();
        assert_eq!(victim.wait().unwrap().signal(), Some(9));
        soon("the end", || !is_running(&seconds) && !is_mounted(&place));
        assert!(!fs_err::read_to_string("/proc/self/mountinfo").unwrap().contains(&place));
    }
}

fn the_last_handle_ends_the_keeper(world: &World) {
    let state = tempfile::tempdir_in(world.state.path()).unwrap();
    let begun = Instant::now();
    let keeper = Keeper::start(&KeeperOptions::new(state.path())).unwrap();
    let started = begun.elapsed();
    keeper.ping(&Cancel::new()).unwrap();
    let begun = Instant::now();
    drop(keeper);
    println!("    a keeper: start {started:?}, end {:?}", begun.elapsed());
    assert!(!is_mounted(&state.path().display().to_string()));
}

fn removal_takes_what_steps_made(world: &World) {
    let ran =
        world.sh("mkdir -p /a/b && touch /a/b/c && chmod 000 /a/b && mkdir /tmp/x && (chown 33:33 /tmp/x || true)");
    assert_eq!(ran.code(), 0);
    let directory = ran.upper.parent().unwrap().to_owned();
    world.keeper.commit(&directory, &Cancel::new()).unwrap();
    assert!(!directory.join("work").exists() && directory.join("fs").exists());
    world.keeper.remove(&directory, &Cancel::new()).unwrap();
    assert!(!directory.exists());
    world.keeper.remove(&directory, &Cancel::new()).unwrap();
}
