//! In: the words behind the verbs that handle images. Out: their flags, as typed. Never: a meaning.

use clap::Args;

/// `images`
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Only images of this repository, or this one image
    pub name: Option<String>,
    /// Show digests instead of IDs alone
    #[arg(long)]
    pub digests: bool,
    /// Do not shorten IDs
    #[arg(long)]
    pub no_trunc: bool,
    /// Show IDs only
    #[arg(short, long)]
    pub quiet: bool,
    /// Accepted for scripts: every image is always shown
    #[arg(short, long, hide = true)]
    pub all: bool,
}

/// `pull`
#[derive(Debug, Args)]
pub struct PullArgs {
    pub name: String,
    /// Platforms to fetch (default: the host's)
    #[arg(long = "platform")]
    pub platforms: Vec<String>,
    /// Fetch every platform
    #[arg(long)]
    pub all_platforms: bool,
    /// Show the name only
    #[arg(short, long)]
    pub quiet: bool,
}

/// `push`
#[derive(Debug, Args)]
pub struct PushArgs {
    /// The image kept here
    pub name: String,
    /// Names to push it under (default: its own)
    pub targets: Vec<String>,
    /// Show the digest only
    #[arg(short, long)]
    pub quiet: bool,
}

/// `tag`
#[derive(Debug, Args)]
pub struct TagArgs {
    pub source: String,
    pub target: String,
}

/// `rmi`
#[derive(Debug, Args)]
pub struct RmiArgs {
    #[arg(required = true)]
    pub names: Vec<String>,
    /// No error for images that are not there
    #[arg(short, long)]
    pub force: bool,
}

/// `image inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Platform to show (default: the host's, else the first)
    #[arg(long)]
    pub platform: Option<String>,
}

/// `prune`
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Remove the whole build cache, not only what is unreachable
    #[arg(short, long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
}

/// `imagetools create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Images to join: names with tag or digest
    pub sources: Vec<String>,
    /// Name of the index, may be given several times
    #[arg(short, long = "tag", value_name = "NAME[:TAG]")]
    pub tags: Vec<String>,
    /// Add to the index that is there
    #[arg(long)]
    pub append: bool,
    /// Show the index, push nothing
    #[arg(long)]
    pub dry_run: bool,
    #[arg(long, default_value = "auto")]
    pub progress: String,
}

/// `imagetools inspect`
#[derive(Debug, Args)]
pub struct RegistryInspectArgs {
    pub name: String,
    /// Show the bytes as they are
    #[arg(long)]
    pub raw: bool,
    #[arg(long, hide = true)]
    pub format: Option<String>,
}
