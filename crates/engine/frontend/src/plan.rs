//! In: a parsed Dockerfile, options, one target platform. Out: what each stage stands on and takes from, and which stages are needed. Never: an image resolved, a vertex made.

mod from;
mod source;

use crossdock_dockerfile::{Dockerfile, Instruction, LineRange, parse_trigger};
use crossdock_oci::{Platform, Reference, ReferenceError};

use crate::arguments;
use crate::environment::Environment;
use crate::error::{ErrorKind, Fault};
use crate::named::{self, ContextImage, Named, NamedTree, TreeKind};
use crate::options::Options;
use crate::report::Report;

/// An image as a Dockerfile names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageName {
    pub(crate) written: String,
    /// With tag `latest` where nothing is said.
    pub(crate) reference: Reference,
    /// The instruction that names it.
    pub(crate) lines: LineRange,
    /// It stands in for the name in the file.
    pub(crate) context: Option<ContextImage>,
}

/// What a stage stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    Scratch,
    Stage(usize),
    Image(ImageName),
    /// A named context.
    Tree(NamedTree),
}

/// Where COPY or a mount takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Context,
    Scratch,
    Stage(usize),
    Image(ImageName),
    /// A named context.
    Tree(NamedTree),
}

/// An instruction with its sources resolved to stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) instruction: Instruction,
    /// Of a COPY its only one; of a RUN one for each mount.
    pub(crate) sources: Vec<Source>,
    /// It comes from the base's triggers.
    pub(crate) is_onbuild: bool,
}

/// A stage for one target platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedStage {
    pub(crate) base: Base,
    /// `--platform`; `None` is the target's.
    pub(crate) platform: Option<Platform>,
    /// How its steps are labelled; empty where the file has one stage.
    pub(crate) label: String,
    pub(crate) steps: Vec<Step>,
    /// A named context stands in for all of it.
    pub(crate) is_replaced: bool,
    has_triggers: bool,
}

/// The stages of a build for one platform.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Where nothing was asked for: the build platform.
    pub(crate) platform: Platform,
    /// No platform was asked for, so the base image's counts.
    pub(crate) is_implicit: bool,
    /// Automatic and global arguments.
    pub(crate) scope: Environment,
    pub(crate) stages: Vec<PlannedStage>,
    pub(crate) target: usize,
    /// By stage.
    pub(crate) is_needed: Vec<bool>,
    needs_all: bool,
}

impl Plan {
    /// Plans all stages.
    pub(crate) fn new(
        file: &Dockerfile,
        options: &Options,
        build: &Platform,
        target: Option<&Platform>,
        report: &mut Report,
    ) -> Result<Self, Fault> {
        let target_stage = file.target(options.target.as_deref())?;
        let platform = target.unwrap_or(build).clone();
        let stage_name = options.target.as_deref().or(file.stages[target_stage].name.as_deref());
        let automatic = arguments::automatic(build, &platform, stage_name, &options.build_args);
        from::check_default_args(file, &automatic, report);
        let scope = arguments::add_global(automatic, file, &options.build_args)?;
        let names = Names { options, platform: &platform };
        let mut stages: Vec<PlannedStage> = Vec::with_capacity(file.stages.len());
        for index in 0..file.stages.len() {
            stages.push(from::plan_from(file, index, &names, &scope, build, report)?);
        }
        let mut is_alone = stages.len() == 1;
        for (index, stage) in file.stages.iter().enumerate() {
            for instruction in &stage.instructions {
                let at = |kind| Fault::at(kind, instruction.lines);
                let (sources, adds_states) = source::sources_of(instruction, file, &names).map_err(at)?;
                is_alone &= !adds_states;
                if stages[index].is_replaced {
                    continue;
                }
                stages[index].steps.push(Step { instruction: instruction.clone(), sources, is_onbuild: false });
            }
        }
        if is_alone {
            stages[0].label.clear();
        }
        let mut plan = Self {
            platform,
            is_implicit: target.is_none(),
            scope,
            stages,
            target: target_stage,
            is_needed: Vec::new(),
            needs_all: false,
        };
        source::check_circles(&plan.stages, file)?;
        plan.mark_needed();
        Ok(plan)
    }

    /// The images the needed stages name, with the platforms they are needed for.
    pub(crate) fn images(&self) -> Vec<(ImageName, Platform)> {
        let needed = self.stages.iter().zip(&self.is_needed).filter(|(_, needed)| **needed).map(|(stage, _)| stage);
        let mut out = Vec::new();
        for stage in needed {
            if let Base::Image(name) = &stage.base {
                out.push((name.clone(), self.platform_of(stage)));
            }
            for source in stage.steps.iter().flat_map(|step| &step.sources) {
                if let Source::Image(name) = source {
                    out.push((name.clone(), self.platform.clone()));
                }
            }
        }
        out
    }

    /// The directories of the client's that the needed stages name: name of the context, and of the source.
    pub(crate) fn directories(&self) -> Vec<(String, String)> {
        let needed = self.stages.iter().zip(&self.is_needed).filter(|(_, needed)| **needed).map(|(stage, _)| stage);
        let trees = needed.flat_map(|stage| {
            let base = if let Base::Tree(tree) = &stage.base { Some(tree) } else { None };
            let sources = stage.steps.iter().flat_map(|step| &step.sources);
            let sources = sources.filter_map(|source| if let Source::Tree(tree) = source { Some(tree) } else { None });
            base.into_iter().chain(sources)
        });
        trees
            .filter_map(|tree| match &tree.kind {
                TreeKind::Local(local) => Some((tree.name.clone(), local.clone())),
                TreeKind::Remote(_) => None,
            })
            .collect()
    }

    /// The platform a stage on an image is resolved for.
    pub(crate) fn platform_of(&self, stage: &PlannedStage) -> Platform {
        stage.platform.as_ref().unwrap_or(&self.platform).clone()
    }

    /// Puts the triggers of each needed stage's base in front of its steps. `triggers_of` knows those of an image.
    pub(crate) fn add_triggers(
        &mut self,
        file: &Dockerfile,
        options: &Options,
        triggers_of: &dyn Fn(&ImageName, &Platform) -> Option<Vec<String>>,
    ) -> Result<(), Fault> {
        for index in 0..self.stages.len() {
            if !self.is_needed[index] || self.stages[index].has_triggers {
                continue;
            }
            let triggers = match &self.stages[index].base {
                Base::Scratch | Base::Tree(_) => Some(Vec::new()),
                Base::Stage(base) => Some(self.stages[*base].onbuild_of_file()),
                Base::Image(name) => triggers_of(name, &self.platform_of(&self.stages[index])),
            };
            let Some(triggers) = triggers else { continue };
            let lines = file.stages[index].lines;
            let mut steps = Vec::with_capacity(triggers.len());
            for trigger in &triggers {
                let instruction = parse_trigger(trigger, lines).map_err(|error| {
                    Fault::at(ErrorKind::Trigger { trigger: trigger.clone(), reason: Box::new(error.kind) }, lines)
                })?;
                let names = Names { options, platform: &self.platform };
                let sources = source::sources_of(&instruction, file, &names).map_err(|kind| Fault::at(kind, lines))?.0;
                steps.push(Step { instruction, sources, is_onbuild: true });
            }
            let stage = &mut self.stages[index];
            stage.has_triggers = true;
            steps.append(&mut stage.steps);
            stage.steps = steps;
        }
        source::check_circles(&self.stages, file)?;
        self.mark_needed();
        Ok(())
    }

    /// Every stage counts, whether the target needs it or not: a check that names no target looks at the whole file.
    pub(crate) fn need_all(&mut self) {
        self.needs_all = true;
        self.mark_needed();
    }

    /// Marks the target and whatever it needs.
    fn mark_needed(&mut self) {
        let mut needed = vec![self.needs_all; self.stages.len()];
        let mut todo = vec![self.target];
        while let Some(index) = todo.pop() {
            if std::mem::replace(&mut needed[index], true) {
                continue;
            }
            if let Base::Stage(base) = self.stages[index].base {
                todo.push(base);
            }
            todo.extend(self.stages[index].stages_taken_from());
        }
        self.is_needed = needed;
    }
}

impl PlannedStage {
    /// Stages that COPY and mounts take from.
    pub(crate) fn stages_taken_from(&self) -> impl Iterator<Item = usize> {
        self.steps.iter().flat_map(|step| &step.sources).filter_map(|source| match source {
            Source::Stage(index) => Some(*index),
            _ => None,
        })
    }

    /// Triggers the stage's own lines leave for stages on it.
    fn onbuild_of_file(&self) -> Vec<String> {
        self.steps
            .iter()
            .filter_map(|step| match &step.instruction.command {
                crossdock_dockerfile::Command::Onbuild(onbuild) => Some(onbuild.trigger.clone()),
                _ => None,
            })
            .collect()
    }
}

/// What names in the file may mean besides stages.
#[derive(Clone, Copy)]
struct Names<'a> {
    options: &'a Options,
    platform: &'a Platform,
}

impl Names<'_> {
    /// The named context that stands in for a name.
    fn find(&self, name: &str, platform: Option<&Platform>, lines: LineRange) -> Result<Option<Named>, ErrorKind> {
        named::find(self.options, name, platform.unwrap_or(self.platform), lines)
    }
}

/// Reads an image name.
pub(crate) fn image_name(written: &str, lines: LineRange) -> Result<ImageName, ErrorKind> {
    let reference: Reference = written
        .parse()
        .map_err(|error: ReferenceError| ErrorKind::BaseReference { name: written.to_owned(), reason: error.reason })?;
    Ok(ImageName { written: written.to_owned(), reference: reference.tagged_or_latest(), lines, context: None })
}
