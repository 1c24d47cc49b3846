//! In: `testdata/builders/*`. Out: what `ls` and `inspect` print over each state, held against `expected`. Never: a socket.

#![allow(clippy::unwrap_used, reason = "a test file: clippy sees only functions marked as tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crossdock_builders::{BuildersError, Engines, Presence, Store, World, inspect, list, resolve, view};
use crossdock_docker::{DockerError, Endpoint, Environment, Settings};
use serde::Deserialize;

/// What answers where.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fake {
    docker_host: Option<String>,
    answers: Vec<String>,
    containers: BTreeMap<String, String>,
    daemons: Vec<String>,
    nobody: String,
}

impl Engines for Fake {
    fn presence(&self, endpoint: &Endpoint) -> Presence {
        if self.answers.contains(&endpoint.host) { Presence::Answers } else { Presence::Nobody(self.nobody.clone()) }
    }
    fn container(&self, _: &Endpoint, name: &str) -> Result<Option<String>, DockerError> {
        Ok(self.containers.get(name).cloned())
    }
    fn daemon(&self, endpoint: &str) -> Result<(), String> {
        if self.daemons.iter().any(|daemon| daemon == endpoint) { Ok(()) } else { Err("nobody".to_owned()) }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/builders")
}

/// The words of a command line; single quotes keep blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn run(line: &str, store: &Store, world: &World<'_>) -> Result<Vec<String>, BuildersError> {
    let words = words(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words[0] == "inspect" {
        let resolved = resolve::resolve(store, world, words.get(1).copied())?;
        return Ok(inspect::inspect(&view::one(store, world, &resolved)?));
    }
    let (format, no_trunc) = match words[1..] {
        ["--no-trunc"] => ("table", true),
        ["--format", format] => (format, false),
        _ => ("table", false),
    };
    let listing = list::list(&view::all(store, world)?, format, no_trunc)?;
    let errors = listing.errors.into_iter().map(|error| format!("! {error}"));
    Ok(listing.out.into_iter().chain(errors).collect())
}

#[test]
fn states_are_shown_as_expected() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut cases: Vec<PathBuf> = fs_err::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.is_dir());
    cases.sort();
    assert!(cases.len() >= 3);
    for case in cases {
        let fake: Fake = serde_json::from_slice(&fs_err::read(case.join("world.json")).unwrap()).unwrap();
        let environment = Environment {
            docker_config: Some(case.join("docker")),
            docker_host: fake.docker_host.clone(),
            ..Environment::default()
        };
        let settings = Settings { environment, ..Settings::default() };
        let platforms = ["linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/386", "linux/arm64", "linux/arm/v7"];
        let world = World {
            docker: &settings,
            engines: &fake,
            version: "crossdock-1".to_owned(),
            platforms: platforms.iter().map(|word| word.parse().unwrap()).collect(),
            host_name: "machine".to_owned(),
            buildkit_host: None,
            kubeconfig: String::new(),
        };
        let store = Store::at(case.join("state"));
        let expected = fs_err::read_to_string(case.join("expected")).unwrap();
        let mut got = String::new();
        for line in expected.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let out = run(line, &store, &world).unwrap_or_else(|error| vec![format!("! ERROR: {error}")]);
            let out = out.join("\n").replace(&case.display().to_string(), "[CASE]");
            got.push_str(&format!("$ {line}\n{out}\n"));
        }
        let of_buildx = case.file_name().unwrap().to_string_lossy().starts_with("buildx-");
        if update && !of_buildx {
            fs_err::write(case.join("expected"), &got).unwrap();
            continue;
        }
        let (got, expected): (Vec<&str>, Vec<&str>) = (got.lines().collect(), expected.lines().collect());
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got, expected, "{}", case.display());
        }
        assert_eq!(got.len(), expected.len(), "{}", case.display());
    }
}
