//! In: the words behind `install`, `uninstall`, `info`, `version`. Out: their flags, as typed. Never: a meaning.

use clap::Args;

/// `install`, `uninstall`
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// The `docker` command too, for hosts without Docker's client
    #[arg(long)]
    pub shim: bool,
    /// For all users of the machine
    #[arg(long)]
    pub system: bool,
}

/// `info`, `version`
#[derive(Debug, Args)]
pub struct FormatArgs {
    /// A Go template, or json
    #[arg(short, long)]
    pub format: Option<String>,
}
