//! In: failures of every room. Out: one enum with the step, the platform and the place in the Dockerfile where they are known. Never: an exit code, a hint about flags.

use crossdock_executor::ExecutorError;
use crossdock_frontend::bridge::BridgeError;
use crossdock_llb::Location;
use crossdock_oci::manifest::DocumentError;
use crossdock_oci::{BlobDigest, Platform, Reference, VertexDigest};

/// Why a build (or a run, a pull, a push) failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Content(#[from] crossdock_content::ContentError),
    #[error(transparent)]
    Registry(#[from] crossdock_registry::RegistryError),
    #[error(transparent)]
    Image(#[from] crossdock_image::ImageError),
    #[error(transparent)]
    Export(#[from] crossdock_exporter::ExportError),
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    #[error(transparent)]
    Emulation(#[from] Box<crossdock_emulation::NoEmulation>),
    #[error(transparent)]
    Tree(#[from] crossdock_snapshot::tree::TreeError),
    #[error(transparent)]
    File(#[from] crossdock_executor::file::FileError),
    #[error(transparent)]
    Context(#[from] crossdock_source::local::ContextError),
    #[error(transparent)]
    Git(#[from] crossdock_source::git::GitError),
    #[error("digest mismatch for {url}: {got} (expected: {want})")]
    Checksum { url: String, want: BlobDigest, got: BlobDigest },
    #[error("OCI layout {directory}: {reason}")]
    Layout { directory: String, reason: String },
    #[error("{url}: {reason}")]
    Fetch { url: String, reason: String },
    #[error(transparent)]
    Listing(#[from] crossdock_snapshot::listing::ListingError),
    #[error(transparent)]
    Frontend(Box<crossdock_frontend::FrontendError>),
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    #[error(transparent)]
    Step(Box<StepFailure>),
    #[error("{reference}: {source}")]
    Document { reference: Reference, source: DocumentError },
    #[error("{reference} is not in the local image store, and the registry was not to be asked")]
    NotLocal { reference: Reference },
    #[error(
        "{reference}: the manifest names {layers} layers, the config {diffs}: the image is broken; pull it again or tell its publisher"
    )]
    LayerCount { reference: Reference, layers: usize, diffs: usize },
    #[error("{reference}: layer type {media_type} is not supported")]
    LayerType { reference: Reference, media_type: String },
    #[error("layer {layer} is gone from the store and no repository is known to hold it; build again with --no-cache")]
    LayerGone { layer: String },
    #[error(
        "layer {layer} unpacks to {got}, its image says {want}: the image is broken; pull it again or tell its publisher"
    )]
    DiffMismatch { layer: String, want: String, got: String },
    #[error("process {process} did not complete successfully: {outcome}")]
    Process { process: String, outcome: String },
    #[error("the thread {doing} died; this is a bug: please report it with the command that led here")]
    ThreadDied { doing: &'static str },
    #[error("secret {id}: not found; give it with --secret id={id},src=FILE or --secret id={id},env=VARIABLE")]
    NoSecret { id: String },
    #[error("secret {id:?} is larger than {max} bytes")]
    SecretTooLarge { id: String, max: u64 },
    #[error("secret {id:?} is to become an environment variable, but it is no UTF-8 text; mount it as a file instead")]
    SecretNotText { id: String },
    #[error("no SSH key {id:?} forwarded from the client; give an agent or keys with --ssh {id}[=SOCKET|KEY]")]
    NoAgent { id: String },
    #[error("{what} is not supported yet")]
    Unsupported { what: String },
    #[error("context directory {name:?} was asked for, but this build has none of that name")]
    NoSuchContext { name: String },
    #[error("{source_name}: {reason}")]
    BadSource { source_name: String, reason: &'static str },
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
    /// A failure that several jobs share.
    #[error(transparent)]
    Shared(std::sync::Arc<BuildError>),
    #[error("{text}")]
    Solver { text: String },
    #[error("context canceled")]
    Cancelled,
    #[error("{source}")]
    Name { source: crossdock_oci::ReferenceError },
    #[error(transparent)]
    Load(#[from] crate::images::LoadError),
    #[error("no command specified: the image has neither ENTRYPOINT nor CMD; give one behind the image's name")]
    NoCommand,
    #[error(
        "{name} is an index, and its manifest for {platform} is not in the local store; `crossdock pull --all-platforms` fetches what is missing, `crossdock push --platform` pushes one that is here"
    )]
    PlatformNotHere { name: String, platform: String },
    /// In the words of the reference, with the pattern that is wrong.
    #[error(
        "failed to compute cache key: failed to calculate checksum of {place}: invalid {list}: [{patterns}]: {source}"
    )]
    Pattern {
        place: &'static str,
        list: &'static str,
        patterns: String,
        source: crossdock_dockerfile::ignore::IgnoreError,
    },
    /// A source of COPY or ADD that is not there. `hint` names the ignore pattern that hides it, or names like it.
    #[error("failed to compute cache key: failed to calculate checksum of {place}: {path:?}: not found{hint}")]
    SourceMissing { place: &'static str, path: String, hint: String },
    #[error("{reference} was found, but its platform ({found}) does not match the specified platform ({wanted})")]
    OtherPlatform { reference: Reference, wanted: Platform, found: Platform },
    #[error("blob {digest} in the local store is damaged and was dropped; build again to fetch or make it anew")]
    BlobDamaged { digest: BlobDigest },
    #[error(
        "{platform}: the image could not start: {program} is a program for {own}; build it for {} (see docs/checks/architecture.md; CROSSDOCK_ARCH_CHECK=warn makes this a warning)",
        .platform.architecture
    )]
    Architecture { platform: Platform, program: String, own: &'static str },
    #[error("tag is needed when pushing to registry")]
    NoNameToPush,
    #[error("the records of {what} cannot be read: {source}")]
    Record { what: String, source: serde_json::Error },
}

/// A step that failed, and where it stands.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct StepFailure {
    pub vertex: VertexDigest,
    /// As the screen shows it: `[2/3] RUN make`.
    pub name: String,
    pub platform: Option<Platform>,
    pub locations: Vec<Location>,
    pub source: BuildError,
}

impl BuildError {
    /// A document of an image that cannot be read.
    pub fn document(reference: &Reference, source: DocumentError) -> Self {
        Self::Document { reference: reference.clone(), source }
    }

    /// The step this failure belongs to.
    pub fn step(&self) -> Option<&StepFailure> {
        match self {
            Self::Step(step) => Some(step),
            _ => None,
        }
    }

    /// Whether a file of the context changed while it was read.
    pub fn is_source_changed(&self) -> bool {
        match self {
            Self::File(error) => error.is_source_changed(),
            Self::Tree(error) => crossdock_source::local::is_changed(error),
            Self::Step(step) => step.source.is_source_changed(),
            Self::Shared(error) => error.is_source_changed(),
            _ => false,
        }
    }

    /// Whether somebody asked for the end.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Cancelled
            | Self::Git(crossdock_source::git::GitError::Cancelled)
            | Self::Executor(ExecutorError::Cancelled)
            | Self::Registry(crossdock_registry::RegistryError::Cancelled) => true,
            Self::Step(step) => step.source.is_cancelled(),
            Self::Shared(error) => error.is_cancelled(),
            _ => false,
        }
    }
}

impl From<BuildError> for BridgeError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Bridge(error) => error,
            error => Self::Engine(Box::new(error)),
        }
    }
}
