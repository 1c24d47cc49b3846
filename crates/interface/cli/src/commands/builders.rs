//! In: `buildx create|use|ls|inspect|rm|stop`. Out: builders made, chosen, shown. Never: a build.

mod boot;

use std::io::Write as _;

use crossdock_builders::world::{Engines, World};
use crossdock_builders::{BuildersError, Create, Leave, Resolved, Sockets, Store, inspect as inspect_text, list, view};
use crossdock_docker::Settings;
use crossdock_emulation::Host;
use crossdock_oci::Platform;

use crate::args::builders::{CreateArgs, InspectArgs, LsArgs, RmArgs, StopArgs, UseArgs};
use crate::error::{CliError, result, say};
use crate::face::{REVISION, Session};

/// Foreign platforms that a builder lists, in buildx's order.
const FOREIGN: &[&str] = &[
    "linux/amd64",
    "linux/arm64",
    "linux/riscv64",
    "linux/ppc64le",
    "linux/s390x",
    "linux/386",
    "linux/mips64le",
    "linux/mips64",
    "linux/loong64",
    "linux/arm/v7",
    "linux/arm/v6",
];

/// The state of builders with what they depend on.
struct Place {
    store: Store,
    settings: Settings,
    engines: Sockets,
}

impl Place {
    fn of(session: &Session) -> Self {
        let settings = session.docker();
        let chosen = std::env::var_os("BUILDX_CONFIG").filter(|path| !path.is_empty());
        let root = chosen.map_or_else(|| settings.config_dir().join("buildx"), Into::into);
        Self { store: Store::at(root), settings, engines: Sockets }
    }

    /// The world without what runs here: that takes a look at every emulator.
    fn world(&self) -> World<'_> {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        World {
            docker: &self.settings,
            engines: &self.engines as &dyn Engines,
            version: REVISION.to_owned(),
            platforms: Vec::new(),
            host_name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            buildkit_host: text("BUILDKIT_HOST"),
            kubeconfig: text("KUBECONFIG").unwrap_or_default(),
        }
    }

    fn world_with_platforms(&self) -> World<'_> {
        World { platforms: platforms(), ..self.world() }
    }
}

/// What runs here: the machine's own platforms, then those with an emulator.
fn platforms() -> Vec<Platform> {
    let host = Host::probe();
    let mut platforms = host.native();
    let foreign = FOREIGN.iter().filter_map(|word| word.parse::<Platform>().ok());
    for platform in foreign {
        if !platforms.contains(&platform) && host.choose(&platform).is_ok() {
            platforms.push(platform);
        }
    }
    platforms
}

/// The builder wanted: `--builder`, else `BUILDX_BUILDER`.
fn wanted(builder: Option<&str>) -> Option<String> {
    let flag = builder.filter(|name| !name.is_empty()).map(str::to_owned);
    flag.or_else(|| std::env::var("BUILDX_BUILDER").ok()).filter(|name| !name.is_empty())
}

/// The builder that does a build's work: the embedded engine, for this builder. Says when it stands in for another, and
/// remembers that the builder was used.
///
/// # Errors
/// `no builder "x" found`; state or configuration that cannot be read; builders whose work belongs elsewhere.
pub fn for_build(session: &Session, builder: Option<&str>) -> Result<Resolved, CliError> {
    let place = Place::of(session);
    let world = place.world();
    let resolved = crossdock_builders::resolve::resolve(&place.store, &world, wanted(builder).as_deref())?;
    if let Some(note) = resolved.ready(&world)? {
        say(&note);
    }
    if let Err(error) = crossdock_builders::resolve::used(&place.store, &resolved) {
        say(&format!("WARNING: {error}"));
    }
    Ok(resolved)
}

/// A builder that is named must be there, even where its work is done without it.
///
/// # Errors
/// `no builder "x" found`; state or configuration that cannot be read.
pub fn must_exist(session: &Session, builder: Option<&str>) -> Result<(), CliError> {
    let Some(name) = wanted(builder) else { return Ok(()) };
    let place = Place::of(session);
    crossdock_builders::resolve::resolve(&place.store, &place.world(), Some(&name))?;
    Ok(())
}

/// `buildx create`
pub fn create(session: &Session, args: &CreateArgs) -> Result<(), CliError> {
    let place = Place::of(session);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    if args.leave {
        Leave { name: text(&args.name), node: text(&args.node) }.run(&place.store)?;
        return Ok(());
    }
    let create = Create {
        name: text(&args.name),
        driver: text(&args.driver),
        node: text(&args.node),
        endpoint: text(&args.endpoint),
        platforms: args.platforms.clone(),
        append: args.append,
        use_: args.use_,
        driver_opts: args.driver_opts.clone(),
        buildkitd_flags: args.buildkitd_flags.clone(),
        buildkitd_config: args.buildkitd_config.clone(),
    };
    let world = place.world();
    let created = create.run(&place.store, &world)?;
    for note in &created.notes {
        say(note);
    }
    if args.bootstrap {
        let resolved = crossdock_builders::resolve::resolve(&place.store, &world, Some(&created.name))?;
        boot::boot(&world, &resolved)?;
    }
    result(&created.name);
    Ok(())
}

/// `buildx use`
pub fn choose(session: &Session, args: &UseArgs, builder: Option<&str>) -> Result<(), CliError> {
    let place = Place::of(session);
    let name = args.name.clone().or_else(|| wanted(builder)).unwrap_or_default();
    Ok(crossdock_builders::resolve::choose(&place.store, &place.world(), &name, args.global, args.default)?)
}

/// `buildx ls`
pub fn list(session: &Session, args: &LsArgs) -> Result<(), CliError> {
    let place = Place::of(session);
    let views = view::all(&place.store, &place.world_with_platforms())?;
    let listing = list::list(&views, &args.format, args.no_trunc)?;
    for line in &listing.out {
        result(line);
    }
    if !listing.errors.is_empty() {
        say("");
        for line in &listing.errors {
            say(line);
        }
    }
    Ok(())
}

/// `buildx inspect`
pub fn inspect(session: &Session, args: &InspectArgs, builder: Option<&str>) -> Result<(), CliError> {
    let place = Place::of(session);
    let world = place.world_with_platforms();
    let wanted = args.name.clone().or_else(|| wanted(builder));
    let resolved = crossdock_builders::resolve::resolve(&place.store, &world, wanted.as_deref())?;
    if args.bootstrap {
        boot::boot(&world, &resolved)?;
    }
    for line in inspect_text::inspect(&view::one(&place.store, &world, &resolved)?) {
        result(&line);
    }
    Ok(())
}

/// `buildx rm`
pub fn remove(session: &Session, args: &RmArgs, builder: Option<&str>) -> Result<(), CliError> {
    let place = Place::of(session);
    let world = place.world();
    let mut names: Vec<Option<String>> = args.names.iter().cloned().map(Some).collect();
    if args.all_inactive {
        if !names.is_empty() {
            return Err(BuildersError::NamesWithAllInactive.into());
        }
        if !args.force && !confirmed()? {
            return Ok(());
        }
        names = crossdock_builders::remove::inactive(&place.store, &world)?.into_iter().map(Some).collect();
    } else if names.is_empty() {
        names.push(wanted(builder));
    }
    let mut failed = false;
    for name in names {
        match crossdock_builders::remove::remove(&place.store, &world, name.as_deref(), args.keep_daemon) {
            Ok(name) => say(&format!("{name} removed")),
            Err(error) => {
                failed = true;
                say(&format!("failed to remove {}: {error}", name.unwrap_or_default()));
            }
        }
    }
    if failed { Err(BuildersError::SomeNotRemoved.into()) } else { Ok(()) }
}

/// Asks before everything inactive goes.
fn confirmed() -> Result<bool, CliError> {
    let question = "WARNING! This will remove all builders that are not in running state. Are you sure you want to continue? [y/N] ";
    let mut out = std::io::stdout();
    let _ = out.write_all(question.as_bytes()).and_then(|()| out.flush());
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|source| CliError::File {
        action: "read",
        path: "standard input".to_owned(),
        source,
    })?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

/// `buildx stop`
pub fn stop(session: &Session, args: &StopArgs, builder: Option<&str>) -> Result<(), CliError> {
    let place = Place::of(session);
    let name = args.name.clone().or_else(|| wanted(builder));
    Ok(crossdock_builders::remove::stop(&place.store, &place.world(), name.as_deref())?)
}
