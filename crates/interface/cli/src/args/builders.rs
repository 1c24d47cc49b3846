//! In: the words behind `buildx`. Out: their flags, as typed. Never: a meaning.

use clap::{Args, Subcommand};

use super::build::BuildArgs;
use super::images::PruneArgs;
use super::lists::ImagetoolsVerb;

/// `buildx`, and all the plugin knows
#[derive(Debug, Args)]
pub struct BuildxArgs {
    /// Builder to use
    #[arg(long, global = true, value_name = "NAME")]
    pub builder: Option<String>,
    #[command(subcommand)]
    pub verb: BuildxVerb,
}

/// What is to be done with builders.
#[derive(Debug, Subcommand)]
pub enum BuildxVerb {
    /// Build an image from a Dockerfile
    #[command(visible_alias = "b")]
    Build(Box<BuildArgs>),
    /// Make a builder, or add a node to one
    Create(CreateArgs),
    /// Choose the builder of the next builds
    Use(UseArgs),
    /// List builders
    Ls(LsArgs),
    /// Show a builder
    Inspect(InspectArgs),
    /// Remove builders
    Rm(RmArgs),
    /// Stop a builder
    Stop(StopArgs),
    /// Work on images in registries
    Imagetools {
        #[command(subcommand)]
        verb: ImagetoolsVerb,
    },
    /// Remove build cache
    Prune(PruneArgs),
    /// Show the version
    Version,
    /// Make `docker builder` mean `docker buildx`
    #[command(hide = true)]
    Install,
    /// Undo `install`
    #[command(hide = true)]
    Uninstall,
}

/// `buildx create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Docker context or address of the node
    #[arg(value_name = "CONTEXT|ENDPOINT")]
    pub endpoint: Option<String>,
    /// Name of the builder
    #[arg(long)]
    pub name: Option<String>,
    /// Driver: embedded (default), docker-container, kubernetes, remote
    #[arg(long)]
    pub driver: Option<String>,
    /// Name of the node
    #[arg(long)]
    pub node: Option<String>,
    /// Platforms the node is for, before those it is found to have
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]")]
    pub platforms: Vec<String>,
    /// Add a node, or change one
    #[arg(long)]
    pub append: bool,
    /// Use the builder from now on
    #[arg(long = "use")]
    pub use_: bool,
    /// Take the node out of the builder
    #[arg(long)]
    pub leave: bool,
    /// Start the builder at once
    #[arg(long)]
    pub bootstrap: bool,
    /// Options of the driver, as in key=value,key=value
    #[arg(long = "driver-opt", value_name = "KEY=VALUE")]
    pub driver_opts: Vec<String>,
    /// Flags for buildkitd
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    pub buildkitd_flags: Option<String>,
    /// Configuration file of buildkitd
    #[arg(long, alias = "config", value_name = "FILE")]
    pub buildkitd_config: Option<String>,
    #[arg(long, hide = true)]
    pub timeout: Option<String>,
}

/// `buildx use`
#[derive(Debug, Args)]
pub struct UseArgs {
    /// Name of the builder
    pub name: Option<String>,
    /// The choice holds for every Docker context
    #[arg(long)]
    pub global: bool,
    /// The choice is kept as this context's default
    #[arg(long)]
    pub default: bool,
}

/// `buildx ls`
#[derive(Debug, Args)]
pub struct LsArgs {
    /// table, json, or a Go template
    #[arg(long, default_value = "table")]
    pub format: String,
    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,
    #[arg(long, hide = true)]
    pub timeout: Option<String>,
}

/// `buildx inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Name of the builder (default: the one in use)
    pub name: Option<String>,
    /// Start the builder first
    #[arg(long)]
    pub bootstrap: bool,
    #[arg(long, hide = true)]
    pub timeout: Option<String>,
}

/// `buildx rm`
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Names of builders (default: the one in use)
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Keep what the builder stored
    #[arg(long)]
    pub keep_state: bool,
    /// Keep the daemon running
    #[arg(long)]
    pub keep_daemon: bool,
    /// Remove every builder that is not running
    #[arg(long)]
    pub all_inactive: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    #[arg(long, hide = true)]
    pub timeout: Option<String>,
}

/// `buildx stop`
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Name of the builder (default: the one in use)
    pub name: Option<String>,
}
