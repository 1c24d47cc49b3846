//! In: `build …`. Out: the build request, its progress, its files. Never: a flag swallowed.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossdock_build::{Build, BuildReport, BuildRequest, ExportedImage, Given, LocalContexts};
use crossdock_exporter::{Dest, OutputKind, OutputSpec};
use crossdock_frontend::bridge::ResolveMode;
use crossdock_frontend::options::{NoCache, Options};
use crossdock_image::Annotations;
use crossdock_oci::{Platform, Reference};
use crossdock_progress::Progress;

use super::{engine, platforms};
use crate::args::build::BuildArgs;
use crate::error::{CliError, result, say};
use crate::face::Session;
use crate::progress::{Builder, Display, Mode, Trace};

/// `build`
pub fn run(_session: &Session, args: &BuildArgs) -> Result<(), CliError> {
    check_flags(args)?;
    let mode = mode(args)?;
    let mut kept_dockerfile = None;
    let request = request(args, &mut kept_dockerfile)?;
    if let Some(path) = &args.iidfile {
        remove_old(path)?;
    }
    let engine = engine()?;
    let display = Display::start(mode, &Builder { name: "default".to_owned(), driver: "embedded".to_owned() });
    let progress = Progress::new(Arc::clone(&display) as Arc<dyn crossdock_progress::Sink>);
    let outcome = Build::run(&engine, &request, &progress);
    let trace = display.finish();
    summary(mode, &trace, outcome.is_err());
    let report = outcome
        .map_err(|failure| CliError::Build { source: Box::new(failure.source), dockerfile: failure.dockerfile })?;
    finish(args, &request, &report, mode)
}

fn check_flags(args: &BuildArgs) -> Result<(), CliError> {
    if let Some(flag) = args.later.given().first() {
        return Err(CliError::NotYet {
            flag: (*flag).to_owned(),
            why: "it is read, but nothing honours it so far; leave it out",
        });
    }
    for flag in args.ignored.given() {
        say(&format!("WARNING: {flag} flag is deprecated and has no effect"));
    }
    Ok(())
}

fn mode(args: &BuildArgs) -> Result<Mode, CliError> {
    if args.quiet {
        return Ok(Mode::Quiet);
    }
    Mode::parse(&args.progress).ok_or_else(|| {
        CliError::Usage(format!(
            "invalid progress type {:?}: auto, plain, tty, quiet and rawjson are supported",
            args.progress
        ))
    })
}

/// What was typed, resolved once.
fn request(args: &BuildArgs, kept: &mut Option<tempfile::TempDir>) -> Result<BuildRequest, CliError> {
    let usage = "'crossdock build' requires 1 argument\n\nUsage:  crossdock build [OPTIONS] PATH\n\nRun 'crossdock build --help' for more information";
    let path = args.path.as_deref().ok_or_else(|| CliError::Usage(usage.to_owned()))?;
    let context = context(path)?;
    let (dockerfile, filename) = dockerfile(args.file.as_deref(), &context, kept)?;
    let names = args
        .tags
        .iter()
        .map(|tag| tag.parse::<Reference>().map(|name| name.tagged_or_latest()))
        .collect::<Result<Vec<_>, _>>()?;
    let outputs = outputs(args)?;
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
    options.filename = filename;
    options.target.clone_from(&args.target);
    options.build_args = build_args(&args.build_args);
    options.labels = pairs("--label", &args.labels)?;
    options.no_cache = if args.no_cache { NoCache::All } else { NoCache::Off };
    options.resolve_mode = if args.pull { ResolveMode::Pull } else { ResolveMode::Default };
    options.shared_key_hint = context.file_name().map(|name| name.to_string_lossy().into_owned());
    let annotations = annotations(args, &outputs)?;
    Ok(BuildRequest {
        options,
        contexts: LocalContexts { context, dockerfile, ..LocalContexts::default() },
        outputs,
        names,
        annotations,
        given: Given::default(),
        only_graph: args.print_llb,
    })
}

fn context(path: &str) -> Result<PathBuf, CliError> {
    if path == "-" || path.contains("://") || path.starts_with("git@") {
        let why = "the context must be a directory so far; unpack or clone it first";
        return Err(CliError::NotYet { flag: format!("context {path}"), why });
    }
    let context = PathBuf::from(path);
    if context.is_dir() {
        return Ok(context);
    }
    let reason = if context.exists() { "is not a directory" } else { "not found" };
    Err(CliError::Usage(format!("failed to build: unable to prepare context: path {path:?} {reason}")))
}

/// The directory and name of the Dockerfile; one from standard input is kept in a directory of its own.
fn dockerfile(
    file: Option<&str>,
    context: &Path,
    kept: &mut Option<tempfile::TempDir>,
) -> Result<(PathBuf, String), CliError> {
    let Some(file) = file else { return Ok((context.to_owned(), "Dockerfile".to_owned())) };
    if file == "-" {
        let failed =
            |action, source| CliError::File { action, path: "the Dockerfile of standard input".to_owned(), source };
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).map_err(|source| failed("read", source))?;
        let dir = tempfile::tempdir().map_err(|source| failed("keep", source))?;
        fs_err::write(dir.path().join("Dockerfile"), text).map_err(|source| failed("keep", source))?;
        let path = dir.path().to_owned();
        *kept = Some(dir);
        return Ok((path, "Dockerfile".to_owned()));
    }
    let path = Path::new(file);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| CliError::Usage(format!("failed to build: --file {file:?} names no file")))?;
    let dir = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    if !dir.is_dir() {
        return Err(CliError::Usage(format!(
            "failed to build: failed to read dockerfile: open {file}: no such file or directory"
        )));
    }
    Ok((dir, name))
}

fn outputs(args: &BuildArgs) -> Result<Vec<OutputSpec>, CliError> {
    let mut outputs = args.outputs.iter().map(|text| OutputSpec::parse(text)).collect::<Result<Vec<_>, _>>()?;
    if args.push {
        let images: Vec<&mut OutputSpec> = outputs.iter_mut().filter(|spec| spec.kind == OutputKind::Image).collect();
        if images.is_empty() {
            outputs.push(OutputSpec { push: true, ..OutputSpec::new(OutputKind::Image) });
        } else {
            images.into_iter().for_each(|spec| spec.push = true);
        }
    }
    // Without a dest an archive would have nowhere to go; `docker` alone means loading, and everything is kept here anyway.
    let to_stdout_by_default =
        |spec: &&mut OutputSpec| matches!(spec.kind, OutputKind::Oci | OutputKind::Tar) && spec.dest.is_none();
    for spec in outputs.iter_mut().filter(to_stdout_by_default) {
        refuse_terminal(spec.kind.name())?;
        spec.dest = Some(Dest::Stdout);
    }
    let to_stdout = outputs.iter().filter(|spec| spec.dest == Some(Dest::Stdout)).count();
    if to_stdout > 1 {
        return Err(CliError::Usage("failed to build: only one output can go to standard output".to_owned()));
    }
    Ok(outputs)
}

fn refuse_terminal(kind: &str) -> Result<(), CliError> {
    use std::io::IsTerminal;
    if std::io::stdout().is_terminal() {
        let text = format!("failed to build: dest file is required for {kind} exporter. refusing to write to console");
        return Err(CliError::Usage(text));
    }
    Ok(())
}

fn wanted_platforms(args: &BuildArgs) -> Result<Vec<Platform>, CliError> {
    if args.platforms.is_empty()
        && let Ok(default) = std::env::var("DOCKER_DEFAULT_PLATFORM")
        && !default.is_empty()
    {
        return Ok(platforms(&[default])?);
    }
    Ok(platforms(&args.platforms)?)
}

/// `NAME=value`, or `NAME` from the environment (left out when it is not set there); SOURCE_DATE_EPOCH comes along.
fn build_args(words: &[String]) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        map.insert("SOURCE_DATE_EPOCH".to_owned(), epoch);
    }
    for word in words {
        match word.split_once('=') {
            Some((name, value)) => drop(map.insert(name.to_owned(), value.to_owned())),
            None => {
                if let Ok(value) = std::env::var(word) {
                    map.insert(word.clone(), value);
                }
            }
        }
    }
    map
}

fn pairs(flag: &str, words: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut map = BTreeMap::new();
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        if key.is_empty() {
            return Err(CliError::Usage(format!("{flag} {word:?}: expected KEY=VALUE")));
        }
        map.insert(key.to_owned(), value.to_owned());
    }
    Ok(map)
}

/// Annotations of `--annotation` and of outputs: `[type[platform],…:]key=value` and `annotation[-type][[platform]].key`.
fn annotations(args: &BuildArgs, outputs: &[OutputSpec]) -> Result<Annotations, CliError> {
    let mut all = Annotations::default();
    for word in &args.annotations {
        let bad = || CliError::Usage(format!("invalid annotation {word:?}: expected [TYPE[PLATFORM],...:]KEY=VALUE"));
        let (left, value) = word.split_once('=').ok_or_else(bad)?;
        let (kinds, key) = left.rsplit_once(':').filter(|(kinds, _)| is_kind_list(kinds)).unwrap_or(("manifest", left));
        if key.is_empty() {
            return Err(bad());
        }
        for kind in kinds.split(',') {
            add_annotation(&mut all, kind, key, value)?;
        }
    }
    for (attribute, value) in outputs.iter().flat_map(|spec| &spec.annotations) {
        let (kind, key) = attribute.split_once('.').ok_or_else(|| {
            CliError::Usage(format!("output attribute {attribute:?}: expected annotation[-TYPE][[PLATFORM]].KEY"))
        })?;
        let kind = kind.strip_prefix("annotation").unwrap_or(kind);
        let kind = kind.strip_prefix('-').map_or_else(|| format!("manifest{kind}"), str::to_owned);
        add_annotation(&mut all, &kind, key, value)?;
    }
    Ok(all)
}

fn is_kind_list(text: &str) -> bool {
    text.split(',').all(|kind| {
        matches!(kind.split('[').next(), Some("index" | "index-descriptor" | "manifest" | "manifest-descriptor"))
    })
}

fn add_annotation(all: &mut Annotations, kind: &str, key: &str, value: &str) -> Result<(), CliError> {
    let (name, platform) = match kind.split_once('[') {
        None => (kind, None),
        Some((name, rest)) => (name, Some(rest.trim_end_matches(']').parse::<Platform>()?)),
    };
    let (key, value) = (key.to_owned(), value.to_owned());
    match (name, platform) {
        ("index", None) => drop(all.index.insert(key, value)),
        ("index-descriptor", None) => drop(all.index_descriptor.insert(key, value)),
        ("manifest", platform) => all.manifest.push((platform, key, value)),
        ("manifest-descriptor", platform) => all.manifest_descriptor.push((platform, key, value)),
        _ => {
            return Err(CliError::Usage(format!(
                "unknown annotation type {kind:?}: index, index-descriptor, manifest and manifest-descriptor are supported"
            )));
        }
    }
    Ok(())
}

fn remove_old(path: &str) -> Result<(), CliError> {
    match fs_err::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(CliError::File { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// What stands under the progress: failed steps with their last lines, then the warnings.
fn summary(mode: Mode, trace: &Trace, failed: bool) {
    if mode == Mode::RawJson || (mode == Mode::Quiet && !failed) {
        return;
    }
    for step in trace.failed() {
        say(&format!("------\n > {}:", step.name));
        for line in &step.lines {
            say(line);
        }
        say("------");
    }
    let warnings = trace.warnings();
    if !warnings.is_empty() && !failed {
        let (count, word) = (warnings.len(), if warnings.len() == 1 { "warning" } else { "warnings" });
        say(&format!("\n {count} {word} found:"));
        for warning in &warnings {
            say(&format!(" - {}", warning.short));
        }
    }
}

fn finish(args: &BuildArgs, request: &BuildRequest, report: &BuildReport, mode: Mode) -> Result<(), CliError> {
    if request.only_graph {
        let text = serde_json::to_string_pretty(&report.graphs).expect("a graph has only string keys");
        result(&text);
        return Ok(());
    }
    let Some(image) = &report.image else { return Ok(()) };
    let id = image.config.unwrap_or(image.target.digest);
    if let Some(path) = &args.iidfile {
        write(path, id.to_string().as_bytes())?;
    }
    if let Some(path) = &args.metadata_file {
        write(path, metadata(image).as_bytes())?;
    }
    let stdout_taken = request.outputs.iter().any(|spec| spec.dest == Some(Dest::Stdout));
    if args.quiet && !stdout_taken {
        result(&image.target.digest.to_string());
    } else if mode != Mode::RawJson && mode != Mode::Quiet {
        let names: Vec<String> = image.names.iter().map(Reference::familiar).collect();
        let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
        say(&format!("\nkept {} ({names})", image.target.digest));
    }
    Ok(())
}

/// Keys as buildx writes them (spec/cli.md §1.5), in alphabetical order.
fn metadata(image: &ExportedImage) -> String {
    let mut map = serde_json::Map::new();
    if let Some(config) = image.config {
        map.insert("containerimage.config.digest".to_owned(), config.to_string().into());
    }
    map.insert("containerimage.descriptor".to_owned(), serde_json::to_value(&image.target).unwrap_or_default());
    map.insert("containerimage.digest".to_owned(), image.target.digest.to_string().into());
    if !image.names.is_empty() {
        let names: Vec<String> = image.names.iter().map(Reference::familiar).collect();
        map.insert("image.name".to_owned(), names.join(",").into());
    }
    serde_json::to_string_pretty(&map).expect("metadata has only string keys")
}

fn write(path: &str, bytes: &[u8]) -> Result<(), CliError> {
    fs_err::write(path, bytes).map_err(|source| CliError::File { action: "write", path: path.to_owned(), source })
}
