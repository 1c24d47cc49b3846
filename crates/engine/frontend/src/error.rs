//! In: what went wrong while a Dockerfile became a graph. Out: one error with the place in the file. Never: colours, hints for a terminal.

use std::fmt;

use crossdock_dockerfile::check::CheckError;
use crossdock_dockerfile::ignore::IgnoreError;
use crossdock_dockerfile::{
    ExpandError, LineRange, MountError, ParseError, ParseErrorKind, StageError, excerpt, limits,
};
use crossdock_llb::Location;
use crossdock_oci::reference::ReferenceReason;
use crossdock_oci::{Platform, PlatformError};

use crate::bridge::BridgeError;
use crate::environment::ENVIRONMENT_BYTES_MAX;
use crate::lower::GRAPH_BYTES_MAX;
use crate::outcome::SourceFile;

/// Why a Dockerfile became no graph, and where in it.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct FrontendError {
    #[source]
    pub kind: Box<ErrorKind>,
    /// The lines to blame, where there are some.
    pub location: Option<Location>,
    /// The file they stand in.
    pub source_file: Option<SourceFile>,
}

impl FrontendError {
    /// `Dockerfile:3` with the lines around it and `>>>` in front of the blamed ones.
    pub fn excerpt(&self) -> Option<String> {
        let (location, file) = (self.location.as_ref()?, self.source_file.as_ref()?);
        excerpt::render(&file.name, &file.text, &[LineRange::new(location.first_line, location.last_line)])
    }
}

/// What went wrong. Texts are the reference's where it has one (spec/dockerfile.md §12).
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    #[error("failed to read dockerfile: {0}")]
    ReadDockerfile(#[source] BridgeError),
    #[error(transparent)]
    GitUrl(crossdock_llb::git_url::GitUrlError),
    #[error("named context {name} ({value}): {reason}")]
    NamedContext { name: String, value: String, reason: String },
    #[error("unable to prepare context: {0:?} is neither a git repository nor a URL")]
    UnknownContext(String),
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error("failed to parse check options: {0}")]
    CheckOptions(#[from] CheckError),
    #[error("failed to read {name}: {source}")]
    ReadIgnoreFile { name: String, source: Box<BridgeError> },
    #[error("failed parsing {name}: {source}")]
    IgnoreFile { name: String, source: IgnoreError },
    #[error(transparent)]
    Target(#[from] StageError),
    #[error(transparent)]
    Expand(#[from] ExpandError),
    #[error("base name ({0}) should not be blank")]
    BlankBase(String),
    #[error("failed to parse stage name {name:?}: invalid reference format: {reason}")]
    BaseReference { name: String, reason: ReferenceReason },
    #[error("ONBUILD trigger {trigger:?} of the base: {reason}")]
    Trigger { trigger: String, reason: Box<ParseErrorKind> },
    #[error("empty platform value from expression {0}")]
    EmptyPlatform(String),
    #[error("failed to parse platform {written}: {source}")]
    Platform { written: String, source: PlatformError },
    #[error(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"
    )]
    VariableInFrom,
    #[error("circular dependency detected on stage: {0}")]
    Circular(String),
    #[error("cannot copy from stage {from:?}, it needs to be defined before current stage {stage:?}")]
    CopyFromLater { from: String, stage: String },
    #[error("cannot mount from stage {from:?} to {target:?}, stage needs to be defined before current command")]
    MountFromLater { from: String, target: String },
    #[error("{written}: failed to resolve source metadata for {reference}: {source}{}", crate::error::hint(suggestion))]
    ResolveImage { written: String, reference: String, source: Box<BridgeError>, suggestion: Option<String> },
    #[error("{}", MissingPlatform::list(.0))]
    MissingPlatforms(Vec<MissingPlatform>),
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error("invalid mount target {0:?}")]
    MountTarget(String),
    #[error(
        "SOURCE_DATE_EPOCH={0}: a stage has a time only when it is FROM scratch with a single ADD of a URL or git repository"
    )]
    EpochStage(String),
    #[error("ssh mount should not have a source: name the agent with id=, and its place with target=")]
    SshSource,
    #[error("{entitlement} is not allowed: {what} leaves the sandbox; allow it with --allow {entitlement}")]
    NotEntitled { what: &'static str, entitlement: &'static str },
    #[error(
        "RUN --device={0}: this machine offers no devices to steps; leave out `required` where the step can do without"
    )]
    NoDevice(String),
    #[error("RUN has no command: a JSON array needs at least one argument")]
    NoArguments,
    #[error("RUN in JSON form takes no heredoc")]
    HeredocWithJson,
    #[error("invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777")]
    Chmod(String),
    #[error(
        "--chown={name} names a user or group, but {reason}, so there is no /etc/passwd to look it up in: use numbers"
    )]
    ChownByName { name: String, reason: &'static str },
    #[error("source can't be a URL for COPY")]
    UrlInCopy,
    #[error("source can't be a git ref for COPY")]
    GitInCopy,
    #[error("checksum can't be specified for COPY")]
    ChecksumInCopy,
    #[error("checksum requires HTTP(S) or Git sources")]
    ChecksumOfLocal,
    #[error("checksum can't be specified for multiple sources")]
    ChecksumOfSeveral,
    #[error("invalid checksum {0:?}: sha256: and 64 hexadecimal digits are expected")]
    Checksum(String),
    #[error("checksum mismatch {flag:?} != {query:?}")]
    ChecksumConflict { flag: String, query: String },
    #[error("inconsistent keep-git-dir configuration")]
    KeepGitDirConflict,
    /// What is wrong with a port specification, with the part that is.
    #[error("{0}")]
    Port(String),
    #[error("invalid signal: {0}")]
    Signal(String),
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("invalid SOURCE_DATE_EPOCH: {0}")]
    Epoch(String),
    #[error("the environment is larger than {ENVIRONMENT_BYTES_MAX} bytes")]
    EnvironmentTooLarge,
    #[error("the build graph is larger than {GRAPH_BYTES_MAX} bytes")]
    GraphTooLarge,
    #[error("dockerfile is larger than {max} bytes", max = limits::FILE_BYTES_MAX)]
    DockerfileTooLarge,
    /// Findings of checks with `error=true`.
    #[error("{0}")]
    Checks(String),
    /// Parsed, but not executed by this version.
    #[error("{0} is not supported yet")]
    NotYet(String),
    #[error(transparent)]
    Bridge(#[from] BridgeError),
}

/// A base image that lacks platforms of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPlatform {
    /// As the Dockerfile names it.
    pub written: String,
    /// In full.
    pub reference: String,
    pub wanted: Vec<Platform>,
    pub available: Vec<Platform>,
}

impl MissingPlatform {
    fn list(missing: &[Self]) -> String {
        missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for MissingPlatform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |platforms: &[Platform]| platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(
            out,
            "{}: failed to resolve source metadata for {}: no match for platform in manifest: not found: it has no {}",
            self.written,
            self.reference,
            names(&self.wanted)
        )?;
        if !self.available.is_empty() {
            write!(out, ", only {}", names(&self.available))?;
        }
        Ok(())
    }
}

pub(crate) fn hint(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or_else(String::new, |word| format!(" (did you mean {word}?)"))
}

/// An error inside this room: the lines, without the file.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Box<ErrorKind>,
    pub(crate) lines: Option<LineRange>,
}

impl Fault {
    pub(crate) fn at(kind: ErrorKind, lines: LineRange) -> Self {
        Self { kind: Box::new(kind), lines: Some(lines) }
    }

    /// With the file it happened in.
    pub(crate) fn in_file(self, file: &SourceFile) -> FrontendError {
        let location = self.lines.map(|lines| Location {
            file: file.name.clone(),
            first_line: lines.first,
            last_line: lines.last,
        });
        FrontendError { kind: self.kind, location, source_file: Some(file.clone()) }
    }
}

impl<K: Into<ErrorKind>> From<K> for Fault {
    fn from(kind: K) -> Self {
        Self { kind: Box::new(kind.into()), lines: None }
    }
}
