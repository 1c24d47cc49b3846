//! In: the words behind `binfmt`. Out: its flags, as typed. Never: a meaning.

use clap::Args;

/// `binfmt`
#[derive(Debug, Args)]
pub struct BinfmtArgs {
    /// Register emulators with the kernel: all, or architectures
    #[arg(long, value_name = "ARCH,…", value_delimiter = ',')]
    pub install: Vec<String>,
    /// Remove registered emulators: architectures, names, or patterns of names
    #[arg(long, value_name = "ARCH,…", value_delimiter = ',')]
    pub uninstall: Vec<String>,
    /// Also after each start of the machine, or no longer
    #[arg(long)]
    pub persistent: bool,
    /// Show the state as JSON
    #[arg(long)]
    pub json: bool,
    /// Directory with static QEMU programs
    #[arg(long, value_name = "DIR")]
    pub emulators: Option<String>,
    /// Image to take QEMU programs from, into the directory
    #[arg(long, value_name = "IMAGE")]
    pub from: Option<String>,
    /// Where the kernel's table is mounted
    #[arg(long, value_name = "DIR", hide = true)]
    pub mount: Option<String>,
    /// Where files for the next start of the machine lie
    #[arg(long, value_name = "DIR", hide = true)]
    pub etc: Option<String>,
}
