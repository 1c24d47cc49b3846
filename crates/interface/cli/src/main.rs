//! In: a command line. Out: an exit code. Never: work; that is in `commands`.

mod args;
mod commands;
mod dispatch;
mod error;
mod face;
mod progress;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches as _;

use crate::args::{Cli, Plugin};
use crate::error::CliError;
use crate::face::{Face, Session};

fn main() -> ExitCode {
    // The keeper is this very program, executed again: it must be asked first, before any thread exists.
    crossdock_executor::keeper::run_if_keeper();
    let words = face::words::Words::split(std::env::args_os().collect());
    let face = Face::of(&words.program);
    if let Err(error) = face::config::obey(&words) {
        return error.report(false);
    }
    if let Some(code) = commands::plugin::answer(face, &words) {
        return code;
    }
    commands::plugin::end_with_client();
    let asked_for_help = words.asks_for_help();
    let words = words.spoken(face);
    match run(face, words.clone()) {
        Ok((_, Ok(()))) => ExitCode::SUCCESS,
        Ok((session, Err(error))) => error.report(session.debug),
        Err(error) => {
            let words = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            usage::Refused { face, words, asked_for_help }.report(&error)
        }
    }
}

/// Parses, then does what was asked; an error of its own for what the parser refuses.
fn run(face: Face, words: Vec<OsString>) -> Result<(Session, Result<(), CliError>), clap::Error> {
    let mut command = face.command();
    let matches = command.try_get_matches_from_mut(words)?;
    if face == Face::Plugin {
        let plugin = Plugin::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        let session = Session { face, globals: plugin.globals, debug: plugin.debug };
        let outcome = face::checks::before_any_verb(&session).and_then(|()| dispatch::buildx(&session, plugin.buildx));
        return Ok((session, outcome));
    }
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let session = Session { face, globals: cli.globals, debug: cli.debug };
    let outcome = face::checks::before_any_verb(&session).and_then(|()| dispatch::verb(&session, cli.verb));
    Ok((session, outcome))
}
