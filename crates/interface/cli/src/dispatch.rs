//! In: a parsed verb. Out: the command that does it. Never: a decision of its own.

use crate::args::builders::{BuildxArgs, BuildxVerb};
use crate::args::containers::ContainerVerb;
use crate::args::context::ContextVerb;
use crate::args::lists::{ImagetoolsVerb, ManifestVerb};
use crate::args::prune::SystemVerb;
use crate::args::{ImageVerb, RegistryVerb, Verb};
use crate::commands;
use crate::error::CliError;
use crate::face::Session;

/// Verbs of `crossdock` and `docker`.
pub fn verb(session: &Session, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Build(args) => commands::build::run(session, *args),
        Verb::Buildx(args) | Verb::Builder(args) => buildx(session, args),
        Verb::Imagetools { verb } => imagetools(&verb),
        Verb::Manifest { verb } => manifest(&verb),
        Verb::Images(args) => commands::images::list(session, &args),
        Verb::Run(args) => commands::run::run(session, &args),
        Verb::Create(args) => commands::containers::create(session, &args),
        Verb::Start(args) => commands::containers::start(&args),
        Verb::Stop(args) => commands::containers::stop(&args),
        Verb::Ps(args) => commands::containers::list(&args),
        Verb::Cp(args) => commands::containers::copy(&args),
        Verb::Kill(args) => commands::containers::kill(&args),
        Verb::Rm(args) => commands::containers::remove(&args),
        Verb::Logs(args) => commands::containers::logs(&args),
        Verb::Wait(args) => commands::containers::wait(&args),
        Verb::Container { verb } => container(session, &verb),
        Verb::Pull(args) => commands::transfer::pull(&args),
        Verb::Push(args) => commands::transfer::push(&args),
        Verb::Tag(args) => commands::images::tag(&args),
        Verb::Rmi(args) => commands::images::remove(&args),
        Verb::Save(args) => commands::archive::save(&args),
        Verb::Load(args) => commands::archive::load(&args),
        Verb::History(args) => commands::history::run(&args),
        Verb::Image { verb } => image(session, verb),
        Verb::Inspect(args) => commands::containers::inspect(&args),
        Verb::Login(args) => commands::login::login(&args),
        Verb::Logout(args) => commands::login::logout(&args),
        Verb::Prune(args) => commands::store::prune(&args),
        Verb::Binfmt(args) => commands::binfmt::run(&args),
        Verb::Registry { verb: RegistryVerb::Serve(args) } => commands::registry::serve(&args),
        Verb::System { verb } => system(session, verb),
        Verb::Context { verb: ContextVerb::Ls(args) } => commands::context::list(session, &args),
        Verb::Verify(args) => commands::verify::run(&args),
        Verb::CheckStore { repair } => commands::store::check(repair),
        Verb::Install(args) => commands::install::install(session, &args),
        Verb::Uninstall(args) => commands::install::uninstall(session, &args),
        Verb::Info(args) => commands::info::info(session, &args),
        Verb::Version(args) => commands::info::version(session, &args),
    }
}

/// Verbs of `docker buildx`, `docker builder` and the plugin.
pub fn buildx(session: &Session, args: BuildxArgs) -> Result<(), CliError> {
    let builder = args.builder.as_deref();
    match args.verb {
        BuildxVerb::Build(mut args) => {
            args.builder = args.builder.take().or_else(|| builder.map(str::to_owned));
            commands::build::run(session, *args)
        }
        BuildxVerb::Create(args) => commands::builders::create(session, &args),
        BuildxVerb::Use(args) => commands::builders::choose(session, &args, builder),
        BuildxVerb::Ls(args) => commands::builders::list(session, &args),
        BuildxVerb::Inspect(args) => commands::builders::inspect(session, &args, builder),
        BuildxVerb::Rm(args) => commands::builders::remove(session, &args, builder),
        BuildxVerb::Stop(args) => commands::builders::stop(session, &args, builder),
        BuildxVerb::Imagetools { verb } => {
            commands::builders::must_exist(session, builder)?;
            imagetools(&verb)
        }
        BuildxVerb::Prune(args) => commands::store::prune(&args),
        BuildxVerb::Version => commands::plugin::version(),
        BuildxVerb::Install => commands::plugin::alias(session, true),
        BuildxVerb::Uninstall => commands::plugin::alias(session, false),
    }
}

fn imagetools(verb: &ImagetoolsVerb) -> Result<(), CliError> {
    match verb {
        ImagetoolsVerb::Create(args) => commands::imagetools::create(args),
        ImagetoolsVerb::Inspect(args) => commands::imagetools::inspect(args),
    }
}

fn manifest(verb: &ManifestVerb) -> Result<(), CliError> {
    match verb {
        ManifestVerb::Create(args) => commands::manifest::create(args),
        ManifestVerb::Annotate(args) => commands::manifest::annotate(args),
        ManifestVerb::Inspect(args) => commands::manifest::inspect(args),
        ManifestVerb::Push(args) => commands::manifest::push(args),
        ManifestVerb::Rm(args) => commands::manifest::remove(args),
        ManifestVerb::Ls => commands::manifest::list(),
        ManifestVerb::Prune(args) => commands::manifest::prune(args),
    }
}

fn container(session: &Session, verb: &ContainerVerb) -> Result<(), CliError> {
    match verb {
        ContainerVerb::Ls(args) => commands::containers::list(args),
        ContainerVerb::Create(args) => commands::containers::create(session, args),
        ContainerVerb::Run(args) => commands::run::run(session, args),
        ContainerVerb::Start(args) => commands::containers::start(args),
        ContainerVerb::Stop(args) => commands::containers::stop(args),
        ContainerVerb::Kill(args) => commands::containers::kill(args),
        ContainerVerb::Cp(args) => commands::containers::copy(args),
        ContainerVerb::Rm(args) => commands::containers::remove(args),
        ContainerVerb::Logs(args) => commands::containers::logs(args),
        ContainerVerb::Wait(args) => commands::containers::wait(args),
        ContainerVerb::Inspect(args) => commands::containers::inspect_containers(args),
        ContainerVerb::Supervise { id } => commands::run::detach::supervise(id),
        ContainerVerb::Prune(args) => commands::containers::prune(args),
    }
}

fn image(session: &Session, verb: ImageVerb) -> Result<(), CliError> {
    match verb {
        ImageVerb::Build(args) => commands::build::run(session, *args),
        ImageVerb::Inspect(args) => commands::images::inspect(&args),
        ImageVerb::Ls(args) => commands::images::list(session, &args),
        ImageVerb::Rm(args) => commands::images::remove(&args),
        ImageVerb::Pull(args) => commands::transfer::pull(&args),
        ImageVerb::Push(args) => commands::transfer::push(&args),
        ImageVerb::Tag(args) => commands::images::tag(&args),
        ImageVerb::Save(args) => commands::archive::save(&args),
        ImageVerb::Load(args) => commands::archive::load(&args),
        ImageVerb::History(args) => commands::history::run(&args),
        ImageVerb::Prune(args) => commands::prune::of_images(&args),
    }
}

fn system(session: &Session, verb: SystemVerb) -> Result<(), CliError> {
    match verb {
        SystemVerb::Df => commands::prune::usage(),
        SystemVerb::Info(args) => commands::info::info(session, &args),
        SystemVerb::Prune(args) => commands::prune::of_system(&args),
    }
}
