//! In: the words behind `image prune`, `system …`. Out: their flags, as typed. Never: a meaning.

use clap::{Args, Subcommand};

/// `image prune`
#[derive(Debug, Args)]
pub struct ImagePruneArgs {
    /// Those with a name, too, unless a container needs them
    #[arg(short, long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only those that match: until=TIME, label=NAME[=VALUE], label!=NAME[=VALUE]
    #[arg(long = "filter")]
    pub filters: Vec<String>,
}

/// `system …`
#[derive(Debug, Subcommand)]
pub enum SystemVerb {
    /// Show what the local store holds
    Df,
    /// Show facts of this machine and program
    Info(super::faces::FormatArgs),
    /// Remove containers that do not run, images nobody needs, build cache
    Prune(SystemPruneArgs),
}

/// `system prune`
#[derive(Debug, Args)]
pub struct SystemPruneArgs {
    /// Images with a name and the whole build cache, too
    #[arg(short, long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Accepted for scripts: there are no volumes
    #[arg(long)]
    pub volumes: bool,
    /// Only what matches: until=TIME, label=NAME[=VALUE], label!=NAME[=VALUE]
    #[arg(long = "filter")]
    pub filters: Vec<String>,
}
