//! In: a command line. Out: an exit code. Never: work; that is in `commands`.

mod args;
mod commands;
mod dispatch;
mod error;
mod face;
mod progress;
mod usage;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Plugin};
use crate::face::{Face, Session};

fn main() -> ExitCode {
    // The keeper is this very program, executed again: it must be asked first, before any thread exists.
    crossdock_executor::keeper::run_if_keeper();
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let face = Face::of(&words.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
    let (session, outcome) = match face {
        Face::Plugin => match Plugin::try_parse_from(commands::plugin::without_own_name(&words)) {
            Ok(plugin) => {
                let session = Session { face, globals: plugin.globals, debug: plugin.debug };
                let outcome = dispatch::buildx(&session, plugin.buildx);
                (session, outcome)
            }
            Err(error) => return usage::report(&error),
        },
        Face::Own | Face::Docker => match Cli::try_parse_from(&words) {
            Ok(cli) => {
                let session = Session { face, globals: cli.globals, debug: cli.debug };
                let outcome = dispatch::verb(&session, cli.verb);
                (session, outcome)
            }
            Err(error) => return usage::report(&error),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(session.debug),
    }
}
