//! In: a test. Out: the same test in another process with namespaces of its own. Never: a silent skip.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "part of tests")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const MARK: &str = "CROSSDOCK_TEST_INSIDE";

/// Where a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circumstances {
    /// Root of the machine, in a mount namespace.
    Root,
    /// Root of the machine, as the only id of a user namespace.
    #[allow(dead_code, reason = "not every test file uses every one")]
    UserNamespace,
    /// Root of a user namespace with 65,536 ids of the machine.
    #[allow(dead_code, reason = "not every test file uses every one")]
    SubIds,
    /// Another user, as the only id of a user namespace.
    #[allow(dead_code, reason = "not every test file uses every one")]
    Unprivileged,
}

/// Runs `body` in the circumstances, by running this test binary again for the test `name`.
pub fn inside(name: &str, circumstances: Circumstances, body: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: {name} needs root to make its namespaces");
        return;
    }
    // Unprivileged users can read neither the build directory nor root's temporary files: both get a place of their own.
    let home = tempfile::Builder::new().prefix("crossdock-test-").tempdir().unwrap();
    let binary = home.path().join("test");
    // By another process: a descriptor for writing, inherited by what another test starts meanwhile, would make the copy "busy".
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&binary).status().unwrap();
    assert!(copied.success(), "cp: {copied}");
    let owned_by = |id: u32| {
        let (uid, gid) = (rustix::fs::Uid::from_raw(id), rustix::fs::Gid::from_raw(id));
        rustix::fs::chown(home.path(), Some(uid), Some(gid)).unwrap();
    };
    let mut command = match circumstances {
        Circumstances::Root => words("unshare -m"),
        Circumstances::UserNamespace => words("unshare -Urm"),
        Circumstances::Unprivileged => {
            owned_by(65534);
            words("setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urm")
        }
        Circumstances::SubIds => {
            owned_by(FIRST_SUB_ID);
            let mut command = words("unshare -Um --keep-caps sh -c");
            // Waits for its ids.
            command.args(["read go && exec setpriv --reuid 0 --regid 0 --clear-groups \"$@\"", "sh"]);
            command
        }
    };
    command.arg(&binary).args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env(MARK, "1").env("TMPDIR", home.path()).current_dir("/");
    let output = match circumstances {
        Circumstances::SubIds => output_with_sub_ids(&mut command),
        _ => command.output(),
    };
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {name} needs unshare(1) and setpriv(1)");
            return;
        }
        other => other.unwrap(),
    };
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{name} as {circumstances:?}:\n{text}");
    assert!(text.contains("1 passed"), "{name} did not run:\n{text}");
}

fn words(text: &str) -> Command {
    let mut words = text.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

const FIRST_SUB_ID: u32 = 100_000;

/// Runs a command that makes a user namespace and waits for a line, and gives it ids in between.
fn output_with_sub_ids(command: &mut Command) -> std::io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let ours = fs_err::read_link("/proc/self/ns/user")?;
    let proc = format!("/proc/{}", child.id());
    while fs_err::read_link(format!("{proc}/ns/user"))? == ours {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    for map in ["uid_map", "gid_map"] {
        fs_err::write(format!("{proc}/{map}"), format!("0 {FIRST_SUB_ID} 65536"))?;
    }
    child.stdin.take().unwrap().write_all(b"go\n")?;
    child.wait_with_output()
}
