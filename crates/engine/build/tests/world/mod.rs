//! In: dice. Out: a context, a Dockerfile over scratch, builds of it in one state directory or in a fresh one. Never: the same file written with other bytes by two runs of a seed.

use std::collections::BTreeMap;
use std::fs::{File, FileTimes};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossdock_build::{Build, BuildRequest, Engine, EngineOptions, LocalContexts};
use crossdock_frontend::options::Options;
use crossdock_image::Annotations;
use crossdock_oci::{BlobDigest, Platform};
use crossdock_progress::{Event, Progress, Recorder};
use tempfile::TempDir;

use crate::dice::Dice;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    Cached,
    Done,
}

const FILES: [&str; 7] = ["a", "b/one", "b/two", "b/deep/three", "c", "d/x.log", "d/y.txt"];

/// A context, a Dockerfile and a state.
pub struct World {
    context: TempDir,
    state: TempDir,
    files: BTreeMap<String, Vec<u8>>,
    /// Stages, each with its instructions.
    stages: Vec<Vec<String>>,
}

impl World {
    /// Steps of [`World::line`].
    pub const LINE_STEPS: usize = 7;

    fn new(files: &BTreeMap<String, Vec<u8>>, stages: Vec<Vec<String>>) -> Self {
        let mut world =
            Self { context: TempDir::new().unwrap(), state: TempDir::new().unwrap(), files: BTreeMap::new(), stages };
        for (name, bytes) in files {
            world.write(name, bytes);
        }
        world.write_dockerfile();
        world
    }

    /// One stage whose steps read different files, one after the other.
    pub fn line() -> Self {
        let names = ["a", "b/one", "b/two", "c", "d/late"];
        let files = names.iter().map(|name| ((*name).to_owned(), format!("bytes of {name}\n").into_bytes())).collect();
        let steps = [
            "COPY a /a",
            "COPY b/one /in/",
            "COPY --chmod=600 b /b/",
            "WORKDIR /w",
            "ADD c .",
            "COPY d/*ate /d/",
            "WORKDIR /end",
        ];
        assert_eq!(steps.len(), Self::LINE_STEPS);
        Self::new(&files, vec![steps.map(str::to_owned).to_vec()])
    }

    /// One to three stages of random steps over random files.
    pub fn random(dice: &mut Dice) -> Self {
        let files = FILES.iter().map(|name| ((*name).to_owned(), random_bytes(dice))).collect();
        let stages =
            (0..=dice.below(3)).map(|stage| (0..=dice.below(4)).map(|_| random_step(dice, stage)).collect()).collect();
        Self::new(&files, stages)
    }

    pub fn dockerfile(&self) -> String {
        let mut text = String::new();
        for (at, steps) in self.stages.iter().enumerate() {
            // Odd stages stand on the one before.
            let base = if at % 2 == 1 { format!("s{}", at - 1) } else { "scratch".to_owned() };
            text.push_str(&format!("FROM {base} AS s{at}\n"));
            for step in steps {
                text.push_str(&format!("{step}\n"));
            }
        }
        // The last stage uses something of every other.
        for at in 0..self.stages.len().saturating_sub(1) {
            text.push_str(&format!("COPY --from=s{at} / /from{at}/\n"));
        }
        text
    }

    fn write_dockerfile(&self) {
        fs_err::write(self.context.path().join("Dockerfile"), self.dockerfile()).unwrap();
        fs_err::write(self.context.path().join(".dockerignore"), "*.log\nDockerfile\n.dockerignore\n").unwrap();
    }

    pub fn write(&mut self, name: &str, bytes: &[u8]) {
        let path = self.context.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
        self.files.insert(name.to_owned(), bytes.to_vec());
    }

    pub fn flip_a_byte(&mut self, name: &str) {
        let mut bytes = self.files[name].clone();
        bytes[0] ^= 1;
        self.write(name, &bytes);
    }

    /// Gives every file another time.
    pub fn touch_all(&self) {
        for name in self.files.keys() {
            let file = File::options().write(true).open(self.context.path().join(name)).unwrap();
            file.set_times(FileTimes::new().set_modified(SystemTime::now() + Duration::from_secs(100))).unwrap();
        }
    }

    /// One random change: a file's bytes, a new file, a step more, a step less, another step.
    pub fn change(&mut self, dice: &mut Dice) {
        let stage = dice.below(self.stages.len());
        let at = dice.below(self.stages[stage].len());
        match dice.below(5) {
            0 => {
                let (name, bytes) = (dice.pick(&FILES), random_bytes(dice));
                self.write(name, &bytes);
            }
            1 => {
                let bytes = random_bytes(dice);
                self.write("b/new", &bytes);
            }
            2 => {
                let step = random_step(dice, stage);
                self.stages[stage].insert(at, step);
            }
            3 if self.stages[stage].len() > 1 => drop(self.stages[stage].remove(at)),
            _ => self.stages[stage][at] = random_step(dice, stage),
        }
        self.write_dockerfile();
    }

    /// Builds in the state of this world; gives the image's digest and how each step ended, in the order of their names.
    pub fn build(&self, epoch: Option<u64>) -> (BlobDigest, Vec<(String, Ran)>) {
        self.build_in(&self.state, epoch)
    }

    /// Builds in a state that knows nothing.
    pub fn build_fresh(&self, epoch: Option<u64>) -> BlobDigest {
        self.build_in(&TempDir::new().unwrap(), epoch).0
    }

    fn build_in(&self, state: &TempDir, epoch: Option<u64>) -> (BlobDigest, Vec<(String, Ran)>) {
        let engine = Engine::open(&EngineOptions { state: state.path().to_owned() }).unwrap();
        let mut options = Options::new(vec![Platform::new("linux", "amd64", "")]);
        options.build_args.extend(epoch.map(|seconds| ("SOURCE_DATE_EPOCH".to_owned(), seconds.to_string())));
        let dir = self.context.path().to_owned();
        let request = BuildRequest {
            options,
            contexts: LocalContexts { context: dir.clone(), dockerfile: dir, ..LocalContexts::default() },
            outputs: Vec::new(),
            names: Vec::new(),
            annotations: Annotations::default(),
            given: crossdock_build::Given::default(),
            arch_check: crossdock_build::ArchCheck::default(),
            only_graph: false,
        };
        let recorder = Arc::new(Recorder::default());
        let report = Build::run(&engine, &request, &Progress::new(recorder.clone()));
        let report = report.unwrap_or_else(|failure| panic!("{failure}\n{}", self.dockerfile()));
        (report.image.unwrap().target.digest, steps(&recorder.events()))
    }
}

/// Every step of the Dockerfile, by its name, as it was last reported.
fn steps(events: &[Event]) -> Vec<(String, Ran)> {
    let mut steps = BTreeMap::new();
    for event in events {
        let Event::Vertex(vertex) = event else { continue };
        if vertex.completed.is_some() && vertex.name.starts_with('[') && !vertex.name.starts_with("[internal]") {
            steps.insert(vertex.name.clone(), if vertex.cached { Ran::Cached } else { Ran::Done });
        }
    }
    steps.into_iter().collect()
}

fn random_bytes(dice: &mut Dice) -> Vec<u8> {
    let length = [0, 1, 100, 5000][dice.below(4)];
    (0..length).map(|_| dice.below(256) as u8).collect()
}

fn random_step(dice: &mut Dice, stage: usize) -> String {
    let source = dice.pick(&["a", "b/one", "b", "b/deep", "c", "d", ".", "b/*", "a c"]);
    let dest = dice.pick(&["/x/", "/y/z/", "./", "/"]);
    let flags = dice.pick(&["", "", "", "--chown=1:2 ", "--chmod=640 ", "--link ", "--link --chown=3 "]);
    match dice.below(9) {
        0 => format!("WORKDIR {}", dice.pick(&["/w", "deep/er", "/x/y"])),
        1 => format!("ENV K{}={}", dice.below(3), dice.below(100)),
        2 => format!("LABEL l={}", dice.below(100)),
        3 => format!("ADD {flags}{source} {dest}"),
        4 => format!("COPY {flags}<<E /inline{}\ntext {}\nE", dice.below(3), dice.below(5)),
        5 if stage > 0 => format!("COPY {flags}--from=s{} / {dest}", stage - 1),
        _ => format!("COPY {flags}{source} {dest}"),
    }
}
