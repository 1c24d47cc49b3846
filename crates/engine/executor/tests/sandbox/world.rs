//! In: the repository's script for busybox roots. Out: a keeper over a state directory of its own, and short words to run steps in it. Never: the user's state.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crossdock_executor::keeper::{ApplyRequest, ExecStdio, Layers, TreeFormat};
use crossdock_executor::sandbox::{ExecOutcome, ExecSpec, RootSpec, UpperSpec};
use crossdock_executor::{Cancel, ExecutorError, HostPath, Keeper, KeeperOptions};

/// A keeper and what its steps stand on.
pub struct World {
    pub keeper: Keeper,
    pub state: tempfile::TempDir,
    tars: PathBuf,
    next: AtomicU32,
}

/// What a step did.
#[derive(Debug)]
pub struct Ran {
    pub outcome: Result<ExecOutcome, ExecutorError>,
    pub stdout: String,
    pub stderr: String,
    pub upper: PathBuf,
}

impl Ran {
    /// The standard output of a step that must have succeeded.
    pub fn text(&self) -> &str {
        assert_eq!(self.code(), 0, "{self:?}");
        self.stdout.trim_end()
    }

    pub fn code(&self) -> i32 {
        self.outcome.as_ref().unwrap_or_else(|error| panic!("{error}: {self:?}")).code
    }
}

impl World {
    /// A fresh world; `None`, with the reason printed, where busybox roots cannot be had.
    pub fn make() -> Option<Self> {
        let tars = roots_directory();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../scripts/busybox-roots");
        if !tars.join("root-arm.tar").exists() {
            let done = Command::new(&script).arg(&tars).status();
            if !done.as_ref().is_ok_and(std::process::ExitStatus::success) {
                println!("{} failed: {done:?}", script.display());
                return None;
            }
        }
        let state = tempfile::tempdir().unwrap();
        // Some cases run steps as another user.
        fs_err::set_permissions(state.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let keeper = Keeper::new(KeeperOptions::new(state.path()));
        Some(Self { keeper, state, tars, next: AtomicU32::new(0) })
    }

    /// The directory of a base: busybox of an architecture (Go's word).
    pub fn base(&self, architecture: &str) -> PathBuf {
        let directory = self.state.path().join(format!("base-{architecture}"));
        let fs = directory.join("fs");
        if !fs.exists() {
            self.keeper.prepare(&directory, &Cancel::new()).unwrap();
            let tar = fs_err::File::open(self.tar(architecture)).unwrap();
            let request = ApplyRequest {
                dest: HostPath::from(fs.as_path()),
                lowers: Layers::default(),
                format: TreeFormat::Overlay,
            };
            self.keeper.apply(&request, tar.file(), &Cancel::new()).unwrap();
            self.keeper.commit(&directory, &Cancel::new()).unwrap();
        }
        fs
    }

    /// The layer that a base is made from.
    pub fn tar(&self, architecture: &str) -> PathBuf {
        self.tars.join(format!("root-{architecture}.tar"))
    }

    /// An empty active snapshot.
    pub fn upper(&self) -> UpperSpec {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let directory = self.state.path().join(format!("active-{number}"));
        self.keeper.prepare(&directory, &Cancel::new()).unwrap();
        UpperSpec { fs: HostPath::from(directory.join("fs")), work: HostPath::from(directory.join("work")) }
    }

    /// A root on busybox with a fresh writable layer.
    pub fn root(&self, architecture: &str) -> RootSpec {
        RootSpec::Overlay { lowers: Layers(vec![HostPath::from(self.base(architecture))]), upper: Some(self.upper()) }
    }

    /// A step that runs a shell script.
    pub fn shell(&self, script: &str) -> ExecSpec {
        self.words(&["/bin/sh", "-c", script])
    }

    /// A step of these words.
    pub fn words(&self, words: &[&str]) -> ExecSpec {
        ExecSpec::new(self.root("amd64"), words.iter().map(|&word| word.to_owned()).collect())
    }

    /// Runs a shell script in a fresh layer on busybox.
    pub fn sh(&self, script: &str) -> Ran {
        self.run(&self.shell(script))
    }

    /// Runs a step to its end.
    pub fn run(&self, spec: &ExecSpec) -> Ran {
        self.run_with_input(spec, None)
    }

    /// Runs a step to its end with this standard input.
    pub fn run_with_input(&self, spec: &ExecSpec, stdin: Option<OwnedFd>) -> Ran {
        let (mut out, out_end) = std::io::pipe().unwrap();
        let (mut err, err_end) = std::io::pipe().unwrap();
        let stdio = ExecStdio { stdin, stdout: Some(out_end.into()), stderr: Some(err_end.into()) };
        let running = self.keeper.exec(spec, stdio, &Cancel::new());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| err.read_to_end(&mut stderr).unwrap());
            out.read_to_end(&mut stdout).unwrap();
        });
        let outcome = running.and_then(|running| running.wait());
        let upper = match &spec.root {
            RootSpec::Overlay { upper: Some(upper), .. } => upper.fs.as_path().to_owned(),
            RootSpec::Overlay { .. } => PathBuf::new(),
            RootSpec::Directory(directory) => directory.as_path().to_owned(),
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { outcome, stdout: text(stdout), stderr: text(stderr), upper }
    }
}

/// Where root file systems are kept between runs. Every user can read it.
fn roots_directory() -> PathBuf {
    std::env::var_os("CROSSDOCK_TEST_ROOTS")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("roots"), PathBuf::from)
}

/// The files of a directory tree, relative, sorted; directories end with a slash.
pub fn tree(directory: &Path) -> Vec<String> {
    let mut list = Vec::new();
    let mut ahead = vec![directory.to_owned()];
    while let Some(next) = ahead.pop() {
        for entry in fs_err::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(directory).unwrap().display().to_string();
            if entry.file_type().unwrap().is_dir() {
                list.push(format!("{path}/"));
                ahead.push(entry.path());
            } else {
                list.push(path);
            }
        }
    }
    list.sort();
    list
}

/// Whether a tool lies where distributions put it.
pub fn has_tool(name: &str) -> bool {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].iter().any(|directory| Path::new(directory).join(name).exists())
}
