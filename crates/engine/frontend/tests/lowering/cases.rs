//! In: `testdata/frontend/<case>/{Dockerfile, options.json, context/}`. Out: `llb.txt` or `error.txt` beside them, compared or, with UPDATE=1, written. Never: an engine; the bridge is a toy.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::toy::ToyBridge;
use crossdock_frontend::{BuildOutcome, FrontendError, NoCache, Options, PlatformImage, build};
use crossdock_llb::Edge;
use crossdock_oci::{Platform, VertexDigest};
use serde::Deserialize;

/// Fewer cases than this mean that the folder was not found.
const CASES_MIN: usize = 40;

/// What `options.json` may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CaseOptions {
    platforms: Vec<String>,
    build_args: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    target: Option<String>,
    filename: Option<String>,
    no_cache: bool,
    no_cache_filter: Vec<String>,
    multi_platform: bool,
    hostname: Option<String>,
    shm_size_bytes: Option<i64>,
    extra_hosts: Vec<(String, String)>,
    named_contexts: BTreeMap<String, String>,
    context: Option<String>,
    local_dockerfile: bool,
    allow: Vec<String>,
}

fn cases_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/frontend")
}

pub fn options_of(case: &Path) -> Options {
    let given: CaseOptions = match fs_err::read_to_string(case.join("options.json")) {
        Ok(text) => serde_json::from_str(&text).unwrap(),
        Err(_) => CaseOptions::default(),
    };
    let host = Platform::new("linux", "amd64", "");
    let platforms = given.platforms.iter().map(|text| Platform::parse_on(text, &host).unwrap()).collect();
    let mut options = Options::new(platforms);
    options.build_args = given.build_args;
    options.labels = given.labels;
    options.target = given.target;
    options.multi_platform = given.multi_platform;
    options.hostname = given.hostname;
    options.shm_size_bytes = given.shm_size_bytes;
    options.extra_hosts = given.extra_hosts;
    options.named_contexts = given.named_contexts;
    options.context = given.context;
    options.local_dockerfile = given.local_dockerfile;
    options.entitlements.network_host = given.allow.iter().any(|word| word == "network.host");
    options.entitlements.security_insecure = given.allow.iter().any(|word| word == "security.insecure");
    if let Some(filename) = given.filename {
        options.filename = filename;
    }
    if given.no_cache {
        options.no_cache = NoCache::All;
    } else if !given.no_cache_filter.is_empty() {
        options.no_cache = NoCache::Stages(given.no_cache_filter);
    }
    options
}

/// Numbers vertices in the order they are met, over all platforms.
#[derive(Default)]
struct Numbers(Vec<VertexDigest>);

impl Numbers {
    fn of(&mut self, digest: VertexDigest) -> String {
        let at = self.0.iter().position(|known| *known == digest).unwrap_or_else(|| {
            self.0.push(digest);
            self.0.len() - 1
        });
        format!("v{}", at + 1)
    }

    fn edge(&mut self, edge: Option<Edge>) -> String {
        match edge {
            None => "empty".to_owned(),
            Some(Edge { vertex, output: 0 }) => self.of(vertex),
            Some(Edge { vertex, output }) => format!("{}:{output}", self.of(vertex)),
        }
    }
}

fn describe(outcome: &BuildOutcome, bridge: &ToyBridge) -> String {
    let mut out = String::new();
    let mut numbers = Numbers::default();
    for warning in &outcome.warnings {
        writeln!(out, "WARN {}", warning.short()).unwrap();
    }
    assert_eq!(bridge.warnings(), outcome.warnings, "warnings are sent to the bridge too");
    if outcome.multi_platform {
        out.push_str("index\n");
    }
    if let Some(epoch) = outcome.source_date_epoch {
        writeln!(out, "epoch {epoch}").unwrap();
    }
    for image in &outcome.platforms {
        describe_image(&mut out, &mut numbers, image);
    }
    out
}

fn describe_image(out: &mut String, numbers: &mut Numbers, image: &PlatformImage) {
    writeln!(out, "== {} target={}", image.platform, image.target).unwrap();
    for vertex in &image.definition.vertices {
        let known = numbers.0.contains(&vertex.digest);
        let inputs: Vec<String> = vertex.inputs.iter().map(|edge| numbers.edge(Some(*edge))).collect();
        let name = numbers.of(vertex.digest);
        if known {
            writeln!(out, "{name} (as above) {}", vertex.metadata.name).unwrap();
            continue;
        }
        let lines: Vec<String> = vertex
            .metadata
            .locations
            .iter()
            .map(|place| format!(" {}:{}-{}", place.file, place.first_line, place.last_line))
            .collect();
        let platform = vertex.platform.as_ref().map_or_else(String::new, |platform| format!(" {platform}"));
        let no_cache = if vertex.metadata.ignore_cache { " no-cache" } else { "" };
        writeln!(out, "{name}({}){platform}{no_cache}{} {}", inputs.join(", "), lines.concat(), vertex.metadata.name)
            .unwrap();
        writeln!(out, "    {}", serde_json::to_string(&vertex.op).unwrap()).unwrap();
    }
    writeln!(out, "result {}", numbers.edge(image.definition.result)).unwrap();
    if let Some(base) = &image.base {
        writeln!(out, "base {} history={}", base.reference, image.base_history_len).unwrap();
    }
    let mut config = image.config.clone();
    let history = std::mem::take(&mut config.history);
    writeln!(out, "config {}", serde_json::to_string(&config).unwrap()).unwrap();
    for (index, entry) in history.iter().enumerate() {
        let edge = match index.checked_sub(image.base_history_len) {
            None => "base".to_owned(),
            Some(own) => match image.history_edges[own] {
                None => "-".to_owned(),
                edge => numbers.edge(edge),
            },
        };
        assert!(index < image.base_history_len || (edge == "-") == entry.empty_layer, "{entry:?}");
        writeln!(out, "history {edge} {:?}", entry.created_by).unwrap();
    }
    assert_eq!(history.len(), image.base_history_len + image.history_edges.len());
}

fn describe_error(error: &FrontendError) -> String {
    format!("{}ERROR: {error}\n", error.excerpt().unwrap_or_default())
}

#[test]
fn every_case_is_lowered_as_written_beside_it() {
    let update = std::env::var_os("UPDATE").is_some();
    let entries = fs_err::read_dir(cases_dir()).expect("the cases are part of the repository");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let bridge = ToyBridge::new(case);
        let (name, other, found) = match build(&bridge, &options_of(case)) {
            Ok(outcome) => ("llb.txt", "error.txt", describe(&outcome, &bridge)),
            Err(error) => ("error.txt", "llb.txt", describe_error(&error)),
        };
        let found = format!("{}{found}", bridge.journal());
        let path = case.join(name);
        if update {
            fs_err::write(&path, &found).unwrap();
            let _ = fs_err::remove_file(case.join(other));
        } else if fs_err::read_to_string(&path).unwrap_or_default() != found {
            wrong.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ (UPDATE=1 rewrites them):\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
