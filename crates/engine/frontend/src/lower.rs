//! In: a plan, its images and the settings of a build. Out: the target's graph and config for one platform. Never: a call to the engine, a file.
//!
//! Lowering is cheap and pure, so it runs twice: once to learn which paths of the context all platforms need together,
//! then with the context source that brings exactly these. Stages that do not depend on the target thus have the same
//! vertices for all platforms, and run once.

mod config;
mod copy;
mod expose;
mod file_op;
mod mode;
mod mounts;
mod paths;
pub(crate) mod remote;
mod run;
mod signal;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use crossdock_dockerfile::check::rules;
use crossdock_dockerfile::{Command, Dockerfile, ExpandError, Expander, LineRange, Rule};
use crossdock_llb::{Edge, Graph, Location, Metadata, Op, SourceOp};
use crossdock_oci::{Platform, Timestamp};

use crate::bridge::ResolvedImage;
use crate::context::MainContext;
use crate::environment::Environment;
use crate::error::{ErrorKind, Fault};
use crate::named::{NamedTree, TreeKind};
use crate::options::{NoCache, Options};
use crate::outcome::{BaseImage, IgnoreFile, PlatformImage};
use crate::plan::{Base, ImageName, Plan, PlannedStage, Source, Step};
use crate::read::LocalSource;
use crate::report::Report;
use crate::resolve::Images;
use crate::step_name::StepNamer;
use stage::StageState;

/// Most bytes of environments and texts in one graph.
pub const GRAPH_BYTES_MAX: u64 = 256 << 20;

/// The source COPY and ADD read from.
const MAIN_CONTEXT: &str = "context";

/// Arguments that are no environment: they speak to the builder.
const NO_ENVIRONMENT: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// What is the same for all platforms.
pub(crate) struct Setting<'a> {
    pub(crate) file: &'a Dockerfile,
    pub(crate) file_name: &'a str,
    pub(crate) options: &'a Options,
    /// Step names begin with their platform.
    pub(crate) with_platform: bool,
    pub(crate) epoch: Option<Timestamp>,
    pub(crate) hostname: String,
    pub(crate) proxies: BTreeMap<String, String>,
    /// `BUILDKIT_CACHE_MOUNT_NS`.
    pub(crate) cache_namespace: String,
    pub(crate) context: &'a MainContext,
    pub(crate) ignore_file: Option<&'a IgnoreFile>,
    /// Patterns that hide paths of named directories, by the source's name.
    pub(crate) named_ignores: BTreeMap<String, Vec<String>>,
    pub(crate) paths: ContextPaths,
}

/// The paths that are needed of each directory of the client's, by its source's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ContextPaths(BTreeMap<String, BTreeSet<String>>);

impl ContextPaths {
    fn add(&mut self, source: &str, path: String) {
        self.0.entry(source.to_owned()).or_default().insert(path);
    }

    /// What any platform needs.
    pub(crate) fn add_all(&mut self, other: Self) {
        for (source, paths) in other.0 {
            self.0.entry(source).or_default().extend(paths);
        }
    }

    /// Relative paths, as sources want them; empty for all.
    fn of(&self, source: &str) -> Vec<String> {
        let Some(paths) = self.0.get(source).filter(|paths| !paths.contains("/")) else { return Vec::new() };
        paths.iter().map(|path| path.trim_start_matches('/').to_owned()).collect()
    }
}

/// Lowers one plan into a graph.
pub(crate) struct Lowering<'a> {
    setting: &'a Setting<'a>,
    plan: &'a Plan,
    images: &'a Images,
    graph: &'a mut Graph,
    report: &'a mut Report,
    bytes_left: u64,
    /// Stages that are lowered, by number.
    stages: Vec<Option<StageState>>,
    /// The stage being lowered, by number.
    stage: usize,
    /// The instruction being lowered.
    lines: LineRange,
    comments: Vec<String>,
    is_onbuild: bool,
    paths: ContextPaths,
}

impl<'a> Lowering<'a> {
    /// Begins with nothing lowered.
    pub(crate) fn new(
        setting: &'a Setting<'a>,
        plan: &'a Plan,
        images: &'a Images,
        graph: &'a mut Graph,
        report: &'a mut Report,
    ) -> Self {
        Self {
            setting,
            plan,
            images,
            graph,
            report,
            bytes_left: GRAPH_BYTES_MAX,
            stages: vec![None; plan.stages.len()],
            stage: 0,
            lines: LineRange::line(1),
            comments: Vec::new(),
            is_onbuild: false,
            paths: ContextPaths::default(),
        }
    }

    /// Lowers the target and what it needs. The second value holds the paths of contexts that were used.
    pub(crate) fn run(mut self) -> Result<(PlatformImage, ContextPaths), Fault> {
        for index in 0..self.plan.stages.len() {
            if self.plan.is_needed[index] {
                let state = self.lower_stage(index)?;
                self.stages[index] = Some(state);
            }
        }
        let target = self.stages[self.plan.target].take().expect("the target is needed, so it was lowered");
        let name = self.setting.file.stages[self.plan.target].name.clone();
        let image = self.finish(target, name.unwrap_or_else(|| "default".to_owned()));
        Ok((image, self.paths))
    }

    fn lower_stage(&mut self, index: usize) -> Result<StageState, Fault> {
        let plan = self.plan;
        let planned = &plan.stages[index];
        let written = &self.setting.file.stages[index];
        self.stage = index;
        self.lines = written.lines;
        self.comments.clone_from(&written.comments);
        let makes_step = |step: &&Step| {
            matches!(
                step.instruction.command,
                Command::Add(_) | Command::Copy(_) | Command::Run(_) | Command::Workdir(_)
            )
        };
        let total = usize::from(matches!(planned.base, Base::Image(_) | Base::Tree(_)))
            + planned.steps.iter().filter(makes_step).count();
        let namer = StepNamer::new(planned.label.clone(), total, self.setting.with_platform);
        let at = |kind| Fault::at(kind, written.lines);
        let mut state = match &planned.base {
            Base::Stage(base) => {
                self.note_path(&Source::Stage(*base), "/".to_owned());
                let base = self.stages[*base].as_ref().expect("a base stands in front of its stage and is needed too");
                let child = base.child(namer);
                self.spend(child.weight()).map_err(at)?;
                child
            }
            Base::Scratch => StageState::on_scratch(&plan.platform, namer),
            Base::Image(name) => self.state_on_image(name, index, namer).map_err(at)?,
            Base::Tree(tree) => {
                let mut state = StageState::on_scratch(&plan.platform_of(planned), namer);
                // What stands on it, or is exported, needs all of it.
                if !planned.is_replaced || index == plan.target {
                    self.note_path(&Source::Tree(tree.clone()), "/".to_owned());
                }
                state.edge = Some(self.tree_edge(tree));
                // Its files are a layer like any other, and an image's history has an entry for each.
                state.commit(format!("FROM {} # buildkit", tree.name), state.edge);
                state
            }
        };
        state.ignore_cache = match &self.setting.options.no_cache {
            NoCache::Off => false,
            NoCache::All => true,
            NoCache::Stages(names) => {
                written.name.as_ref().is_some_and(|name| names.iter().any(|other| other.eq_ignore_ascii_case(name)))
            }
        };
        state.begin().map_err(at)?;
        for step in &planned.steps {
            self.lines = step.instruction.lines;
            self.comments.clone_from(&step.instruction.comments);
            self.is_onbuild = step.is_onbuild;
            self.lower_step(&mut state, step).map_err(|kind| Fault::at(kind, step.instruction.lines))?;
        }
        Ok(state)
    }

    fn state_on_image(
        &mut self,
        name: &ImageName,
        index: usize,
        mut namer: StepNamer,
    ) -> Result<StageState, ErrorKind> {
        let planned = &self.plan.stages[index];
        let wanted = self.plan.platform_of(planned);
        let image = self.images.get(name, &wanted).expect("all images of needed stages are resolved");
        let mut platform = wanted;
        // Nothing was asked for, so the platform of the image that is there is taken.
        let found = image.config.view.platform();
        if let Some(found) = &found
            && self.plan.is_implicit
            && planned.platform.is_none()
            && (found.os != platform.os || found.architecture != platform.architecture)
        {
            platform = found.clone();
        }
        let mut state = StageState::on_image(image, &platform, namer.clone());
        if state.has_layers {
            let source = &self.setting.file.stages[index].source;
            let step = match &name.context {
                Some(context) => context.step(),
                None => {
                    let text = format!("FROM {}", image.reference);
                    namer.next(&text, &platform, &Environment::default(), false)
                }
            };
            state.edge = Some(self.image_edge(name, image, &platform, step, source));
        }
        state.namer = namer;
        if let Some(found) = found
            && name.context.is_none()
            && (found.os != platform.os || found.architecture != platform.architecture)
        {
            let (found, expected) = (found.to_string(), platform.to_string());
            let text = rules::invalid_base_image_platform::text(&name.written, &found, &expected);
            self.report(Rule::InvalidBaseImagePlatform, text);
        }
        state.base = Some(BaseImage { reference: image.reference.clone(), digest: image.digest });
        Ok(state)
    }

    fn image_edge(
        &mut self,
        name: &ImageName,
        image: &ResolvedImage,
        platform: &Platform,
        step: String,
        source: &str,
    ) -> Edge {
        let layout = name.context.as_ref().and_then(|context| context.layout.as_ref());
        let scheme = if layout.is_some() { "oci-layout" } else { "docker-image" };
        let attrs = layout.iter().map(|layout| ("oci.store".to_owned(), (*layout).clone())).collect();
        let op = Op::Source(SourceOp { identifier: format!("{scheme}://{}", image.reference), attrs });
        let mut metadata = self.metadata(step, false);
        metadata.description = command_description(source);
        self.graph.add(op, Vec::new(), Some(platform.clone()), metadata)
    }

    fn lower_step(&mut self, state: &mut StageState, step: &Step) -> Result<(), ErrorKind> {
        match &step.instruction.command {
            Command::Run(run) => self.lower_run(state, step, run),
            Command::Copy(copy) => self.lower_copy(state, step, copy),
            Command::Add(add) => self.lower_add(state, step, add),
            Command::Workdir(path) => self.lower_workdir(state, step, path),
            other => self.lower_config(state, step, other),
        }
    }

    /// The tree a source means; `None` for an empty one. The second value is false for a stage that comes later.
    fn source_edge(&mut self, source: &Source) -> (Option<Edge>, bool) {
        match source {
            Source::Context => (Some(self.context_edge()), true),
            Source::Scratch => (None, true),
            Source::Tree(tree) => (Some(self.tree_edge(tree)), true),
            Source::Stage(index) => match &self.stages[*index] {
                Some(state) => (state.edge, true),
                None => (None, false),
            },
            Source::Image(name) => {
                let platform = self.plan.platform.clone();
                let image = self.images.get(name, &platform).expect("all images of needed stages are resolved");
                if !stage::has_layers(&image.config.view) {
                    return (None, true);
                }
                let step = match &name.context {
                    Some(context) => context.step(),
                    None => format!("FROM {}", image.reference),
                };
                (Some(self.image_edge(name, image, &platform, step, "")), true)
            }
        }
    }

    fn context_edge(&mut self) -> Edge {
        if let MainContext::Remote(remote) = self.setting.context {
            return remote.add_to(self.graph);
        }
        let exclude = self.setting.ignore_file.map(|file| file.patterns.texts()).unwrap_or_default();
        let hint = self.setting.options.shared_key_hint.as_deref().unwrap_or("context");
        let follow = &self.setting.paths.of(MAIN_CONTEXT);
        let source = LocalSource { name: MAIN_CONTEXT, hint, follow, exclude: &exclude, only_once: false };
        source.add_to(self.graph, "[internal] load build context")
    }

    /// A named context's tree.
    fn tree_edge(&mut self, tree: &NamedTree) -> Edge {
        let local = match &tree.kind {
            TreeKind::Remote(remote) => return remote.add_to(self.graph),
            TreeKind::Local(local) => local,
        };
        let exclude = self.setting.named_ignores.get(local).cloned().unwrap_or_default();
        let hint = format!("context:{}-{local}", tree.name);
        let follow = self.setting.paths.of(local);
        let source = LocalSource { name: local, hint: &hint, follow: &follow, exclude: &exclude, only_once: false };
        source.add_to(self.graph, &format!("[context {}] load from client", tree.name))
    }

    /// Remembers a path that is needed of a source, when that is a directory of the client's.
    fn note_path(&mut self, source: &Source, path: String) {
        let plan = self.plan;
        let tree = match source {
            Source::Context => return self.paths.add(MAIN_CONTEXT, path),
            Source::Tree(tree) => tree,
            Source::Stage(index) => match &plan.stages[*index] {
                PlannedStage { base: Base::Tree(tree), is_replaced: true, .. } => tree,
                _ => return,
            },
            Source::Scratch | Source::Image(_) => return,
        };
        if let TreeKind::Local(local) = &tree.kind {
            self.paths.add(local, path);
        }
    }

    /// Everything a vertex of the present instruction carries besides its op.
    fn metadata(&self, name: String, ignore_cache: bool) -> Metadata {
        let location = Location {
            file: self.setting.file_name.to_owned(),
            first_line: self.lines.first,
            last_line: self.lines.last,
        };
        Metadata { name, ignore_cache, description: BTreeMap::new(), locations: vec![location] }
    }

    fn report(&mut self, rule: Rule, text: impl Into<String>) {
        self.report.add(rule, text, self.lines, &self.comments);
    }

    /// The next step's name, the instruction's text with its variables shown.
    fn step_name(&self, state: &mut StageState, text: &str) -> String {
        let platform = state.platform.clone();
        state.namer.next(text, &platform, &state.environment, self.is_onbuild)
    }

    fn expander(&self) -> Expander {
        Expander::new(self.setting.file.escape)
    }

    /// A value of an instruction, expanded.
    fn expand(&mut self, state: &StageState, text: &str) -> Result<String, ExpandError> {
        self.expand_with(&self.expander(), state, text)
    }

    fn expand_with(&mut self, expander: &Expander, state: &StageState, text: &str) -> Result<String, ExpandError> {
        let expansion = expander.word(text, &state.environment)?;
        for name in &expansion.missing {
            if state.declares(name) || NO_ENVIRONMENT.contains(&name.as_str()) {
                continue;
            }
            self.report(Rule::UndefinedVar, rules::undefined_var::text(name, state.environment.names()));
        }
        Ok(expansion.text)
    }

    /// Counts bytes the graph or a config keeps.
    fn spend(&mut self, bytes: usize) -> Result<(), ErrorKind> {
        self.bytes_left = self.bytes_left.checked_sub(bytes as u64).ok_or(ErrorKind::GraphTooLarge)?;
        Ok(())
    }

    /// What the last stage became.
    fn finish(&mut self, target: StageState, name: String) -> PlatformImage {
        let mut config = target.image;
        for (key, value) in &self.setting.options.labels {
            config.config.labels.insert(key.clone(), value.clone());
        }
        let wanted = &self.plan.platform;
        if !self.plan.is_implicit {
            let is_same = wanted.os == config.os && wanted.architecture == config.architecture;
            config.os.clone_from(&wanted.os);
            config.architecture.clone_from(&wanted.architecture);
            if !wanted.variant.is_empty() || !is_same {
                config.variant.clone_from(&wanted.variant);
            }
            if !wanted.os_version.is_empty() || !is_same {
                config.os_version.clone_from(&wanted.os_version);
            }
            if !wanted.os_features.is_empty() {
                config.os_features.clone_from(&wanted.os_features);
            }
        }
        let platform = config.platform().unwrap_or_else(|| wanted.clone());
        config.os.clone_from(&platform.os);
        config.architecture.clone_from(&platform.architecture);
        config.variant.clone_from(&platform.variant);
        PlatformImage {
            platform,
            definition: self.graph.definition(target.edge),
            config,
            base_history_len: target.base_history_len,
            history_edges: target.history_edges,
            base: target.base,
            target: name,
        }
    }
}

/// The instruction's text, under the key BuildKit's frontend uses.
fn command_description(source: &str) -> BTreeMap<String, String> {
    if source.is_empty() {
        return BTreeMap::new();
    }
    BTreeMap::from([("com.docker.dockerfile.v1.command".to_owned(), source.to_owned())])
}
