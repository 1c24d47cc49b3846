//! In: a command line. Out: an exit code. Never: work; that is in `commands`.

mod args;
mod commands;
mod error;
mod progress;
mod usage;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, ImageVerb, ImagetoolsVerb, RegistryVerb, Verb};
use crate::error::CliError;

fn main() -> ExitCode {
    // The keeper is this very program, executed again: it must be asked first, before any thread exists.
    crossdock_executor::keeper::run_if_keeper();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    match dispatch(cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(cli.debug),
    }
}

fn dispatch(verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Build(args) => commands::build::run(&args),
        Verb::Images(args) | Verb::Image { verb: ImageVerb::Ls(args) } => commands::images::list(&args),
        Verb::Run(args) => commands::run::run(&args),
        Verb::Pull(args) => commands::transfer::pull(&args),
        Verb::Push(args) => commands::transfer::push(&args),
        Verb::Tag(args) => commands::images::tag(&args),
        Verb::Rmi(args) | Verb::Image { verb: ImageVerb::Rm(args) } => commands::images::remove(&args),
        Verb::Image { verb: ImageVerb::Inspect(args) } => commands::images::inspect(&args),
        Verb::Prune(args) => commands::store::prune(&args),
        Verb::CheckStore { repair } => commands::store::check(repair),
        Verb::Imagetools { verb: ImagetoolsVerb::Create(args) } => commands::imagetools::create(&args),
        Verb::Imagetools { verb: ImagetoolsVerb::Inspect(args) } => commands::imagetools::inspect(&args),
        Verb::Binfmt(args) => commands::binfmt::run(&args),
        Verb::Registry { verb: RegistryVerb::Serve(args) } => commands::registry::serve(&args),
        Verb::Version => {
            commands::version();
            Ok(())
        }
    }
}
