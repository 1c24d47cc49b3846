//! In: nothing. Out: what a Dockerfile became: one graph and one config for each platform. Never: layers, digests of images, times of this build.

use crossdock_dockerfile::ignore::Patterns;
use crossdock_llb::{Definition, Edge};
use crossdock_oci::{BlobDigest, ImageConfigView, Platform, Reference, Timestamp};

use crate::bridge::Warning;

/// Everything the engine needs to solve, assemble and export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOutcome {
    /// In the order the platforms were asked for.
    pub platforms: Vec<PlatformImage>,
    /// Whether the result is an index: several platforms, or one where it was asked for.
    pub multi_platform: bool,
    /// The build arg SOURCE_DATE_EPOCH, where given.
    pub source_date_epoch: Option<Timestamp>,
    /// All remarks, in the order of the file; they were sent to `Bridge::warn` already.
    pub warnings: Vec<Warning>,
    /// The Dockerfile as it was read, for excerpts under errors.
    pub dockerfile: SourceFile,
    /// The ignore file of the context, where there is one.
    pub ignore_file: Option<IgnoreFile>,
}

/// What hides paths of the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreFile {
    /// `.dockerignore` or `<Dockerfile>.dockerignore`.
    pub name: String,
    pub patterns: Patterns,
}

impl IgnoreFile {
    /// Why a path of the context is not there: `"/a.md" is hidden by pattern "*.md" (.dockerignore:3)`; `None` when
    /// no pattern hides it.
    pub fn explain(&self, path: &str) -> Option<String> {
        let pattern = self.patterns.hiding(path.trim_matches('/'))?;
        Some(format!("{path:?} is hidden by pattern {:?} ({}:{})", pattern.text(), self.name, pattern.line()))
    }
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformImage {
    pub platform: Platform,
    /// The graph; its result edge is the final tree (`None`: an empty one).
    pub definition: Definition,
    /// Everything but `rootfs`, and `created` of the config and of this build's history entries: those are `None`, to
    /// be filled from the layers' records or SOURCE_DATE_EPOCH. Entries inherited from the base keep their times.
    /// Those of this build without `empty_layer` stand for the layers above the base's, one each, in order.
    pub config: ImageConfigView,
    /// How many history entries came with the base.
    pub base_history_len: usize,
    /// For each history entry of this build, the edge whose layer it stands for; `None` where it made none.
    pub history_edges: Vec<Option<Edge>>,
    /// The image the target stage's chain of stages begins with; `None` for `scratch`.
    pub base: Option<BaseImage>,
    /// The name of the target stage, `default` where it has none.
    pub target: String,
}

/// An image a build stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// With its digest.
    pub reference: Reference,
    pub digest: BlobDigest,
}

/// A file of the user's with its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
}
