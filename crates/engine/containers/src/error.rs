//! In: what went wrong with a container. Out: one enum that names the container and what to do. Never: a bare text.

use std::io;

/// Why something could not be done to a container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    #[error(transparent)]
    Engine(Box<crossdock_build::BuildError>),
    #[error(transparent)]
    Executor(#[from] crossdock_executor::ExecutorError),
    #[error(transparent)]
    Content(#[from] crossdock_content::ContentError),
    #[error("No such container: {name}")]
    NotFound { name: String },
    #[error("{name} means {count} containers: {candidates}; give more digits of the ID")]
    Ambiguous { name: String, count: usize, candidates: String },
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken { name: String, id: String },
    #[error("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    BadName { name: String },
    #[error("container {name} is running: stop the container before {action}, or use -f")]
    Running { name: String, action: &'static str },
    #[error("container {name} runs already")]
    RunsAlready { name: String },
    #[error("container {name} is not running")]
    NotRunning { name: String },
    #[error("the process that runs container {name} does not answer: {source}")]
    Control { name: String, source: io::Error },
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
    #[error("the record of container {name} cannot be read: {source}; `rm -f {name}` removes it")]
    Record { name: String, source: serde_json::Error },
    #[error("Could not find the file {path} in container {name}")]
    NoSuchPath { name: String, path: String },
    #[error("{path}: no such file or directory")]
    NoSuchHostPath { path: String },
    #[error("{path}: the directory it should go into does not exist")]
    NoParent { path: String },
    #[error("{path} ends with a slash, but there is no such directory")]
    NoDirectory { path: String },
    #[error("cannot copy a directory over the file {path}")]
    DirectoryOverFile { path: String },
    #[error("extraction point {path} is not a directory")]
    NotADirectory { path: String },
    #[error("{path}: names that begin with .wh. cannot be copied into a container: layers use them for deletions")]
    WhiteoutName { path: String },
    #[error("copying {path}: {reason}")]
    Copy { path: String, reason: String },
}

impl From<crossdock_build::BuildError> for ContainerError {
    fn from(error: crossdock_build::BuildError) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl ContainerError {
    /// Whether a file is missing: the container is gone.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
