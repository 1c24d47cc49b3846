//! In: what went wrong while a Dockerfile became a graph. Out: one error with the place in the file. Never: colours, hints for a terminal.

use crossdock_llb::Location;

use crate::bridge::BridgeError;
use crate::outcome::SourceFile;

/// Why a Dockerfile became no graph, and where in it.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct FrontendError {
    #[source]
    pub kind: ErrorKind,
    /// The lines to blame, where there are some.
    pub location: Option<Location>,
    /// The file they stand in.
    pub source_file: Option<SourceFile>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// The Dockerfile could not be read.
    #[error("failed to read dockerfile: {0}")]
    ReadDockerfile(#[source] BridgeError),
    /// Lowering is not part of this build of the program yet.
    #[error("this program was built without its Dockerfile frontend")]
    NotBuilt,
}
