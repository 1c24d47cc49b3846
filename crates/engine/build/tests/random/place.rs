//! In: dice, a root file system with a shell. Out: a context, a named one, a Dockerfile; random changes of them; builds in one state directory or in a fresh one. Never: the same seed with other bytes.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossdock_build::{Build, BuildRequest, Engine, EngineOptions, Given, LocalContexts, SecretSource};
use crossdock_frontend::options::Options;
use crossdock_image::Annotations;
use crossdock_oci::{BlobDigest, Platform};
use crossdock_progress::{Event, Progress, Recorder};
use crossdock_snapshot::tar::Writer;
use crossdock_snapshot::{Entry, EntryKind, RootedPath};
use tempfile::TempDir;

use crate::dice::Dice;
use crate::picture;
use crate::recipe::Recipe;

const FILES: [&str; 11] =
    ["a", "b/one", "b/two", "b/deep/three", "c", "d/x.log", "d/y.txt", "e/t.txt", "with blank", "h1", "b/new"];
const ARCHIVES: [&str; 5] = ["t.tar", "t.tar.gz", "t.tar.zst", "t.tar.bz2", "t.tar.xz"];

/// The unpacked root file system of every build, and what this machine is called.
pub struct Roots {
    dir: TempDir,
    architecture: &'static str,
}

impl Roots {
    /// Unpacks it; `None`, with the reason printed, where it cannot be had.
    pub fn find() -> Option<Self> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => {
                println!("there is no root file system for {other}");
                return None;
            }
        };
        let tars = std::env::var_os("CROSSDOCK_TEST_ROOTS")
            .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("roots"), PathBuf::from);
        let tar = tars.join(format!("root-{architecture}.tar"));
        if !tar.exists() {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../scripts/busybox-roots");
            let done = Command::new(&script).arg(&tars).arg(architecture).status();
            if !done.as_ref().is_ok_and(std::process::ExitStatus::success) {
                println!("{} failed: {done:?}", script.display());
                return None;
            }
        }
        let dir = TempDir::new().unwrap();
        let done = Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(dir.path()).status();
        assert!(done.unwrap().success(), "tar cannot unpack {}", tar.display());
        Some(Self { dir, architecture })
    }
}

/// What a build gave.
pub struct Built {
    pub digest: BlobDigest,
    /// Config, history and entries without times.
    pub picture: Vec<String>,
    /// The times.
    pub times: Vec<String>,
    pub steps: usize,
    pub cached: usize,
}

/// A context, a named context, a Dockerfile, a state.
pub struct Place<'a> {
    roots: &'a Roots,
    context: TempDir,
    side: TempDir,
    state: TempDir,
    secret: tempfile::NamedTempFile,
    recipe: Recipe,
    build_args: BTreeMap<String, String>,
    changes: Vec<String>,
}

impl<'a> Place<'a> {
    pub fn random(dice: &mut Dice, roots: &'a Roots) -> Self {
        let mut secret = tempfile::NamedTempFile::new().unwrap();
        secret.write_all(b"hunter2").unwrap();
        let dir = || TempDir::new().unwrap();
        let place = Self {
            roots,
            context: dir(),
            side: dir(),
            state: dir(),
            secret,
            recipe: Recipe::random(dice),
            build_args: BTreeMap::new(),
            changes: Vec::new(),
        };
        for name in FILES {
            write(&place.context.path().join(name), &random_bytes(dice));
        }
        let root = place.context.path();
        fs_err::hard_link(root.join("h1"), root.join("h2")).unwrap();
        symlink("b/one", root.join("l")).unwrap();
        symlink("deep", root.join("b/dir-link")).unwrap();
        symlink("gone", root.join("b/nowhere")).unwrap();
        for name in ARCHIVES {
            write_archive(&root.join(name), dice);
        }
        for name in ["one", "sub/two"] {
            write(&place.side.path().join(name), &random_bytes(dice));
        }
        write(&root.join(".dockerignore"), b"*.log\nDockerfile\n.dockerignore\n");
        write(&root.join("Dockerfile"), place.recipe.text().as_bytes());
        place
    }

    /// Up to three random changes, of the Dockerfile, the contexts or the build args.
    pub fn change(&mut self, dice: &mut Dice) {
        for _ in 0..=dice.below(3) {
            let what = match dice.below(10) {
                0..=3 => {
                    self.recipe.change(dice);
                    "the Dockerfile".to_owned()
                }
                4 => {
                    let value = dice.below(3).to_string();
                    self.build_args.insert(dice.pick(&["BA", "A0", "GLOBAL", "TARGETOS"]).to_owned(), value.clone());
                    format!("a build arg: {value}")
                }
                5 => {
                    write(&self.side.path().join(dice.pick(&["one", "sub/two", "new"])), &random_bytes(dice));
                    "the named context".to_owned()
                }
                _ => self.change_context(dice),
            };
            self.changes.push(what);
        }
        write(&self.context.path().join("Dockerfile"), self.recipe.text().as_bytes());
    }

    fn change_context(&self, dice: &mut Dice) -> String {
        let name = dice.pick(&FILES);
        let path = self.context.path().join(name);
        match dice.below(9) {
            0 => {
                let _ = fs_err::remove_file(&path);
                format!("{name} is gone")
            }
            1 if path.exists() => {
                let mode = [0o600, 0o755, 0o644, 0o4711][dice.below(4)];
                fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
                format!("{name} has mode {mode:o}")
            }
            2 => {
                let link = self.context.path().join("l");
                fs_err::remove_file(&link).unwrap();
                let target = dice.pick(&["a", "b", "b/two", "gone", "../../etc"]);
                symlink(target, link).unwrap();
                format!("l leads to {target}")
            }
            3 => {
                let archive = dice.pick(&ARCHIVES);
                write_archive(&self.context.path().join(archive), dice);
                format!("another {archive}")
            }
            4 => {
                let rules = dice.pick(&["*.log\n", "*.log\nb\n!b/two\n", "**/t*\n!t.tar*\n", "", "d\n*.txt\n"]);
                write(&self.context.path().join(".dockerignore"), format!("{rules}Dockerfile\n").as_bytes());
                format!(".dockerignore is {rules:?}")
            }
            5 if path.exists() => {
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(SystemTime::now() + Duration::from_secs(100)).unwrap();
                format!("{name} is touched")
            }
            6 => {
                let _ = fs_err::remove_file(&path);
                symlink("a", &path).unwrap_or(());
                format!("{name} is a link")
            }
            _ => {
                // Not through a link: the file behind it would be the one that changes.
                let _ = fs_err::remove_file(&path);
                write(&path, &random_bytes(dice));
                format!("{name} has other bytes")
            }
        }
    }

    /// What was built, for whom it failed.
    pub fn describe(&self) -> String {
        format!(
            "---- build args {:?}\n---- changes {:#?}\n---- Dockerfile\n{}",
            self.build_args,
            self.changes,
            self.recipe.text()
        )
    }

    pub fn build(&self, epoch: Option<u64>) -> Result<Built, String> {
        self.build_in(self.state.path(), epoch)
    }

    pub fn build_fresh(&self, epoch: Option<u64>) -> Result<Built, String> {
        let state = TempDir::new().unwrap();
        self.build_in(state.path(), epoch)
    }

    fn build_in(&self, state: &Path, epoch: Option<u64>) -> Result<Built, String> {
        let engine = Engine::open(&EngineOptions { state: state.to_owned() }).unwrap();
        let mut options = Options::new(vec![Platform::new("linux", self.roots.architecture, "")]);
        options.build_args = self.build_args.clone();
        options.build_args.extend(epoch.map(|seconds| ("SOURCE_DATE_EPOCH".to_owned(), seconds.to_string())));
        for name in ["shell", "side"] {
            options.named_contexts.insert(name.to_owned(), format!("local:{name}"));
        }
        let dir = self.context.path().to_owned();
        let named = [("shell", &self.roots.dir), ("side", &self.side)];
        let named = named.map(|(name, dir)| (name.to_owned(), dir.path().to_owned()));
        let secrets = [("s".to_owned(), SecretSource::File(self.secret.path().to_owned()))];
        let request = BuildRequest {
            options,
            contexts: LocalContexts {
                context: dir.clone(),
                dockerfile: dir,
                named: named.into(),
                ..LocalContexts::default()
            },
            outputs: Vec::new(),
            names: Vec::new(),
            annotations: Annotations::default(),
            given: Given { secrets: secrets.into(), agents: BTreeMap::new() },
            only_graph: false,
            arch_check: crossdock_build::ArchCheck::default(),
        };
        let recorder = Arc::new(Recorder::default());
        let report = Build::run(&engine, &request, &Progress::new(recorder.clone())).map_err(|why| why.to_string())?;
        let digest = report.image.expect("an image is kept").target.digest;
        let (picture, times) = picture::of(engine.store(), digest);
        let (steps, cached) = steps(&recorder.events());
        Ok(Built { digest, picture, times, steps, cached })
    }
}

/// Steps of the Dockerfile, and how many of them were cached.
fn steps(events: &[Event]) -> (usize, usize) {
    let mut steps = BTreeMap::new();
    for event in events {
        let Event::Vertex(vertex) = event else { continue };
        let is_step = vertex.name.starts_with('[')
            && !vertex.name.starts_with("[internal]")
            && !vertex.name.starts_with("[context ");
        if vertex.completed.is_some() && is_step {
            steps.insert(vertex.name.clone(), vertex.cached);
        }
    }
    (steps.len(), steps.values().filter(|cached| **cached).count())
}

fn write(path: &Path, bytes: &[u8]) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, bytes).unwrap();
}

fn random_bytes(dice: &mut Dice) -> Vec<u8> {
    let length = [0, 1, 100, 5000][dice.below(4)];
    (0..length).map(|_| dice.below(256) as u8).collect()
}

/// An archive of random members in the compression its name says.
fn write_archive(path: &Path, dice: &mut Dice) {
    let mut tar = Writer::new(Vec::new());
    let name = |text: &str| RootedPath::parse(text.as_bytes()).unwrap();
    tar.append(&Entry::dir(name("packed"), 0o755), &mut std::io::empty()).unwrap();
    for member in ["packed/one", "packed/two", "a", "x"] {
        if dice.below(4) == 0 {
            continue;
        }
        let bytes = random_bytes(dice);
        let mut entry = Entry::file(name(member), bytes.len() as u64, 0o640);
        entry.uid = dice.below(3) as u32;
        entry.mtime.seconds = 1_000_000_000;
        tar.append(&entry, &mut &bytes[..]).unwrap();
    }
    let link = EntryKind::Symlink { target: b"one".to_vec() };
    tar.append(&Entry { kind: link, ..Entry::file(name("packed/link"), 0, 0o777) }, &mut std::io::empty()).unwrap();
    let tar = tar.finish().unwrap();
    let packed = match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(&tar).unwrap();
            out.finish().unwrap()
        }
        Some("bz2") => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            out.write_all(&tar).unwrap();
            out.finish().unwrap()
        }
        Some("xz") => {
            let mut out = xz2::write::XzEncoder::new(Vec::new(), 0);
            out.write_all(&tar).unwrap();
            out.finish().unwrap()
        }
        Some("zst") => zstd::bulk::compress(&tar, 1).unwrap(),
        _ => tar,
    };
    write(path, &packed);
}
