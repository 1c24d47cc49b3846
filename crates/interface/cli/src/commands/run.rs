//! In: `run …`, `create …`. Out: a container; its process, its terminal, its exit code. Never: an image pulled without a word.

pub mod attach;
pub mod detach;
mod env;
mod mounts;
pub mod options;
mod unused;

use crossdock_build::Engine;
use crossdock_containers::{Container, ContainerConfig, Containers};
use crossdock_image::{ImageKind, LocalImage};
use crossdock_oci::{Platform, Reference, Timestamp};

use super::engine;
use super::transfer::{self, shown};
use crate::args::run::RunArgs;
use crate::error::{CliError, result, say};
use crate::face::Session;

/// Exit code of `run` when the container could not be made (126 and 127: when its program did not start).
pub const NOT_RUN: u8 = 125;

/// `run`
pub fn run(session: &Session, args: &RunArgs) -> Result<(), CliError> {
    let code = start(session, args).map_err(coded)?;
    match code {
        0 => Ok(()),
        code => Err(CliError::Exited(u8::try_from(code).unwrap_or(255))),
    }
}

fn coded(error: CliError) -> CliError {
    match error {
        error @ (CliError::Code { .. } | CliError::Exited(_) | CliError::Cancelled) => error,
        error => CliError::Code { source: Box::new(error), code: NOT_RUN },
    }
}

fn start(session: &Session, args: &RunArgs) -> Result<i32, CliError> {
    let taking = attach::taking(args)?;
    let engine = engine()?;
    let _mounted = match super::helper_images::before_run(&engine, args.image(), args.command())? {
        super::helper_images::Answer::Run(mounted) => mounted,
        super::helper_images::Answer::Done => return Ok(0),
    };
    let container = make(session, &engine, args)?;
    if args.detach {
        detach::spawn(&container)?;
        result(&container.config.id);
        return Ok(0);
    }
    let outcome = attach::foreground(&engine, &container, taking);
    if outcome.is_err() && args.rm && !engine.is_cancelled() {
        // It did not start: nobody wants to see it again.
        let _ = Containers::new(&engine).remove(&container, true);
    }
    outcome
}

/// `create`
pub fn create(session: &Session, args: &RunArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let container = make(session, &engine, args)?;
    result(&container.config.id);
    Ok(())
}

/// Makes the container the flags describe.
fn make(session: &Session, engine: &Engine, args: &RunArgs) -> Result<Container, CliError> {
    let read = options::read(args, &super::proxies::of(session), rustix::process::geteuid().is_root())?;
    if let Some(path) = &args.cidfile
        && std::path::Path::new(path).exists()
    {
        return Err(CliError::Usage(format!(
            "container ID file found, make sure the other container isn't running or delete {path}"
        )));
    }
    for warning in &read.warnings {
        say(&format!("WARNING: {warning}"));
    }
    let image = find_or_pull(engine, args, read.request.platform.as_ref())?;
    let chosen = engine.choose_to_run(&image, read.request.platform.as_ref())?;
    let lease = engine.store().lease()?;
    let prepared = shown(true, |progress| engine.prepare(&chosen, &lease, progress))?;
    if args.platform.as_deref().unwrap_or_default().is_empty() && !Platform::host().serves(&prepared.platform) {
        say(&format!(
            "WARNING: The requested image's platform ({}) does not match the detected host platform ({}) and no specific platform was requested",
            prepared.platform,
            Platform::host()
        ));
    }
    let command = read.request.command(&prepared.config)?;
    let own = &prepared.config.view.config;
    let stop_signal = match read.stop_signal {
        Some(number) => Some(number),
        None if own.stop_signal.is_empty() => None,
        None => options::signal(&own.stop_signal).ok(),
    };
    let mut labels = own.labels.clone();
    labels.extend(read.labels);
    let config = ContainerConfig {
        id: String::new(),
        name: args.name.clone().unwrap_or_default(),
        created: Timestamp::now(),
        image_id: prepared.config.digest().to_string(),
        image_name: args.image().to_owned(),
        image: chosen,
        command,
        request: read.request,
        interactive: args.interactive,
        privileged: args.privileged,
        auto_remove: args.rm,
        labels,
        ports: args.publish.clone(),
        binds: args.volumes.iter().chain(&args.mounts).cloned().collect(),
        network_mode: args.network.clone(),
        stop_signal,
        stop_timeout_s: args.stop_timeout,
    };
    let container = Containers::new(engine).create(config, &prepared)?;
    if let Some(path) = &args.cidfile {
        let failed = |source| CliError::File { action: "write", path: path.clone(), source };
        fs_err::write(path, &container.config.id).map_err(failed)?;
    }
    Ok(container)
}

/// The image as it is kept here, or as its registry has it, by `--pull`.
fn find_or_pull(engine: &Engine, args: &RunArgs, platform: Option<&Platform>) -> Result<LocalImage, CliError> {
    let name = args.image();
    let kept = engine.find_to_run(name)?;
    let serves = |image: &LocalImage| {
        let has = platform.is_none_or(|platform| engine.images().choose(image, platform).is_ok());
        has || image.row.kind == ImageKind::Built
    };
    match (args.pull.as_str(), &kept) {
        ("missing" | "never", Some(image)) if serves(image) => return Ok(image.clone()),
        ("never", _) => return Err(crossdock_image::ImageError::NotFound { name: name.to_owned() }.into()),
        _ => {}
    }
    let reference: Reference = name.parse()?;
    if kept.is_none() && !args.quiet {
        say(&format!("Unable to find image '{}' locally", reference.tagged_or_latest().familiar()));
    }
    let wanted = platform.cloned().unwrap_or_else(Platform::host);
    let pulled = transfer::fetch(engine, &reference, &[wanted], platform.is_some(), args.quiet, &say);
    match pulled {
        Ok(report) => Ok(report.image),
        // What is here serves when the registry says nothing better.
        Err(error) => match kept {
            Some(image) if serves(&image) && args.pull != "always" => Ok(image),
            _ => super::helper_images::stand_in(engine, &reference, &error).ok_or(error),
        },
    }
}
