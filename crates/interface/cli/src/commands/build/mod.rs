//! In: `build …`. Out: the build request, its progress, its files. Never: a flag swallowed.
//!
//! `context` says what is built from, `request` how, `outputs` where the result goes; `summary` is what stands under the
//! progress, `environment` what variables say.

mod context;
mod environment;
mod named;
mod outputs;
mod request;
mod summary;

use std::sync::Arc;

use crossdock_build::Build;
use crossdock_progress::Progress;

use super::engine;
use super::grants::Grants;
use super::load_engine;
use crate::args::build::BuildArgs;
use crate::error::{CliError, say};
use crate::face::Session;
use crate::progress::{Builder, Display, Mode};

/// `build`
pub fn run(session: &Session, args: BuildArgs) -> Result<(), CliError> {
    let args = &args.without_empty();
    check_flags(args)?;
    environment::check(session)?;
    let mode = mode(args)?;
    let grants = Grants::of(args)?;
    let inputs = context::inputs(session.face, args)?;
    let request = request::request(session, args, &grants, &inputs)?;
    let chosen = super::builders::for_build(session, args.builder.as_deref())?;
    let builder = Builder { name: chosen.name.clone(), driver: chosen.driver_shown().to_owned() };
    if let Some(question) = super::call::question(args)? {
        return super::call::run(&request, question, &inputs.shown, mode, &builder);
    }
    let wish = load_engine::Wish::of(session, args, &request.outputs, &chosen)?;
    if let Some(path) = &args.iidfile {
        outputs::remove_old(path)?;
    }
    let engine = engine()?;
    let display = Display::start(mode, &builder);
    let progress = Progress::new(Arc::clone(&display) as Arc<dyn crossdock_progress::Sink>);
    load_engine::offer_bases(&engine, wish.as_ref(), &progress);
    let outcome = Build::run(&engine, &request, &progress);
    let loaded =
        outcome.as_ref().ok().map(|report| load_engine::after_build(&engine, report, wish.as_ref(), &progress));
    let trace = display.finish();
    summary::print(mode, &trace, outcome.is_err());
    let report = outcome
        .map_err(|failure| CliError::Build { source: Box::new(failure.source), dockerfile: failure.dockerfile })?;
    let loaded = loaded.transpose()?.flatten();
    summary::finish(args, &request, &report, loaded.as_ref(), mode)
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
