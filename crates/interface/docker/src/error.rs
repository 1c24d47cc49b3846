//! In: what went wrong between this program and Docker's files or engine. Out: words that name the file or the engine. Never: an error without its subject.

use std::path::PathBuf;

/// Why Docker's configuration or engine could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    #[error("read Docker's configuration: {0}")]
    ConfigRead(std::io::Error),
    #[error("write Docker's configuration: {0}")]
    ConfigWrite(std::io::Error),
    #[error("{} is not valid JSON: {reason}; mend it or move it away", .path.display())]
    ConfigParse { path: PathBuf, reason: String },
    #[error("conflicting options: cannot specify both --host and --context")]
    HostAndContext,
    #[error("specify only one -H")]
    SeveralHosts,
    #[error("unable to parse docker host `{host}`: {reason}")]
    Host { host: String, reason: &'static str },
    #[error(
        "unable to resolve docker endpoint: context {name:?}: context not found: open {}: no such file or directory",
        .path.display()
    )]
    ContextMissing { name: String, path: PathBuf },
    #[error("context {name:?} has no Docker endpoint ({}); `docker context inspect {name}` shows what it has", .path.display())]
    ContextWithoutEngine { name: String, path: PathBuf },
    #[error(
        "invalid context name {0:?}: names start with a letter or digit and go on with letters, digits and any of _ . + -"
    )]
    ContextName(String),
    #[error("the engine at {host} is reached by {means}, which is not supported yet; unix:// and plain tcp:// are")]
    NotYet { host: String, means: &'static str },
    #[error("failed to connect to the docker API at {host}: {source}; check if the engine is running")]
    Connect { host: String, source: std::io::Error },
    #[error("the engine at {host} broke off while {action}: {source}")]
    Broken { host: String, action: String, source: std::io::Error },
    #[error("the engine at {host} does not speak HTTP as expected while {action}: {reason}")]
    Protocol { host: String, action: String, reason: &'static str },
    #[error("the engine at {host} refused {action}: {status} {message}")]
    Refused { host: String, action: String, status: u16, message: String },
    #[error("cancelled")]
    Cancelled,
}

impl DockerError {
    /// Whether the reason is that no engine listens there.
    pub fn is_nobody(&self) -> bool {
        use std::io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
        match self {
            Self::Connect { source, .. } => matches!(source.kind(), NotFound | NotADirectory | ConnectionRefused),
            _ => false,
        }
    }
}
