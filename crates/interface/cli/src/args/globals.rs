//! In: the flags in front of the verb, as Docker's client has them. Out: what every verb of this call obeys. Never: a flag of one verb.

use clap::Args;

/// Flags Docker's client takes in front of the verb, and hands to its plugins (spec/cli.md §1, §5).
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// Directory of the client's configuration (default: $DOCKER_CONFIG, else ~/.docker)
    #[arg(long, value_name = "DIR")]
    pub config: Option<String>,
    /// Docker context to use
    #[arg(short, long)]
    pub context: Option<String>,
    /// Docker engine to use
    #[arg(short = 'H', long = "host")]
    pub hosts: Vec<String>,
    #[arg(short, long, hide = true)]
    pub log_level: Option<String>,
    #[arg(long, hide = true)]
    pub tls: bool,
    #[arg(long, hide = true)]
    pub tlscacert: Option<String>,
    #[arg(long, hide = true)]
    pub tlscert: Option<String>,
    #[arg(long, hide = true)]
    pub tlskey: Option<String>,
    #[arg(long, hide = true)]
    pub tlsverify: bool,
}
