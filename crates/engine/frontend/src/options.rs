//! In: what the user asked for. Out: the frontend's options, typed. Never: a default that only a command line could know.
//!
//! The keys are those of spec/dockerfile.md §10; each field names its own.

use std::collections::BTreeMap;

use crossdock_llb::Network;
use crossdock_llb::op::Ulimit;
use crossdock_oci::Platform;

use crate::bridge::ResolveMode;

/// The name looked for when none is given.
pub const DEFAULT_DOCKERFILE: &str = "Dockerfile";

/// What to build and how. Both local directories are sources named `context` and `dockerfile`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `filename`: the Dockerfile within `local://dockerfile`.
    pub filename: String,
    /// `target`: a stage's name or number; `None` is the last stage.
    pub target: Option<String>,
    /// `platform`: in the order asked for; empty builds for the build platform (or the base image's, see §8).
    pub platforms: Vec<Platform>,
    /// `build-arg:X`.
    pub build_args: BTreeMap<String, String>,
    /// `label:X`.
    pub labels: BTreeMap<String, String>,
    /// `no-cache`.
    pub no_cache: NoCache,
    /// `image-resolve-mode`.
    pub resolve_mode: ResolveMode,
    /// `multi-platform`: an index even for one platform. The build arg BUILDKIT_MULTI_PLATFORM says the same.
    pub multi_platform: bool,
    /// `force-network-mode`: for every RUN that does not say another.
    pub network: Network,
    /// `add-hosts`: (host name, IP address).
    pub extra_hosts: Vec<(String, String)>,
    /// `hostname` of the sandbox; `None` is the engine's own (`buildkitsandbox`).
    pub hostname: Option<String>,
    /// `shm-size`, in bytes.
    pub shm_size_bytes: Option<i64>,
    /// `ulimit`.
    pub ulimits: Vec<Ulimit>,
    /// `cgroup-parent`; empty is the engine's own.
    pub cgroup_parent: String,
    /// `contextkey` stands for a stable name of the context directory: the hint by which a source's last state is found.
    pub shared_key_hint: Option<String>,
    /// `context`: a git repository or a URL that is the build context; `None` is `local://context`.
    pub context: Option<String>,
    /// `dockerfilekey`: the Dockerfile is in `local://dockerfile` though the context is elsewhere.
    pub local_dockerfile: bool,
    /// `context:NAME[::PLATFORM]`: named contexts.
    pub named_contexts: BTreeMap<String, String>,
    /// `--allow`: what a Dockerfile may ask for beyond the sandbox.
    pub entitlements: Entitlements,
}

/// What a client grants (`--allow`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entitlements {
    /// `network.host`
    pub network_host: bool,
    /// `security.insecure`
    pub security_insecure: bool,
}

/// Which steps ignore what is cached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NoCache {
    /// None of them.
    #[default]
    Off,
    /// All of them.
    All,
    /// Those of the stages of these names (`--no-cache-filter`).
    Stages(Vec<String>),
}

impl Options {
    /// A build of `Dockerfile` for these platforms, and nothing else asked for.
    pub fn new(platforms: Vec<Platform>) -> Self {
        Self {
            filename: DEFAULT_DOCKERFILE.to_owned(),
            target: None,
            platforms,
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            no_cache: NoCache::Off,
            resolve_mode: ResolveMode::Default,
            multi_platform: false,
            network: Network::Default,
            extra_hosts: Vec::new(),
            hostname: None,
            shm_size_bytes: None,
            ulimits: Vec::new(),
            cgroup_parent: String::new(),
            shared_key_hint: None,
            context: None,
            local_dockerfile: false,
            named_contexts: BTreeMap::new(),
            entitlements: Entitlements::default(),
        }
    }
}
