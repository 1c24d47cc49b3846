//! In: a test. Out: the same test in another process with namespaces of its own. Never: a silent skip.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "part of tests")]

use std::process::Command;

const MARK: &str = "CROSSDOCK_TEST_INSIDE";

/// Where a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circumstances {
    /// Root of the machine, in a mount namespace.
    Root,
    /// Root of the machine, as the only id of a user namespace.
    #[allow(dead_code, reason = "not every test file uses every one")]
    UserNamespace,
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
    fs_err::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let mut command = match circumstances {
        Circumstances::Root => words("unshare -m"),
        Circumstances::UserNamespace => words("unshare -Urm"),
        Circumstances::Unprivileged => {
            let nobody = 65534;
            rustix::fs::chown(
                home.path(),
                Some(rustix::fs::Uid::from_raw(nobody)),
                Some(rustix::fs::Gid::from_raw(nobody)),
            )
            .unwrap();
            words("setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urm")
        }
    };
    let output = command
        .arg(&binary)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .env("TMPDIR", home.path())
        .current_dir("/")
        .output();
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
