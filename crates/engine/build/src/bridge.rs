//! In: the frontend's questions. Out: the engine's answers. Never: another way for a frontend to reach the engine.

use std::io::Read;
use std::sync::{Arc, Mutex};

use crossdock_frontend::bridge::{
    Bridge, BridgeError, DirEntry, FileKind, FileStat, ImageRequest, RefId, ResolvedImage, Warning,
};
use crossdock_llb::Definition;
use crossdock_oci::Platform;
use crossdock_progress::{Event, Progress};
use crossdock_snapshot::entry::EntryKind;
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::tree::{EmptyTree, Node, Tree, TreeError, resolve};
use crossdock_solver::{SolveError, Solver};

use crate::BuildError;
use crate::error::StepFailure;
use crate::perform::{Steps, locked};
use crate::result::Output;

/// The engine's side of the conversation with a frontend.
pub struct EngineBridge {
    pub(crate) steps: Arc<Steps>,
    pub(crate) solver: Solver<Steps>,
    refs: Mutex<Vec<Definition>>,
    progress: Progress,
}

impl EngineBridge {
    /// A bridge over the performer of a build.
    pub fn new(steps: Arc<Steps>, solver: Solver<Steps>) -> Self {
        let progress = steps.progress.clone();
        Self { steps, solver, refs: Mutex::default(), progress }
    }

    /// The result of a definition; `None` for an empty tree.
    ///
    /// # Errors
    /// The first step that failed.
    pub fn run(&self, definition: &Definition) -> Result<Output, BuildError> {
        let Some(goal) = definition.result else { return Ok(Output::layers(Vec::new())) };
        self.solver.solve(&definition.vertices, goal).wait().map_err(solve_error)
    }

    fn tree(&self, result: RefId) -> Result<Arc<dyn Tree>, BridgeError> {
        let definition = locked(&self.refs).get(result.0 as usize).cloned();
        let Some(definition) = definition else { return Ok(Arc::new(EmptyTree)) };
        let output = self.run(&definition)?;
        Ok(self.steps.tree_of(&output)?)
    }

    fn found(&self, result: RefId, path: &str) -> Result<(Arc<dyn Tree>, Node), BridgeError> {
        let tree = self.tree(result)?;
        let missing = || BridgeError::NoSuchFile { path: path.to_owned() };
        let rooted = RootedPath::parse(path).map_err(|_| missing())?;
        let node = resolve(tree.as_ref(), &rooted).map_err(engine)?.node.ok_or_else(missing)?;
        Ok((tree, node))
    }
}

/// Errors of the solver with the step they belong to.
pub(crate) fn solve_error(error: SolveError<BuildError>) -> BuildError {
    match error {
        SolveError::Vertex { vertex, source } => BuildError::Step(Box::new(StepFailure {
            vertex: vertex.digest,
            name: vertex.metadata.name.clone(),
            platform: vertex.platform.clone(),
            locations: vertex.metadata.locations.clone(),
            source: BuildError::Shared(source),
        })),
        SolveError::Cancelled => BuildError::Cancelled,
        other => BuildError::Solver { text: other.to_string() },
    }
}

fn engine(error: impl std::error::Error + Send + Sync + 'static) -> BridgeError {
    BridgeError::Engine(Box::new(error))
}

fn missing_or_engine(path: &str, error: TreeError) -> BridgeError {
    match error {
        TreeError::NotFound { .. } => BridgeError::NoSuchFile { path: path.to_owned() },
        other => engine(other),
    }
}

impl Bridge for EngineBridge {
    fn build_platform(&self) -> Platform {
        self.steps.host.platform().clone()
    }

    fn resolve_image(&self, request: &ImageRequest) -> Result<ResolvedImage, BridgeError> {
        let step = self.progress.step(&request.log_name);
        let admitted = match &request.layout {
            Some(layout) => self.steps.admit_layout(layout, &request.reference, &request.platform),
            None => Ok(()),
        };
        let resolver = &self.steps.resolver;
        match admitted.and_then(|()| resolver.resolve(&request.reference, &request.platform, request.mode)) {
            Ok((image, stale)) => {
                if let Some(reason) = stale {
                    step.warn(&format!(
                        "StaleBaseImage: {} could not be resolved anew, its last known digest is used: {reason}",
                        request.reference.familiar()
                    ));
                }
                step.done();
                Ok(image)
            }
            Err(error) => {
                step.failed(&error.to_string());
                Err(error.into())
            }
        }
    }

    fn solve(&self, definition: &Definition) -> Result<RefId, BridgeError> {
        let mut refs = locked(&self.refs);
        refs.push(definition.clone());
        Ok(RefId(refs.len() as u64 - 1))
    }

    fn read_file(&self, result: RefId, path: &str, max_bytes: u64) -> Result<Vec<u8>, BridgeError> {
        let (tree, node) = self.found(result, path)?;
        let size_bytes = node.entry.size_bytes();
        if size_bytes > max_bytes {
            return Err(BridgeError::FileTooLarge { path: path.to_owned(), size_bytes, max_bytes });
        }
        let mut bytes = Vec::new();
        let file = tree.open(&node.entry.path).map_err(|error| missing_or_engine(path, error))?;
        file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(engine)?;
        Ok(bytes)
    }

    fn read_head(&self, result: RefId, path: &str, length: u64) -> Result<Vec<u8>, BridgeError> {
        let (tree, node) = self.found(result, path)?;
        let mut bytes = Vec::new();
        let file = tree.open(&node.entry.path).map_err(|error| missing_or_engine(path, error))?;
        file.take(length).read_to_end(&mut bytes).map_err(engine)?;
        Ok(bytes)
    }

    fn read_dir(&self, result: RefId, path: &str) -> Result<Vec<DirEntry>, BridgeError> {
        let (tree, node) = self.found(result, path)?;
        let nodes = tree.read_dir(&node.entry.path).map_err(|error| missing_or_engine(path, error))?;
        let named = |node: &Node| DirEntry {
            name: String::from_utf8_lossy(node.entry.path.file_name().unwrap_or_default()).into_owned(),
            stat: stat_of(node),
        };
        Ok(nodes.iter().map(named).collect())
    }

    fn stat(&self, result: RefId, path: &str) -> Result<FileStat, BridgeError> {
        let tree = self.tree(result)?;
        let missing = || BridgeError::NoSuchFile { path: path.to_owned() };
        let rooted = RootedPath::parse(path).map_err(|_| missing())?;
        let parent = rooted.parent().unwrap_or_else(RootedPath::root);
        let parent = resolve(tree.as_ref(), &parent).map_err(engine)?.path;
        let place = match rooted.file_name() {
            Some(name) => parent.join(name).map_err(|_| missing())?,
            None => parent,
        };
        tree.lookup(&place).map_err(engine)?.map(|node| stat_of(&node)).ok_or_else(missing)
    }

    fn source_time(&self, result: RefId) -> Result<Option<i64>, BridgeError> {
        self.evaluate(result)?;
        let definition = locked(&self.refs).get(result.0 as usize).cloned();
        let edge = definition.and_then(|definition| definition.result);
        Ok(edge.and_then(|edge| locked(&self.steps.source_times).get(&edge.vertex).copied()))
    }

    fn evaluate(&self, result: RefId) -> Result<(), BridgeError> {
        let definition = locked(&self.refs).get(result.0 as usize).cloned();
        if let Some(definition) = definition {
            self.run(&definition)?;
        }
        Ok(())
    }

    fn warn(&self, warning: Warning) {
        let short = warning.short();
        self.progress.emit(Event::Warning(crossdock_progress::Warning {
            vertex: warning.vertex,
            level: 1,
            short,
            detail: if warning.detail.is_empty() { Vec::new() } else { vec![warning.detail] },
            url: warning.url,
        }));
    }
}

fn stat_of(node: &Node) -> FileStat {
    let (kind, link_target) = match &node.entry.kind {
        EntryKind::File { .. } => (FileKind::File, String::new()),
        EntryKind::Dir => (FileKind::Directory, String::new()),
        EntryKind::Symlink { target } => (FileKind::Symlink, String::from_utf8_lossy(target).into_owned()),
        _ => (FileKind::Other, String::new()),
    };
    FileStat { kind, mode: node.entry.mode, size_bytes: node.entry.size_bytes(), link_target }
}
