//! In: the bridge and the options. Out: a graph and a config for each platform. Never: lowering before all base images are known.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crossdock_dockerfile::check::findings_of_file;
use crossdock_dockerfile::{CheckConfig, DirectiveKey, Dockerfile, Finding, LineRange, detect_syntax};
use crossdock_llb::Graph;
use crossdock_oci::{Platform, Timestamp};

use crate::arguments;
use crate::bridge::{Bridge, Warning};
use crate::epoch;
use crate::error::{ErrorKind, Fault, FrontendError};
use crate::lower::{ContextPaths, Lowering, Setting};
use crate::options::Options;
use crate::outcome::{BuildOutcome, IgnoreFile, PlatformImage};
use crate::plan::Plan;
use crate::read::{self, Entrypoint};
use crate::report::Report;
use crate::resolve::{self, Images};

/// Frontend images this room stands in for (spec/dockerfile.md §10).
const OWN_SYNTAX: [&str; 3] = ["docker/dockerfile", "docker/dockerfile-upstream", "dockerfile.v0"];

/// Reads the Dockerfile and lowers the target stage for every platform.
///
/// # Errors
/// Whatever is wrong with the Dockerfile, its base images or the context's ignore file, with the place in the file.
pub fn build(bridge: &dyn Bridge, options: &Options) -> Result<BuildOutcome, FrontendError> {
    let entrypoint = read::read_dockerfile(bridge, options).map_err(|fault| FrontendError {
        kind: fault.kind,
        location: None,
        source_file: None,
    })?;
    build_from(bridge, options, &entrypoint).map_err(|fault| fault.in_file(&entrypoint.file))
}

/// Which stages are lowered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stages {
    /// The target and what it needs.
    Needed,
    /// All of the file.
    All,
}

/// What a Dockerfile became, before findings are weighed.
struct Lowered {
    platforms: Vec<PlatformImage>,
    is_multi_platform: bool,
    epoch: Option<Timestamp>,
    ignore_file: Option<IgnoreFile>,
}

/// What the checks say of a Dockerfile that can be built.
pub(crate) struct Checked {
    pub(crate) findings: Vec<Finding>,
    /// The error it is when the options say so.
    pub(crate) violation: Option<String>,
}

/// Runs the checks of the target: everything a build looks at, nothing that it runs.
pub(crate) fn check(
    bridge: &dyn Bridge,
    options: &Options,
    entrypoint: &Entrypoint,
) -> Result<Checked, (Vec<Finding>, Fault)> {
    let mut report = Report::new(CheckConfig::default());
    let scope = if options.target.is_none() { Stages::All } else { Stages::Needed };
    let lowered = lower_file(bridge, options, entrypoint, scope, &mut report);
    let (findings, violation) = report.finish();
    match lowered {
        Ok(_) => Ok(Checked { findings, violation }),
        Err(fault) => Err((findings, fault)),
    }
}

fn build_from(bridge: &dyn Bridge, options: &Options, entrypoint: &Entrypoint) -> Result<BuildOutcome, Fault> {
    let mut report = Report::new(CheckConfig::default());
    let lowered = lower_file(bridge, options, entrypoint, Stages::Needed, &mut report)?;
    let (findings, violation) = report.finish();
    let warnings: Vec<Warning> = findings.into_iter().map(|finding| warning(finding, entrypoint)).collect();
    for warning in &warnings {
        bridge.warn(warning.clone());
    }
    if let Some(violation) = violation {
        return Err(ErrorKind::Checks(violation).into());
    }
    Ok(outcome(entrypoint, lowered, warnings))
}

fn lower_file(
    bridge: &dyn Bridge,
    options: &Options,
    entrypoint: &Entrypoint,
    stages: Stages,
    report: &mut Report,
) -> Result<Lowered, Fault> {
    check_syntax(options, &entrypoint.file.text)?;
    let file = Dockerfile::from_bytes(&entrypoint.bytes).map_err(|error| {
        let lines = error.lines;
        Fault { kind: Box::new(error.into()), lines }
    })?;
    let dated = epoch::resolve(bridge, options, &entrypoint.context, &file)?;
    let options = dated.as_ref().unwrap_or(options);
    let config = check_config(options, &file)?;
    report.configure(config.clone());
    report.extend(findings_of_file(&file, &config));
    let mut plans = make_plans(bridge, options, &file, report)?;
    if stages == Stages::All {
        plans.iter_mut().for_each(Plan::need_all);
    }
    let with_platform = plans.len() > 1 || is_multi_platform(options);
    let images = resolve::resolve_all(bridge, options, &file, &mut plans, with_platform)?;
    let ignore_file = read::read_ignore_file(bridge, entrypoint)?;
    let epoch = seconds_of_epoch(options, &plans)?;
    let mut setting = Setting {
        file: &file,
        file_name: &entrypoint.file.name,
        options,
        with_platform,
        epoch,
        hostname: build_arg(options, "BUILDKIT_SANDBOX_HOSTNAME")
            .or_else(|| options.hostname.clone())
            .unwrap_or_default(),
        proxies: arguments::proxies(&options.build_args),
        cache_namespace: build_arg(options, "BUILDKIT_CACHE_MOUNT_NS").unwrap_or_default(),
        context: &entrypoint.context,
        ignore_file: ignore_file.as_ref(),
        named_ignores: named_ignores(bridge, &plans)?,
        paths: ContextPaths::default(),
    };
    match paths_of_context(&setting, &plans, &images) {
        Ok(paths) => setting.paths = paths,
        Err(fault) => {
            // Met once more, for what the checks find in front of it.
            lower_all(&setting, &plans, &images, report)?;
            return Err(fault);
        }
    }
    let platforms = lower_all(&setting, &plans, &images, report)?;
    Ok(Lowered { platforms, is_multi_platform: with_platform, epoch, ignore_file })
}

fn outcome(entrypoint: &Entrypoint, lowered: Lowered, warnings: Vec<Warning>) -> BuildOutcome {
    BuildOutcome {
        platforms: lowered.platforms,
        multi_platform: lowered.is_multi_platform,
        source_date_epoch: lowered.epoch,
        warnings,
        dockerfile: entrypoint.file.clone(),
        ignore_file: lowered.ignore_file,
    }
}

/// Another frontend's image cannot be run.
fn check_syntax(options: &Options, text: &str) -> Result<(), Fault> {
    let (image, lines) = match (options.build_args.get("BUILDKIT_SYNTAX"), detect_syntax(text)) {
        (Some(value), _) => (value.trim().split(' ').next().unwrap_or_default().to_owned(), None),
        (None, Some((image, directive))) => (image, Some(LineRange::line(directive.line))),
        (None, None) => return Ok(()),
    };
    let name = image.split('@').next().unwrap_or_default();
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    if OWN_SYNTAX.contains(&name) {
        return Ok(());
    }
    let kind = ErrorKind::NotYet(format!("the frontend image {image} (only docker/dockerfile is built in)"));
    Err(Fault { kind: Box::new(kind), lines })
}

fn check_config(options: &Options, file: &Dockerfile) -> Result<CheckConfig, Fault> {
    if let Some(text) = options.build_args.get("BUILDKIT_DOCKERFILE_CHECK") {
        return Ok(CheckConfig::parse(text)?);
    }
    let Some(directive) = file.directive(DirectiveKey::Check) else { return Ok(CheckConfig::default()) };
    CheckConfig::parse(&directive.value).map_err(|error| Fault::at(error.into(), LineRange::line(directive.line)))
}

/// One plan for each platform asked for; checks count for the first alone.
fn make_plans(
    bridge: &dyn Bridge,
    options: &Options,
    file: &Dockerfile,
    report: &mut Report,
) -> Result<Vec<Plan>, Fault> {
    let build = bridge.build_platform();
    let mut targets: Vec<Option<&Platform>> = options.platforms.iter().map(Some).collect();
    if targets.is_empty() {
        targets.push(None);
    }
    let mut silent = Report::silent();
    let mut plans = Vec::with_capacity(targets.len());
    for target in targets {
        let report = if plans.is_empty() { &mut *report } else { &mut silent };
        plans.push(Plan::new(file, options, &build, target, report)?);
    }
    Ok(plans)
}

/// The paths of each context any platform needs; empty when all of it is needed.
fn paths_of_context(setting: &Setting<'_>, plans: &[Plan], images: &Images) -> Result<ContextPaths, Fault> {
    let mut needed = ContextPaths::default();
    for plan in plans {
        let (mut graph, mut report) = (Graph::new(), Report::silent());
        needed.add_all(Lowering::new(setting, plan, images, &mut graph, &mut report).run()?.1);
    }
    Ok(needed)
}

/// What hides paths of named directories.
fn named_ignores(bridge: &dyn Bridge, plans: &[Plan]) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let mut ignores = BTreeMap::new();
    for (name, local) in plans.iter().flat_map(Plan::directories) {
        if let Entry::Vacant(place) = ignores.entry(local) {
            let patterns = read::read_named_ignore(bridge, &name, place.key())?;
            place.insert(patterns);
        }
    }
    Ok(ignores)
}

/// All platforms in one graph, so that what is equal is one vertex with one name.
fn lower_all(
    setting: &Setting<'_>,
    plans: &[Plan],
    images: &Images,
    report: &mut Report,
) -> Result<Vec<PlatformImage>, Fault> {
    let mut graph = Graph::new();
    let mut silent = Report::silent();
    let mut platforms = Vec::with_capacity(plans.len());
    for plan in plans {
        let report = if platforms.is_empty() { &mut *report } else { &mut silent };
        platforms.push(Lowering::new(setting, plan, images, &mut graph, report).run()?.0);
    }
    Ok(platforms)
}

fn build_arg(options: &Options, name: &str) -> Option<String> {
    options.build_args.get(name).filter(|value| !value.is_empty()).cloned()
}

fn is_multi_platform(options: &Options) -> bool {
    let by_arg = options.build_args.get("BUILDKIT_MULTI_PLATFORM");
    options.multi_platform
        || by_arg.is_some_and(|value| matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// SOURCE_DATE_EPOCH as a number of seconds.
fn seconds_of_epoch(options: &Options, plans: &[Plan]) -> Result<Option<Timestamp>, Fault> {
    let Some(plan) = plans.first() else { return Ok(None) };
    match arguments::build_arg_or_global(epoch::NAME, &options.build_args, &plan.scope) {
        None | Some("") => Ok(None),
        Some(text) => match text.parse::<u64>() {
            Ok(seconds) => Ok(Some(Timestamp::from_seconds(seconds))),
            Err(_) if text.parse::<i64>().is_ok() => Err(ErrorKind::Epoch(text.to_owned()).into()),
            Err(_) => Err(ErrorKind::NotYet(format!("SOURCE_DATE_EPOCH={text} (only a number of seconds is)")).into()),
        },
    }
}

fn warning(finding: Finding, entrypoint: &Entrypoint) -> Warning {
    Warning {
        rule: finding.rule.name().to_owned(),
        text: finding.text,
        detail: finding.rule.description().to_owned(),
        url: finding.rule.url(),
        file: entrypoint.file.name.clone(),
        first_line: finding.lines.first,
        last_line: finding.lines.last,
        vertex: entrypoint.vertex,
    }
}
