//! In: the words behind `build`, its inputs. Out: the request the engine takes. Never: a file read, a connection.

use std::collections::BTreeMap;

use crossdock_build::BuildRequest;
use crossdock_exporter::{OutputKind, OutputSpec};
use crossdock_frontend::bridge::ResolveMode;
use crossdock_frontend::options::{NoCache, Options};
use crossdock_oci::{Platform, Reference};

use super::context::Inputs;
use super::{environment, outputs};
use crate::args::build::BuildArgs;
use crate::commands::grants::Grants;
use crate::commands::{platforms, proxies};
use crate::error::{CliError, say};
use crate::face::Session;

/// What was typed, resolved once.
pub fn request(
    session: &Session,
    args: &BuildArgs,
    grants: &Grants,
    inputs: &Inputs,
) -> Result<BuildRequest, CliError> {
    let names = args
        .tags
        .iter()
        .map(|tag| tag.parse::<Reference>().map(|name| name.tagged_or_latest()))
        .collect::<Result<Vec<_>, _>>()?;
    let outputs = outputs::outputs(args)?;
    if outputs.iter().any(|spec| spec.push && spec.names.is_empty()) && names.is_empty() {
        return Err(CliError::Usage("failed to build: tag is needed when pushing to registry".to_owned()));
    }
    let mut options = Options::new(wanted_platforms(args)?);
    let to_archive = |spec: &OutputSpec| spec.kind == OutputKind::Docker && spec.dest.is_some();
    if options.platforms.len() > 1 && outputs.iter().any(to_archive) {
        return Err(CliError::Usage(
            "failed to build: docker exporter does not support exporting manifest lists, use the oci exporter instead"
                .to_owned(),
        ));
    }
    options.filename.clone_from(&inputs.filename);
    options.context.clone_from(&inputs.url);
    options.local_dockerfile = inputs.local_dockerfile;
    options.named_contexts.clone_from(&inputs.named);
    options.target.clone_from(&args.target);
    options.build_args = build_args(&args.build_args)?;
    warn_of_automatic(&options.build_args);
    for (name, value) in proxies::of(session) {
        options.build_args.entry(name).or_insert(value);
    }
    options.labels = labels(&args.labels)?;
    options.no_cache = no_cache(args)?;
    options.resolve_mode = if args.pull { ResolveMode::Pull } else { ResolveMode::Default };
    options.shared_key_hint.clone_from(&inputs.shared_key);
    let annotations = outputs::annotations(args, &outputs)?;
    options.network = grants.network;
    options.entitlements = grants.entitlements;
    options.extra_hosts.clone_from(&grants.extra_hosts);
    options.ulimits.clone_from(&grants.ulimits);
    options.shm_size_bytes = grants.shm_size_bytes;
    Ok(BuildRequest {
        options,
        contexts: inputs.contexts.clone(),
        outputs,
        names,
        annotations,
        given: grants.given.clone(),
        arch_check: environment::arch_check()?,
        only_graph: args.print_llb,
    })
}

fn no_cache(args: &BuildArgs) -> Result<NoCache, CliError> {
    let stages = &args.later.no_cache_filter;
    match (args.no_cache, stages.is_empty()) {
        (true, false) => Err(CliError::Usage(
            "failed to build: --no-cache and --no-cache-filter cannot currently be used together".to_owned(),
        )),
        (true, true) => Ok(NoCache::All),
        (false, true) => Ok(NoCache::Off),
        (false, false) => {
            Ok(NoCache::Stages(stages.iter().flat_map(|names| names.split(',')).map(str::to_owned).collect()))
        }
    }
}

/// `--platform`, else `DOCKER_DEFAULT_PLATFORM`; `local` is this machine.
fn wanted_platforms(args: &BuildArgs) -> Result<Vec<Platform>, CliError> {
    let mut words = args.platforms.clone();
    if words.is_empty() {
        words.extend(std::env::var("DOCKER_DEFAULT_PLATFORM").ok());
    }
    let here = Platform::host().to_string();
    let words: Vec<String> = words
        .iter()
        .flat_map(|word| word.split(','))
        .map(|word| if word.trim() == "local" { here.clone() } else { word.to_owned() })
        .collect();
    Ok(platforms(&words)?)
}

/// `NAME=value`, or `NAME` from the environment (left out when it is not set there); SOURCE_DATE_EPOCH comes along.
fn build_args(words: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut map = BTreeMap::new();
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        map.insert("SOURCE_DATE_EPOCH".to_owned(), epoch);
    }
    for word in words {
        check_key(word)?;
        match word.split_once('=') {
            Some((name, value)) => drop(map.insert(name.to_owned(), value.to_owned())),
            None => {
                if let Ok(value) = std::env::var(word) {
                    map.insert(word.clone(), value);
                }
            }
        }
    }
    Ok(map)
}

/// An argument that tells the platform to steps can be given another value, but then it tells them something else.
fn warn_of_automatic(given: &BTreeMap<String, String>) {
    for (name, value) in given.iter().filter(|(name, _)| crossdock_frontend::is_platform_argument(name)) {
        say(&format!(
            "WARNING: --build-arg {name}={value} stands for the automatic argument: the Dockerfile sees it, but it does not change the platform that is built"
        ));
    }
}

fn labels(words: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut map = BTreeMap::new();
    for word in words {
        check_key(word)?;
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        map.insert(key.to_owned(), value.to_owned());
    }
    Ok(map)
}

fn check_key(word: &str) -> Result<(), CliError> {
    match word.split('=').next() {
        Some("") => Err(CliError::Usage(format!("invalid key-value pair {word:?}: empty key"))),
        _ => Ok(()),
    }
}
