//! In: a build request. Out: the images, kept and carried out. Never: a step that is no vertex of the graph.
//!
//! The whole conversation: a lease, a performer, a solver, a bridge; the frontend makes one definition for each
//! platform; all of them are solved at once; then the results are exported.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crossdock_content::Lease;
use crossdock_exporter::OutputSpec;
use crossdock_frontend::options::Options;
use crossdock_frontend::outcome::{BuildOutcome, PlatformImage, SourceFile};
use crossdock_frontend::{Answer, Call, FrontendError};
use crossdock_image::Annotations;
use crossdock_llb::Definition;
use crossdock_oci::Reference;
use crossdock_progress::Progress;
use crossdock_solver::{OnCancel, Solver, SolverOptions};

use crate::architecture::ArchCheck;
use crate::bridge::{EngineBridge, solve_error};
use crate::export::{ExportRequest, ExportedImage, Finished};
use crate::locals::Locals;
use crate::mounts::Given;
use crate::perform::Steps;
use crate::result::Output;
use crate::sources::Upload;
use crate::{BuildError, Engine};

/// How often a build looks again at a context that changed while it was read.
const CHANGED_RETRIES: u32 = 2;

/// The directories of a build, and what else its client sends.
#[derive(Debug, Clone, Default)]
pub struct LocalContexts {
    /// What COPY and ADD read.
    pub context: PathBuf,
    /// Where the Dockerfile lies.
    pub dockerfile: PathBuf,
    /// Directories of `local://NAME`.
    pub named: BTreeMap<String, PathBuf>,
    /// OCI layouts of `oci-layout://NAME@digest`.
    pub layouts: BTreeMap<String, PathBuf>,
    /// Streams of [`Upload::url`], by name.
    pub uploads: BTreeMap<String, Upload>,
}

/// What to build, how, and where it goes.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    pub options: Options,
    pub contexts: LocalContexts,
    pub outputs: Vec<OutputSpec>,
    pub names: Vec<Reference>,
    pub annotations: Annotations,
    /// Secrets and ssh agents for steps that ask for them.
    pub given: Given,
    /// What is done about programs for another architecture.
    pub arch_check: ArchCheck,
    /// Stop after the graph is made.
    pub only_graph: bool,
}

/// What a build gave.
#[derive(Debug, Default)]
pub struct BuildReport {
    /// The image that was kept; `None` for cache-only builds and graphs.
    pub image: Option<ExportedImage>,
    /// The graphs, one for each platform, when only they were asked for.
    pub graphs: Vec<Definition>,
    pub outcome: Option<BuildOutcome>,
}

/// Why a build failed, with the Dockerfile when it was read.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct BuildFailure {
    pub source: BuildError,
    pub dockerfile: Option<SourceFile>,
}

impl From<BuildError> for BuildFailure {
    fn from(source: BuildError) -> Self {
        Self { source, dockerfile: None }
    }
}

/// One build from its request to its outputs.
#[derive(Debug)]
pub struct Build;

impl Build {
    /// Builds.
    ///
    /// # Errors
    /// The first failure; everything else of the build is stopped.
    pub fn run(engine: &Engine, request: &BuildRequest, progress: &Progress) -> Result<BuildReport, BuildFailure> {
        let mut tries = 0;
        loop {
            match Self::once(engine, request, progress) {
                // The bytes copied were not those the key was made of: look again, then give up (decision 4).
                Err(failure) if failure.source.is_source_changed() && tries < CHANGED_RETRIES => tries += 1,
                outcome => return outcome,
            }
        }
    }

    /// Answers a question about the Dockerfile of a request; `shown` is the file's name in texts. No step runs.
    ///
    /// # Errors
    /// When the Dockerfile cannot be read, or is wrong and the question was not what is wrong with it.
    pub fn call(
        engine: &Engine,
        request: &BuildRequest,
        call: Call,
        shown: &str,
        progress: &Progress,
    ) -> Result<Answer, BuildError> {
        let talk = Conversation::begin(engine, request, progress)?;
        crossdock_frontend::call(&talk.bridge, &request.options, call, shown).map_err(|error| refused(engine, error))
    }

    fn once(engine: &Engine, request: &BuildRequest, progress: &Progress) -> Result<BuildReport, BuildFailure> {
        // Bound in this order, so that the lease is dropped last.
        let Conversation { _lease, steps, _stop, bridge } = Conversation::begin(engine, request, progress)?;
        let outcome = crossdock_frontend::build(&bridge, &request.options).map_err(|error| refused(engine, error))?;
        if request.only_graph {
            let graphs = outcome.platforms.iter().map(|image| image.definition.clone()).collect();
            return Ok(BuildReport { image: None, graphs, outcome: Some(outcome) });
        }
        let dockerfile = outcome.dockerfile.clone();
        finish_build(engine, request, &steps, bridge, outcome)
            .map_err(|source| BuildFailure { source, dockerfile: Some(dockerfile) })
    }
}

/// What lives as long as a build, or a question about one, talks to the engine. Dropped in this order: the solver ends
/// before what its steps stand on.
struct Conversation {
    bridge: EngineBridge,
    _stop: OnCancel,
    steps: Arc<Steps>,
    _lease: Lease,
}

impl Conversation {
    fn begin(engine: &Engine, request: &BuildRequest, progress: &Progress) -> Result<Self, BuildError> {
        let lease = engine.store().lease()?;
        let locals = Locals::new(engine.store(), &request.contexts);
        let steps = Arc::new(Steps::new(engine, &lease, progress, locals, request.given.clone()));
        let solver = Solver::start(Arc::clone(&steps), SolverOptions { parallel_executions_max: None });
        let stop = engine.stop.on_cancel(solver.canceller());
        let bridge = EngineBridge::new(Arc::clone(&steps), solver);
        Ok(Self { bridge, _stop: stop, steps, _lease: lease })
    }
}

/// What the frontend says of a build nobody wants any more is not its own fault.
fn refused(engine: &Engine, error: FrontendError) -> BuildError {
    if engine.is_cancelled() { BuildError::Cancelled } else { BuildError::Frontend(Box::new(error)) }
}

/// Solves, exports and makes durable what the frontend asked for.
fn finish_build(
    engine: &Engine,
    request: &BuildRequest,
    steps: &Arc<Steps>,
    bridge: EngineBridge,
    outcome: BuildOutcome,
) -> Result<BuildReport, BuildError> {
    check_platforms(steps, &outcome)?;
    steps.note_places(&outcome);
    let finished = solve(&bridge, &outcome)?;
    let export = ExportRequest {
        outputs: request.outputs.clone(),
        names: request.names.clone(),
        annotations: request.annotations.clone(),
        epoch: outcome.source_date_epoch,
        force_index: outcome.multi_platform && request.options.platforms.len() <= 1,
        arch_check: request.arch_check,
    };
    let image = steps.export(&finished, &export)?;
    steps.mark_used()?;
    // Stores of records are still under way: the solver ends first, then what was made is made durable.
    let EngineBridge { solver, .. } = bridge;
    solver.close();
    engine.store().sync_snapshots()?;
    Ok(BuildReport { image, graphs: Vec::new(), outcome: Some(outcome) })
}

/// Says before the first step that a platform cannot be run here, when some step of it has to (decision 15).
fn check_platforms(steps: &Steps, outcome: &BuildOutcome) -> Result<(), BuildError> {
    for image in &outcome.platforms {
        for vertex in &image.definition.vertices {
            if let (crossdock_llb::Op::Exec(_), Some(platform)) = (&vertex.op, &vertex.platform) {
                crate::exec::emulator_of(&steps.host, platform)?;
            }
        }
    }
    Ok(())
}

/// Solves every platform at once.
fn solve(bridge: &EngineBridge, outcome: &BuildOutcome) -> Result<Vec<Finished>, BuildError> {
    let jobs: Vec<_> = outcome
        .platforms
        .iter()
        .map(|image| image.definition.result.map(|goal| bridge.solver.solve(&image.definition.vertices, goal)))
        .collect();
    let mut finished = Vec::with_capacity(jobs.len());
    let mut failure: Option<BuildError> = None;
    for (job, image) in jobs.into_iter().zip(&outcome.platforms) {
        let result = job.map_or_else(|| Ok(Output::layers(Vec::new())), |job| job.wait().map_err(solve_error));
        match result {
            Ok(output) => finished.push(finish(&bridge.steps, image, &output)?),
            Err(error) => {
                // The others end with it; the first one that is no mere cancellation is the cause.
                bridge.solver.cancel_all();
                if failure.as_ref().is_none_or(BuildError::is_cancelled) {
                    failure = Some(error);
                }
            }
        }
    }
    failure.map_or(Ok(finished), Err)
}

fn finish(steps: &Steps, image: &PlatformImage, output: &Output) -> Result<Finished, BuildError> {
    let layers = match output {
        Output::Layers(layers) => layers.as_ref().clone(),
        Output::Local(tree) => vec![steps.materialise(tree)?],
    };
    let inherited = image.config.history.iter().take(image.base_history_len).filter(|step| !step.empty_layer).count();
    Ok(Finished { platform: image.platform.clone(), config: image.config.clone(), layers, inherited })
}
