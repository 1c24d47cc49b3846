//! In: definitions and image names from the frontend. Out: the trait through which it asks the engine, and the answers' types. Never: an engine's own type.
//!
//! `Bridge` is the frontend's only way to the engine (docs/design/architecture.md, decision 2). Calls may come from
//! several threads at once and block until answered.

use crossdock_llb::Definition;
use crossdock_oci::{BlobDigest, ImageConfig, Platform, Reference, VertexDigest};

/// What the frontend may ask of the engine.
pub trait Bridge: Sync {
    /// The platform steps run on natively: BUILDPLATFORM.
    fn build_platform(&self) -> Platform;

    /// Finds an image for a platform and reads its config. Shows the step [`ImageRequest::log_name`].
    ///
    /// # Errors
    /// [`BridgeError::NoSuchImage`], [`BridgeError::NoSuchPlatform`], or whatever kept the engine from asking.
    fn resolve_image(&self, request: &ImageRequest) -> Result<ResolvedImage, BridgeError>;

    /// Adds a definition to the build and names its result. Lazy: nothing runs until the result is read or evaluated.
    ///
    /// # Errors
    /// When the definition is not one the engine can run.
    fn solve(&self, definition: &Definition) -> Result<RefId, BridgeError>;

    /// The bytes of a file of a result; symlinks are followed within the result.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchFile`], [`BridgeError::FileTooLarge`] above `max_bytes`, or the failure of the result.
    fn read_file(&self, result: RefId, path: &str, max_bytes: u64) -> Result<Vec<u8>, BridgeError>;

    /// The first bytes of a file of a result, at most `length`; symlinks are followed within the result.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchFile`], or the failure of the result.
    fn read_head(&self, result: RefId, path: &str, length: u64) -> Result<Vec<u8>, BridgeError>;

    /// The names in a directory of a result, sorted.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchFile`], or the failure of the result.
    fn read_dir(&self, result: RefId, path: &str) -> Result<Vec<DirEntry>, BridgeError>;

    /// What a path of a result is; a symlink as the last part is not followed.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchFile`], or the failure of the result.
    fn stat(&self, result: RefId, path: &str) -> Result<FileStat, BridgeError>;

    /// When what a git or http source brought was committed or last changed, in seconds since 1970; `None` for a result
    /// that is no such source's, and for servers that do not say.
    ///
    /// # Errors
    /// The failure of the result.
    fn source_time(&self, result: RefId) -> Result<Option<i64>, BridgeError>;

    /// Runs everything a result needs.
    ///
    /// # Errors
    /// The failure of the step that failed.
    fn evaluate(&self, result: RefId) -> Result<(), BridgeError>;

    /// Shows a warning.
    fn warn(&self, warning: Warning);
}

/// Names a result within one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefId(pub u64);

/// Which image is asked for, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRequest {
    /// As the Dockerfile names it, with tag or digest.
    pub reference: Reference,
    pub platform: Platform,
    pub mode: ResolveMode,
    /// The OCI layout of the client's that holds it, by the name it was given; none for registries and the image store.
    pub layout: Option<String>,
    /// The step the screen shows: `[linux/arm64 internal] load metadata for docker.io/library/busybox:latest`.
    pub log_name: String,
}

/// Where an image is looked for (`image-resolve-mode`, spec/dockerfile.md §10).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResolveMode {
    /// Images built or tagged here win; others are resolved anew in their registry.
    #[default]
    Default,
    /// Always ask the registry (`--pull`).
    Pull,
    /// Only what the store holds.
    Local,
}

/// An image that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    /// The name asked for with the digest it has now: of the index where there is one, else of the manifest.
    pub reference: Reference,
    /// The same digest.
    pub digest: BlobDigest,
    /// Raw bytes and view of the chosen manifest's config.
    pub config: ImageConfig,
    /// Of the chosen manifest: what the index says, else what the config says.
    pub platform: Platform,
}

/// A name in a directory of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    pub name: String,
    pub stat: FileStat,
}

/// What a path of a result is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    pub kind: FileKind,
    /// Permission bits, 07777.
    pub mode: u32,
    /// Bytes of a regular file, else 0.
    pub size_bytes: u64,
    /// Target of a symlink, else empty.
    pub link_target: String,
}

/// The kinds of path the frontend tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    File,
    Directory,
    Symlink,
    Other,
}

/// A remark on the Dockerfile that does not stop the build (spec/dockerfile.md §11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The check's name: `FromAsCasing`.
    pub rule: String,
    /// What is wrong here, without rule name and line.
    pub text: String,
    /// What the rule asks for, in general.
    pub detail: String,
    /// Where the rule is explained.
    pub url: String,
    /// The Dockerfile.
    pub file: String,
    /// Lines from 1, both inclusive.
    pub first_line: u32,
    pub last_line: u32,
    /// The step it is shown under: the one that loads the Dockerfile.
    pub vertex: VertexDigest,
}

impl Warning {
    /// One line as BuildKit shows it: `FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)`.
    pub fn short(&self) -> String {
        format!("{}: {} (line {})", self.rule, self.text, self.first_line)
    }
}

/// Why the engine gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// No registry and no store has this image.
    #[error("{reference}: not found")]
    NoSuchImage { reference: Box<Reference> },
    /// The image exists, for other platforms. `available` names them.
    #[error("no match for platform in manifest: not found")]
    NoSuchPlatform { reference: Box<Reference>, wanted: Box<Platform>, available: Vec<Platform> },
    /// The result holds no such path.
    #[error("open {path}: no such file or directory")]
    NoSuchFile { path: String },
    /// The file is larger than the frontend wants to read.
    #[error("{path} is {size_bytes} bytes long, at most {max_bytes} are allowed")]
    FileTooLarge { path: String, size_bytes: u64, max_bytes: u64 },
    /// The engine's own error: a failed step, a registry that does not answer, a full disk.
    #[error(transparent)]
    Engine(Box<dyn std::error::Error + Send + Sync>),
}
