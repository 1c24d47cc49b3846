//! In: the words behind `build`. Out: every flag buildx knows (spec/cli.md §1.2), as it was typed. Never: a meaning.

use clap::Args;

use super::switches;

/// `build`
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Build context: a directory, a git repository, a URL, or - for an archive or a Dockerfile on standard input
    #[arg(value_name = "PATH | URL | -")]
    pub path: Option<String>,
    /// Name of the image, may be given several times
    #[arg(short, long = "tag", value_name = "NAME[:TAG]")]
    pub tags: Vec<String>,
    /// Dockerfile (default: PATH/Dockerfile), or its URL; - reads standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// Platforms to build for, as in linux/amd64,linux/arm64
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]")]
    pub platforms: Vec<String>,
    /// Build-time variable; without a value it is taken from the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub build_args: Vec<String>,
    /// Another context, in place of an image or stage of this name: a directory, docker-image://, oci-layout://, a git
    /// repository or a URL
    #[arg(long = "build-context", value_name = "NAME=SOURCE")]
    pub build_contexts: Vec<String>,
    /// Stage to build
    #[arg(long)]
    pub target: Option<String>,
    /// Label of the image
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Annotation of the image
    #[arg(long = "annotation", value_name = "[TYPE:]KEY=VALUE")]
    pub annotations: Vec<String>,
    /// Push the result to the registry of its names
    #[arg(long)]
    pub push: bool,
    /// Keep the result in the local image store (always done)
    #[arg(long)]
    pub load: bool,
    /// Where the result goes: type=image|registry|oci|docker|local|tar|cacheonly,dest=…
    #[arg(short, long = "output", value_name = "SPEC")]
    pub outputs: Vec<String>,
    /// Do not use the build cache
    #[arg(long)]
    pub no_cache: bool,
    /// Ask the registry for every base image
    #[arg(long)]
    pub pull: bool,
    /// How progress is shown: auto, plain, tty, quiet, rawjson
    #[arg(long, value_name = "HOW", env = "BUILDKIT_PROGRESS", default_value = "auto")]
    pub progress: String,
    /// Show nothing but the image's ID
    #[arg(short, long)]
    pub quiet: bool,
    /// Write the image's ID to a file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<String>,
    /// Write facts of the result to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<String>,
    /// Show the build graph as JSON and stop
    #[arg(long)]
    pub print_llb: bool,
    /// Builder to use
    #[arg(long, value_name = "NAME")]
    pub builder: Option<String>,
    #[command(flatten)]
    pub later: LaterArgs,
    #[command(flatten)]
    pub ignored: IgnoredArgs,
}

/// Flags that are read but not honoured yet: each fails by its name.
#[derive(Debug, Default, Args)]
pub struct LaterArgs {
    #[arg(long, hide = true)]
    pub no_cache_filter: Vec<String>,
    #[arg(long, hide = true)]
    pub secret: Vec<String>,
    #[arg(long, hide = true)]
    pub ssh: Vec<String>,
    #[arg(long, hide = true)]
    pub cache_from: Vec<String>,
    #[arg(long, hide = true)]
    pub cache_to: Vec<String>,
    #[arg(long, hide = true)]
    pub network: Option<String>,
    #[arg(long, hide = true)]
    pub add_host: Vec<String>,
    #[arg(long, hide = true)]
    pub allow: Vec<String>,
    #[arg(long, hide = true)]
    pub attest: Vec<String>,
    #[arg(long, hide = true)]
    pub provenance: Option<String>,
    #[arg(long, hide = true)]
    pub sbom: Option<String>,
    #[arg(long, hide = true)]
    pub call: Option<String>,
    #[arg(long, hide = true)]
    pub check: bool,
    #[arg(long, hide = true)]
    pub cgroup_parent: Option<String>,
    #[arg(long, hide = true)]
    pub shm_size: Option<String>,
    #[arg(long, hide = true)]
    pub ulimit: Vec<String>,
    #[arg(long, hide = true)]
    pub resource: Vec<String>,
    #[arg(long, hide = true)]
    pub policy: Vec<String>,
    #[arg(short = 'm', long, hide = true)]
    pub memory: Option<String>,
    #[arg(long, hide = true)]
    pub memory_swap: Option<String>,
    #[arg(short = 'c', long, hide = true)]
    pub cpu_shares: Option<String>,
    #[arg(long, hide = true)]
    pub cpu_period: Option<String>,
    #[arg(long, hide = true)]
    pub cpu_quota: Option<String>,
    #[arg(long, hide = true)]
    pub cpuset_cpus: Option<String>,
    #[arg(long, hide = true)]
    pub cpuset_mems: Option<String>,
}

/// Flags of the old builder without any effect: those that promised something warn.
#[derive(Debug, Default, Args)]
pub struct IgnoredArgs {
    #[arg(long, hide = true)]
    pub compress: bool,
    #[arg(long, hide = true)]
    pub rm: bool,
    #[arg(long, hide = true)]
    pub force_rm: bool,
    #[arg(long, hide = true)]
    pub isolation: Option<String>,
    #[arg(long, hide = true)]
    pub security_opt: Vec<String>,
    #[arg(long, hide = true)]
    pub squash: bool,
}

impl BuildArgs {
    /// The same without the flags buildx takes for not given when their value is empty, as in `--target "$UNSET"`.
    pub fn without_empty(mut self) -> Self {
        let later = &mut self.later;
        let lists = [
            &mut self.outputs,
            &mut self.build_contexts,
            &mut self.annotations,
            &mut later.no_cache_filter,
            &mut later.secret,
            &mut later.ssh,
            &mut later.cache_from,
            &mut later.cache_to,
            &mut later.allow,
        ];
        for list in lists {
            list.retain(|word| !word.is_empty());
        }
        let single = [
            &mut self.target,
            &mut self.file,
            &mut self.iidfile,
            &mut self.metadata_file,
            &mut self.builder,
            &mut later.provenance,
            &mut later.sbom,
            &mut later.call,
            &mut later.cgroup_parent,
            &mut later.memory,
            &mut later.memory_swap,
            &mut later.cpuset_cpus,
            &mut later.cpuset_mems,
        ];
        for value in single {
            if value.as_deref() == Some("") {
                *value = None;
            }
        }
        if self.progress.is_empty() {
            "auto".clone_into(&mut self.progress);
        }
        self
    }
}

impl LaterArgs {
    /// The flags that were given and cannot be honoured yet.
    pub fn given(&self) -> Vec<&'static str> {
        let text = |value: &Option<String>| value.is_some();
        let list = |values: &[String]| !values.is_empty();
        // Attestations are off unless asked for: saying so is no wish.
        let off = |value: &Option<String>| value.as_deref().is_some_and(|value| switches::parse(value) != Ok(false));
        [
            ("--cache-from", list(&self.cache_from)),
            ("--cache-to", list(&self.cache_to)),
            ("--attest", list(&self.attest)),
            ("--provenance", off(&self.provenance)),
            ("--sbom", off(&self.sbom)),
            ("--cgroup-parent", text(&self.cgroup_parent)),
            ("--resource", list(&self.resource)),
            ("--policy", list(&self.policy)),
            ("--memory", text(&self.memory)),
            ("--memory-swap", text(&self.memory_swap)),
            ("--cpu-shares", text(&self.cpu_shares)),
            ("--cpu-period", text(&self.cpu_period)),
            ("--cpu-quota", text(&self.cpu_quota)),
            ("--cpuset-cpus", text(&self.cpuset_cpus)),
            ("--cpuset-mems", text(&self.cpuset_mems)),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }
}

impl IgnoredArgs {
    /// The flags that were given, promise something and do nothing.
    pub fn given(&self) -> Vec<&'static str> {
        [
            ("isolation", self.isolation.is_some()),
            ("security-opt", !self.security_opt.is_empty()),
            ("squash", self.squash),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }
}
