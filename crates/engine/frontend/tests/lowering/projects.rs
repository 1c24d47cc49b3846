//! In: `testdata/projects/<name>/{Dockerfile, options.json, context/, named/}`, each in the manner of a well-known kind of project. Out: `lowered.txt` beside them, compared or, with UPDATE=1, written. Never: an engine; the bridge is a toy.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crossdock_frontend::{BuildOutcome, Call, Options, build, call};
use crossdock_oci::Platform;

use crate::cases::options_of;
use crate::toy::ToyBridge;

/// So many kinds of projects, at least.
const PROJECTS_MIN: usize = 30;

fn options(project: &Path) -> Options {
    let mut options = options_of(project);
    options.platforms = ["amd64", "arm64"].map(|arch| Platform::new("linux", arch, "")).to_vec();
    options
}

fn bridge(project: &Path) -> ToyBridge {
    ToyBridge::new(project).with_every_image()
}

/// What is built for each platform: the names of the steps, the image's config and its history.
fn describe(outcome: &BuildOutcome) -> String {
    let mut out = String::new();
    for warning in &outcome.warnings {
        writeln!(out, "WARN {}", warning.short()).unwrap();
    }
    for image in &outcome.platforms {
        writeln!(out, "== {} target={}", image.platform, image.target).unwrap();
        for vertex in &image.definition.vertices {
            let name = &vertex.metadata.name;
            assert!(!name.is_empty(), "every step has a name");
            let lines = name.lines().count();
            let rest = if lines > 1 { format!(" … {lines} lines") } else { String::new() };
            writeln!(out, "{}{rest}", name.lines().next().unwrap_or_default()).unwrap();
        }
        let mut config = image.config.clone();
        let history = std::mem::take(&mut config.history);
        writeln!(out, "config {}", serde_json::to_string(&config).unwrap()).unwrap();
        for entry in history.iter().skip(image.base_history_len) {
            writeln!(out, "history {:?}", entry.created_by).unwrap();
        }
    }
    out
}

/// The number of targets that `--call=targets` tells.
fn targets(project: &Path) -> Vec<String> {
    let answer = call(&bridge(project), &options(project), Call::Targets, "Dockerfile").unwrap();
    let view: serde_json::Value = serde_json::from_str(&answer.json).unwrap();
    let names = view["targets"].as_array().unwrap().iter();
    names.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect()
}

/// Everything that is compared, and whether it could be lowered at all.
fn lowered(project: &Path) -> String {
    let bridge = bridge(project);
    let mut out = match build(&bridge, &options(project)) {
        Ok(outcome) => describe(&outcome),
        Err(error) => return format!("{}ERROR: {error}\n", error.excerpt().unwrap_or_default()),
    };
    // Every stage somebody may ask for can be built as well, also the ones the last stage does not need.
    for target in targets(project) {
        let mut options = options(project);
        options.target = Some(target.clone());
        match build(&self::bridge(project), &options) {
            Ok(outcome) => {
                let steps = outcome.platforms.iter().map(|image| image.definition.vertices.len().to_string());
                writeln!(out, "target {target}: {} steps", steps.collect::<Vec<_>>().join(" + ")).unwrap();
            }
            Err(error) => writeln!(out, "target {target}: ERROR: {error}").unwrap(),
        }
    }
    let check = call(&self::bridge(project), &self::options(project), Call::Check, "Dockerfile").unwrap();
    writeln!(out, "check status {}\n{}", check.status, check.text.trim_end()).unwrap();
    out
}

#[test]
fn every_project_is_checked_and_lowered_as_written_beside_it() {
    let update = std::env::var_os("UPDATE").is_some();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/projects");
    let entries = fs_err::read_dir(directory).expect("the projects are part of the repository");
    let mut projects: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    projects.sort();
    assert!(projects.len() >= PROJECTS_MIN, "only {} projects", projects.len());
    let mut wrong = Vec::new();
    for project in &projects {
        let found = lowered(project);
        let path = project.join("lowered.txt");
        if found.contains("ERROR: ") {
            wrong.push(format!("{} cannot be built:\n{found}", project.display()));
        } else if update {
            fs_err::write(&path, &found).unwrap();
        } else if fs_err::read_to_string(&path).unwrap_or_default() != found {
            wrong.push(format!("{}:\n{found}", path.display()));
        }
    }
    let all = projects.len();
    assert!(wrong.is_empty(), "{} of {all} differ (UPDATE=1 rewrites them):\n{}", wrong.len(), wrong.join("\n"));
}
