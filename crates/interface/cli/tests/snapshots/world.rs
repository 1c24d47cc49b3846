//! In: a shell text. Out: what it printed and its exit code, run in an empty directory of its own. Never: a variable of the environment the tests run in.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A directory with a home, a state and a configuration for one case.
pub struct World {
    dir: TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["work", "home", "bin", "tmp"] {
            fs_err::create_dir(dir.path().join(name)).unwrap();
        }
        fs_err::write(dir.path().join("config.toml"), "").unwrap();
        fs_err::os::unix::fs::symlink(env!("CARGO_BIN_EXE_crossdock"), dir.path().join("bin/crossdock")).unwrap();
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// A program that sees this world only.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", format!("{}/bin:{path}:/usr/sbin:/sbin", self.path().display()))
            .env("HOME", self.path().join("home"))
            .env("DOCKER_CONFIG", self.path().join("home/.docker"))
            .env("TMPDIR", self.path().join("tmp"))
            .env("CROSSDOCK_STATE_DIR", self.path().join("state"))
            .env("CROSSDOCK_CONFIG", self.path().join("config.toml"))
            // The same words on every machine: nothing of these builds runs.
            .env("DOCKER_DEFAULT_PLATFORM", "linux/amd64")
            // Nor does anything of them reach an engine of this machine.
            .env("BUILDX_NO_DEFAULT_LOAD", "1")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("TERM", "xterm")
            .current_dir(self.work())
            .stdin(Stdio::null());
        command
    }

    /// Runs a shell text with the prelude of the cases.
    pub fn shell(&self, text: &Path) -> Output {
        self.command("bash").env("BASH_ENV", cases_dir().join("prelude.sh")).arg("-u").arg(text).output().unwrap()
    }

    pub fn crossdock(&self, words: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_crossdock")).args(words).output().unwrap()
    }

    /// A Dockerfile of one COPY, as `hello` of the prelude.
    pub fn hello(&self) {
        fs_err::write(self.work().join("Dockerfile"), "FROM scratch\nCOPY hello /\nCMD [\"/hello\"]\n").unwrap();
        fs_err::write(self.work().join("hello"), "hello\n").unwrap();
    }
}

pub fn cases_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/cli").canonicalize().unwrap()
}

/// Why files cannot be carried out of an image here; none where they can.
pub fn keeper_blocked() -> Option<String> {
    let world = World::new();
    world.hello();
    let output = world.crossdock(&["build", "-q", "-o", "out", "."]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(text)
}
