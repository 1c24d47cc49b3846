//! In: options and a [`Bridge`]. Out: a graph and a config for each platform. Never: files, registries or processes, except through `Bridge`.
//!
//! The entry is [`build`].

pub mod bridge;
pub mod error;
pub mod options;
pub mod outcome;

pub use bridge::{
    Bridge, BridgeError, DirEntry, FileKind, FileStat, ImageRequest, RefId, ResolveMode, ResolvedImage, Warning,
};
pub use error::{ErrorKind, FrontendError};
pub use options::{NoCache, Options};
pub use outcome::{BaseImage, BuildOutcome, PlatformImage, SourceFile};

/// Reads the Dockerfile and lowers the target stage for every platform.
///
/// # Errors
/// Whatever is wrong with the Dockerfile, its base images or the context's ignore file, with the place in the file.
pub fn build(_bridge: &dyn Bridge, _options: &Options) -> Result<BuildOutcome, FrontendError> {
    Err(FrontendError { kind: ErrorKind::NotBuilt, location: None, source_file: None })
}
