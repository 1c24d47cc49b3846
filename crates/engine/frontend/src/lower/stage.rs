//! In: an image, a stage or nothing to stand on. Out: where a stage stands while its instructions are lowered. Never: the graph.

use crossdock_dockerfile::{LineRange, Variables};
use crossdock_llb::Edge;
use crossdock_oci::{History, ImageConfigView, Platform, RootFs};

use crate::bridge::ResolvedImage;
use crate::environment::{Environment, split_pair};
use crate::error::ErrorKind;
use crate::outcome::BaseImage;
use crate::step_name::StepNamer;

use super::paths;

/// What every history entry of ours says (spec/dockerfile.md §3).
const HISTORY_COMMENT: &str = "buildkit.dockerfile.v0";

/// What entries say that stand for layers nobody wrote an entry for.
const ADDED_HISTORY_COMMENT: &str = "buildkit.exporter.image.v0";

/// Where programs are looked for when an image does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage, as far as it is lowered.
#[derive(Debug, Clone)]
pub(super) struct StageState {
    /// The tree; `None` for an empty one.
    pub(super) edge: Option<Edge>,
    /// What RUN sees: the image's variables and the declared arguments.
    pub(super) environment: Environment,
    /// The image's config so far, without layers and times.
    pub(super) image: ImageConfigView,
    /// The platform its steps run for.
    pub(super) platform: Platform,
    /// Declared arguments with their values, for the history.
    pub(super) arguments: Vec<(String, Option<String>)>,
    pub(super) namer: StepNamer,
    pub(super) ignore_cache: bool,
    /// A WORKDIR of the file was seen.
    pub(super) has_workdir: bool,
    /// Where the stage's last CMD, ENTRYPOINT and HEALTHCHECK stand.
    pub(super) cmd: Option<LineRange>,
    pub(super) entrypoint: Option<LineRange>,
    pub(super) healthcheck: Option<LineRange>,
    /// The image at the root of the chain of stages has files.
    pub(super) has_layers: bool,
    pub(super) base: Option<BaseImage>,
    pub(super) base_history_len: usize,
    pub(super) history_edges: Vec<Option<Edge>>,
}

impl StageState {
    fn new(image: ImageConfigView, platform: &Platform, namer: StepNamer) -> Self {
        Self {
            edge: None,
            environment: Environment::default(),
            base_history_len: image.history.len(),
            has_layers: has_layers(&image),
            image,
            platform: platform.clone(),
            arguments: Vec::new(),
            namer,
            ignore_cache: false,
            has_workdir: false,
            cmd: None,
            entrypoint: None,
            healthcheck: None,
            base: None,
            history_edges: Vec::new(),
        }
    }

    /// `FROM scratch`.
    pub(super) fn on_scratch(platform: &Platform, namer: StepNamer) -> Self {
        let mut image = ImageConfigView {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: platform.os_version.clone(),
            os_features: platform.os_features.clone(),
            variant: platform.variant.clone(),
            ..ImageConfigView::default()
        };
        image.config.working_dir = "/".to_owned();
        Self::new(image, platform, namer)
    }

    /// `FROM image`: its config is inherited but for times, layers, triggers, and keys that no builder passes on.
    pub(super) fn on_image(image: &ResolvedImage, platform: &Platform, namer: StepNamer) -> Self {
        let mut state = Self::new(with_whole_history(image), platform, namer);
        state.has_layers = has_layers(&image.config.view);
        state.image.created = None;
        state.image.rootfs = RootFs::default();
        state.image.config.on_build.clear();
        state.image.unknown.clear();
        state.image.config.unknown.clear();
        state
    }

    /// `FROM stage`: everything is inherited but what a stage counts for itself.
    pub(super) fn child(&self, namer: StepNamer) -> Self {
        let mut child = self.clone();
        child.namer = namer;
        child.image.config.on_build.clear();
        child.cmd = None;
        child.entrypoint = None;
        child.healthcheck = None;
        child
    }

    /// About how many bytes a copy of the state takes.
    pub(super) fn weight(&self) -> usize {
        let history: usize = self.image.history.iter().map(|entry| entry.created_by.len() + size_of::<History>()).sum();
        history + self.environment.bytes()
    }

    /// Takes over what the config says before the first instruction.
    pub(super) fn begin(&mut self) -> Result<(), ErrorKind> {
        let has_path = self.image.config.env.iter().any(|pair| split_pair(pair).0 == "PATH");
        if !has_path && self.platform.os != "windows" {
            self.image.config.env.push(format!("PATH={DEFAULT_PATH}"));
        }
        for pair in &self.image.config.env {
            let (name, value) = split_pair(pair);
            self.environment.set(name, value);
        }
        if self.environment.is_too_large() {
            return Err(ErrorKind::EnvironmentTooLarge);
        }
        if !self.image.config.working_dir.is_empty() {
            self.image.config.working_dir = paths::working_directory("/", &self.image.config.working_dir);
        }
        Ok(())
    }

    /// The directory RUN begins in, clean.
    pub(super) fn directory(&self) -> String {
        paths::clean(&self.image.config.working_dir)
    }

    /// Whether an ARG of the stage or its base stages declares this name.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.arguments.iter().any(|(declared, _)| declared == name)
    }

    /// The shell in front of commands that are text.
    pub(super) fn shell(&self) -> Vec<String> {
        if !self.image.config.shell.is_empty() {
            return self.image.config.shell.clone();
        }
        let words: &[&str] = if self.image.os == "windows" { &["cmd", "/S", "/C"] } else { &["/bin/sh", "-c"] };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// `|2 A=1 B=2 ` in front of what a RUN ran: the declared arguments with the values it saw.
    pub(super) fn argument_prefix(&self) -> String {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for (name, value) in &self.arguments {
            let value = Variables::get(&self.environment, name).or(value.as_deref()).unwrap_or_default();
            let pair = format!("{name}={value}");
            match pairs.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = pair,
                None => pairs.push((name, pair)),
            }
        }
        if pairs.is_empty() {
            return String::new();
        }
        let texts: Vec<String> = pairs.into_iter().map(|(_, pair)| pair).collect();
        format!("|{} {} ", texts.len(), texts.join(" "))
    }

    /// Adds a history entry; `edge` is the tree whose layer it stands for, `None` where it made none.
    pub(super) fn commit(&mut self, created_by: String, edge: Option<Edge>) {
        self.image.history.push(History {
            created: None,
            created_by,
            author: String::new(),
            comment: HISTORY_COMMENT.to_owned(),
            empty_layer: edge.is_none(),
        });
        self.history_edges.push(edge);
    }
}

/// An image's config with a history entry for each of its layers and none more: images made by hand may lack some, or
/// all. What is missing stands behind what is there, so that every entry of the stage still stands for its own layer.
fn with_whole_history(image: &ResolvedImage) -> ImageConfigView {
    let mut config = image.config.view.clone();
    let mut missing = config.rootfs.diff_ids.len();
    for entry in config.history.iter_mut().filter(|entry| !entry.empty_layer) {
        entry.empty_layer = missing == 0;
        missing = missing.saturating_sub(1);
    }
    let entry = History {
        created: config.created,
        created_by: format!("pulled from {}", image.reference),
        author: String::new(),
        comment: ADDED_HISTORY_COMMENT.to_owned(),
        empty_layer: false,
    };
    config.history.extend(std::iter::repeat_n(entry, missing));
    config
}

/// Whether an image has files. Very old images list no layers, but their history tells.
pub(super) fn has_layers(image: &ImageConfigView) -> bool {
    !image.rootfs.diff_ids.is_empty() || image.history.iter().any(|entry| !entry.empty_layer)
}
