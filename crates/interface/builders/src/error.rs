//! In: what went wrong with builders. Out: buildx's words where scripts may know them, else a path and a way out. Never: an error without its subject.

use std::path::PathBuf;

/// Why a builder could not be made, chosen, shown or removed.
#[derive(Debug, thiserror::Error)]
pub enum BuildersError {
    #[error("read the state of builders: {0}")]
    Read(std::io::Error),
    #[error("write the state of builders in {}: {source}; set BUILDX_CONFIG to a directory you may write to", .directory.display())]
    Write { directory: PathBuf, source: std::io::Error },
    #[error("{} is not a builder's file: {reason}; mend it or take it away", .path.display())]
    Broken { path: PathBuf, reason: String },
    #[error("invalid name {0}, name needs to start with a letter and may not contain symbols, except ._-")]
    Name(String),
    #[error("no builder {0:?} found")]
    NotFound(String),
    #[error("failed to find instance {name:?}: open {}: no such file or directory", .path.display())]
    NotFoundToUse { name: String, path: PathBuf },
    #[error("run `docker context use {0}` to switch to default context")]
    OtherContextDefault(String),
    #[error("run `docker context use {0}` to switch to context {0}")]
    OtherContext(String),

    #[error("default is a reserved name and cannot be used to identify builder instance")]
    Reserved,
    #[error("append requires a builder name")]
    AppendNeedsName,
    #[error("failed to find instance {0:?} for append")]
    AppendMissing(String),
    #[error("leave requires instance name")]
    LeaveNeedsName,
    #[error("leave requires node name")]
    LeaveNeedsNode,
    #[error("failed to find instance {0:?} for leave")]
    LeaveMissing(String),
    #[error("can not leave last node, do you want to rm instance instead?")]
    LastNode,
    #[error("node {node:?} not found for {name}")]
    NodeMissing { name: String, node: String },
    #[error("node {0} not found, did you mean to append?")]
    NodeUnknown(String),
    #[error("instance name {0:?} already exists as context builder")]
    IsContext(String),
    #[error(
        "existing instance for {0:?} but no append mode, specify the node name to make changes for existing instances"
    )]
    Exists(String),
    #[error("existing instance for {name:?} but has mismatched driver {driver:?}")]
    DriverMismatch { name: String, driver: String },
    #[error("invalid duplicate endpoint {0}")]
    DuplicateEndpoint(String),
    #[error("invalid duplicate name {0}")]
    DuplicateName(String),
    #[error("dynamic node group does not support Update")]
    Dynamic,
    #[error("failed to find driver {0:?}; there are embedded, docker-container, kubernetes and remote")]
    DriverUnknown(String),
    #[error("additional instances of driver \"docker\" cannot be created")]
    DriverDocker,
    #[error("no remote endpoint provided")]
    NoRemoteEndpoint,
    #[error("unrecognized url scheme {0}")]
    Scheme(String),
    #[error(
        "could not create a builder instance with TLS data loaded from environment. Please use `docker context create <context-name>` to create a context for current environment and then create a builder instance with context set to <context-name>"
    )]
    TlsFromEnvironment,
    #[error(
        "builder {name:?} of driver embedded has one node, this machine: {endpoint} cannot be a node of it; nodes on other machines come with remote nodes"
    )]
    EmbeddedElsewhere { name: String, endpoint: String },
    #[error("failed to initialize builder {name} ({node}): {reason}")]
    Initialize { name: String, node: String, reason: String },
    #[error("invalid value {0:?}, expecting k=v")]
    DriverOption(String),
    #[error("failed to parse buildkit flags {0:?}: a quote is not closed")]
    Flags(String),
    #[error("buildkit configuration file not found: {0}")]
    ConfigMissing(std::io::Error),
    #[error("parse {}: {reason}", .path.display())]
    ConfigBroken { path: PathBuf, reason: String },

    #[error("context builder cannot be removed, run `docker context rm {0}` to remove this context")]
    RemoveContext(String),
    #[error("cannot specify builder name when --all-inactive is set")]
    NamesWithAllInactive,
    #[error("failed to remove one or more builders")]
    SomeNotRemoved,
    #[error(
        "its container {container} is in the engine at {host}, which only docker can {verb} so far: docker {command} {container}"
    )]
    ContainerKept { container: String, host: String, verb: &'static str, command: &'static str },

    #[error(
        "driver \"docker-container\" is not supported yet where an engine answers, as one does at {host}: leave --driver out, and the embedded engine does the work without a container"
    )]
    ContainerDriver { host: String },
    #[error(
        "builder {name:?} (driver docker-container) works in a container of the engine at {host}, which is not supported yet: `docker buildx use default`, or --builder with one of driver embedded"
    )]
    ContainerBuild { name: String, host: String },
    #[error(
        "builder {name:?} (driver {driver}) works at {endpoint}: that comes with remote nodes; --builder with one of driver embedded builds here"
    )]
    RemoteBuild { name: String, driver: String, endpoint: String },
    #[error("failed to boot builder {name} ({node}): {reason}")]
    Boot { name: String, node: String, reason: String },

    #[error("template parsing error: {0}")]
    Template(#[from] crossdock_gotemplate::TemplateError),
    #[error(transparent)]
    Platform(#[from] crossdock_oci::PlatformError),
    #[error(transparent)]
    Docker(#[from] crossdock_docker::DockerError),
}
