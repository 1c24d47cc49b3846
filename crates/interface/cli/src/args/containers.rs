//! In: the words behind the verbs that handle containers. Out: their flags, as typed. Never: a meaning.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::run::RunArgs;

/// `container …`
#[derive(Debug, Subcommand)]
pub enum ContainerVerb {
    /// List containers
    #[command(alias = "list", alias = "ps")]
    Ls(PsArgs),
    /// Make a container without starting it
    Create(RunArgs),
    /// Run a command in an image, for any platform
    Run(RunArgs),
    /// Start containers
    Start(StartArgs),
    /// Stop running containers
    Stop(StopArgs),
    /// Send a signal to running containers
    Kill(KillArgs),
    /// Copy files between a container and the host
    Cp(CpArgs),
    /// Remove containers
    Rm(RmArgs),
    /// Show what a container wrote
    Logs(LogsArgs),
    /// Wait for containers to end
    Wait(WaitArgs),
    /// Show everything known of containers, as JSON
    Inspect(InspectArgs),
    /// Run a container that was made, for the one that started this process
    #[command(hide = true)]
    Supervise { id: String },
    /// Remove containers that do not run
    Prune(ContainerPruneArgs),
}

/// `container prune`
#[derive(Debug, Args)]
pub struct ContainerPruneArgs {
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only those that match: until=TIME, label=NAME[=VALUE], label!=NAME[=VALUE]
    #[arg(long = "filter")]
    pub filters: Vec<String>,
}

/// `ps`
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Those that do not run, too
    #[arg(short, long)]
    pub all: bool,
    /// Show IDs only
    #[arg(short, long)]
    pub quiet: bool,
    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,
    /// Only the last ones that were made, whether they run or not
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub last: Option<usize>,
    /// Only the last one
    #[arg(short, long)]
    pub latest: bool,
    /// Only those that match: name=, status=, ancestor=, id=
    #[arg(short, long = "filter")]
    pub filters: Vec<String>,
    /// table, json, or a Go template
    #[arg(long)]
    pub format: Option<String>,
    /// Show what each has written
    #[arg(short, long)]
    pub size: bool,
}

/// `start`
#[derive(Debug, Args)]
pub struct StartArgs {
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Show what it writes, and end as it ends
    #[arg(short, long)]
    pub attach: bool,
    /// Pass standard input on
    #[arg(short, long)]
    pub interactive: bool,
}

/// `stop`
#[derive(Debug, Args)]
pub struct StopArgs {
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Seconds until it is killed
    #[arg(short, long, alias = "timeout")]
    pub time: Option<u64>,
    /// Signal to send
    #[arg(short, long)]
    pub signal: Option<String>,
}

/// `kill`
#[derive(Debug, Args)]
pub struct KillArgs {
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Signal to send (default: KILL)
    #[arg(short, long)]
    pub signal: Option<String>,
}

/// `cp`
#[derive(Debug, Args)]
pub struct CpArgs {
    /// CONTAINER:PATH, PATH, or - for a tar on standard input
    pub source: OsString,
    /// CONTAINER:PATH, PATH, or - for a tar on standard output
    pub target: OsString,
    /// Keep owners
    #[arg(short, long)]
    pub archive: bool,
    /// Follow a symbolic link of the source
    #[arg(short = 'L', long)]
    pub follow_link: bool,
    #[arg(short, long, hide = true)]
    pub quiet: bool,
}

/// `rm`
#[derive(Debug, Args)]
pub struct RmArgs {
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Running ones too, and no error for those that are not there
    #[arg(short, long)]
    pub force: bool,
    #[arg(short, long, hide = true)]
    pub volumes: bool,
}

/// `logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    pub name: String,
    /// Go on until it ends
    #[arg(short, long)]
    pub follow: bool,
    /// Show times
    #[arg(short, long)]
    pub timestamps: bool,
    /// Only lines from then on: 10m, 2024-05-06T07:08:09Z, seconds since 1970
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only lines until then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only the last lines
    #[arg(short = 'n', long, alias = "tail")]
    pub tail: Option<String>,
}

/// `wait`
#[derive(Debug, Args)]
pub struct WaitArgs {
    #[arg(required = true)]
    pub names: Vec<String>,
}

/// `container inspect`, `inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[arg(required = true)]
    pub names: Vec<String>,
    /// A Go template, or json
    #[arg(short, long)]
    pub format: Option<String>,
    /// image or container (default: both are tried)
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Show what a container has written, too
    #[arg(short, long)]
    pub size: bool,
}
