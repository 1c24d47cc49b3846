//! In: the words behind the verbs that handle images and log-ins. Out: their flags, as typed. Never: a meaning.

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
    /// Only those that match: reference=PATTERN, dangling=true, label=NAME[=VALUE]
    #[arg(short, long = "filter")]
    pub filters: Vec<String>,
    /// table, json, or a Go template
    #[arg(long)]
    pub format: Option<String>,
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
    /// Fetch every tag of the repository
    #[arg(short, long)]
    pub all_tags: bool,
    /// Accepted for scripts
    #[arg(long, hide = true)]
    pub disable_content_trust: bool,
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
    /// Push every tag kept here of the repository
    #[arg(short, long)]
    pub all_tags: bool,
    /// Push this platform alone
    #[arg(long)]
    pub platform: Option<String>,
    /// Accepted for scripts
    #[arg(long, hide = true)]
    pub disable_content_trust: bool,
    /// Show the name only
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
    /// Those that containers use, too; no error for images that are not there
    #[arg(short, long)]
    pub force: bool,
    /// Accepted for scripts
    #[arg(long, hide = true)]
    pub no_prune: bool,
}

/// `image inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Platform to show (default: the host's, else the first)
    #[arg(long)]
    pub platform: Option<String>,
    /// A Go template, or json
    #[arg(short, long)]
    pub format: Option<String>,
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

/// `save`
#[derive(Debug, Args)]
pub struct SaveArgs {
    #[arg(required = true)]
    pub names: Vec<String>,
    /// File to write (default: standard output)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<String>,
    /// Only this platform
    #[arg(long = "platform")]
    pub platforms: Vec<String>,
}

/// `load`
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// File to read (default: standard input)
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<String>,
    /// Say nothing but the names
    #[arg(short, long)]
    pub quiet: bool,
    /// Only this platform
    #[arg(long = "platform")]
    pub platforms: Vec<String>,
}

/// `history`
#[derive(Debug, Args)]
pub struct HistoryArgs {
    pub name: String,
    /// table, json, or a Go template
    #[arg(long, default_value = "table")]
    pub format: String,
    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,
    /// Show IDs only
    #[arg(short, long)]
    pub quiet: bool,
    /// Sizes and dates for people
    #[arg(short = 'H', long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = super::switches::parse, action = clap::ArgAction::Set)]
    pub human: bool,
    /// Platform to show (default: the host's, else the first)
    #[arg(long)]
    pub platform: Option<String>,
}

/// `login`
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Registry (default: Docker Hub)
    pub server: Option<String>,
    #[arg(short, long)]
    pub username: Option<String>,
    /// Password; seen by every process of the machine, --password-stdin is not
    #[arg(short, long)]
    pub password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// `logout`
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Registry (default: Docker Hub)
    pub server: Option<String>,
}
