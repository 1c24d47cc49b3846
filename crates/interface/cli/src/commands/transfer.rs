//! In: `pull`, `push`. Out: an image moved between a registry and the local store, Docker's words about it. Never: a build.

use std::sync::Arc;

use crossdock_oci::{Platform, Reference};
use crossdock_progress::{Progress, Sink};

use super::{engine, platforms};
use crate::args::images::{PullArgs, PushArgs};
use crate::error::{CliError, result};
use crate::progress::{Builder, Display, Mode};

/// Shows progress while `work` runs.
pub fn shown<T>(quiet: bool, work: impl FnOnce(&Progress) -> T) -> T {
    let mode = if quiet { Mode::Quiet } else { Mode::parse("auto").unwrap_or(Mode::Plain) };
    let display = Display::start(mode, &Builder { name: "default".to_owned(), driver: "embedded".to_owned() });
    let outcome = work(&Progress::new(Arc::clone(&display) as Arc<dyn Sink>));
    display.finish();
    outcome
}

/// `pull NAME`
pub fn pull(args: &PullArgs) -> Result<(), CliError> {
    let reference: Reference = args.name.parse()?;
    let mut wanted = platforms(&args.platforms)?;
    if wanted.is_empty() && !args.all_platforms {
        let default = std::env::var("DOCKER_DEFAULT_PLATFORM").ok().filter(|text| !text.is_empty());
        wanted = default.map_or_else(|| Ok(vec![Platform::host()]), |text| platforms(&[text]))?;
    }
    let engine = engine()?;
    let report = shown(args.quiet, |progress| engine.pull(&reference, &wanted, !args.platforms.is_empty(), progress))?;
    let name = reference.tagged_or_latest();
    if !args.quiet {
        let status = if report.fetched == 0 { "Image is up to date for" } else { "Downloaded newer image for" };
        result(&format!("Digest: {}", report.image.row.target.digest));
        result(&format!("Status: {status} {}", name.familiar()));
    }
    result(&name.to_string());
    Ok(())
}

/// `push NAME [TARGET…]`
pub fn push(args: &PushArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let image = engine.images().find(&args.name)?;
    let mut names = args
        .targets
        .iter()
        .map(|name| name.parse::<Reference>().map(|name| name.tagged_or_latest()))
        .collect::<Result<Vec<_>, _>>()?;
    if names.is_empty() {
        names.extend(image.reference.clone());
    }
    if names.is_empty() {
        return Err(CliError::Usage(format!("{} has no name to push it under; give one behind it", args.name)));
    }
    let report = shown(args.quiet, |progress| engine.push(&image, &names, progress))?;
    let target = &image.row.target;
    if args.quiet {
        for name in &names {
            result(&name.to_string());
        }
        return Ok(());
    }
    for name in &names {
        result(&format!("{}: digest: {} size: {}", name.tag().unwrap_or("latest"), target.digest, target.size));
    }
    result(&format!("{} uploaded, {} mounted, {} already there", report.uploaded, report.mounted, report.existed));
    Ok(())
}
