//! In: the words behind `run`. Out: its flags, as typed. Never: a meaning.

use clap::Args;

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Platform of the image to run (default: the host's)
    #[arg(long)]
    pub platform: Option<String>,
    /// Accepted for scripts: what a run writes is always thrown away
    #[arg(long)]
    pub rm: bool,
    /// Pass standard input on
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the process a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Environment variable; without a value it is taken from the environment
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Show a directory or file of the host: HOST:CONTAINER[:ro]
    #[arg(short, long = "volume", value_name = "HOST:CONTAINER[:ro]")]
    pub volumes: Vec<String>,
    /// Working directory
    #[arg(short, long)]
    pub workdir: Option<String>,
    /// User: name or number[:group]
    #[arg(short, long)]
    pub user: Option<String>,
    /// Program in place of the image's entrypoint
    #[arg(long)]
    pub entrypoint: Option<String>,
    /// Network: host (default) or none
    #[arg(long, alias = "net", default_value = "host")]
    pub network: String,
    /// Host name of the container
    #[arg(long)]
    pub hostname: Option<String>,
    pub image: String,
    /// Command and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}
