//! In: what the solver wants done. Out: results, records, progress. Never: a decision of the solver's.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crossdock_content::{Lease, Link, Space, Store};
use crossdock_emulation::Host;
use crossdock_executor::Keeper;
use crossdock_image::{LayerId, Layers};
use crossdock_llb::{Op, SourceOp, Vertex};
use crossdock_oci::{Reference, Timestamp, VertexDigest};
use crossdock_progress::{Event, Progress};
use crossdock_registry::Client;
use crossdock_snapshot::tree::Tree;
use crossdock_solver::{
    CacheKey, Cancel, ContentDigest, ContentKey, Executed, Execution, Explanation, Found, Performer, Stored,
    content_selectors,
};
use serde::{Deserialize, Serialize};

use crate::BuildError;
use crate::base::{chain_of, register_layers};
use crate::engine::Engine;
use crate::fetch::{Fetcher, ShownAt};
use crate::flight::Flights;
use crate::locals::Locals;
use crate::mounts::{FreshCaches, Given};
use crate::resolve::Resolver;
use crate::result::{Output, StoredOutput};
use crate::selection::{Place, selected, source_missing};
use crate::trees::Trees;
use crate::unpack::Unpacker;

/// Performs the steps of one build.
pub struct Steps {
    pub(crate) store: Store,
    pub(crate) client: Client,
    pub(crate) lease: Lease,
    pub(crate) layers: Layers,
    pub(crate) keeper: Keeper,
    pub(crate) host: Arc<Host>,
    pub(crate) progress: Progress,
    pub(crate) resolver: Resolver,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) unpacker: Arc<Unpacker>,
    pub(crate) trees: Arc<Trees>,
    pub(crate) locals: Locals,
    pub(crate) cancel: crossdock_executor::Cancel,
    pub(crate) recipes: Flights,
    pub(crate) warned_of_one_id: AtomicBool,
    pub(crate) given: Given,
    pub(crate) fresh_caches: FreshCaches,
    /// The step that brought each base layer: downloads are shown under it.
    brought_by: Mutex<HashMap<LayerId, VertexDigest>>,
    /// When each running step began.
    began: Mutex<HashMap<VertexDigest, Timestamp>>,
    /// When what sources brought was made, in seconds since 1970.
    pub(crate) source_times: Mutex<HashMap<VertexDigest, i64>>,
    /// Sources that brought what was here before.
    unchanged: Mutex<HashSet<VertexDigest>>,
    /// What errors call the trees of sources.
    pub(crate) places: Mutex<HashMap<VertexDigest, Place>>,
    /// Keys of records that were used, to be marked at the end.
    used: Mutex<Vec<String>>,
}

/// A record as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct RecordRow {
    output: StoredOutput,
    /// The identity of the result, in hex.
    identity: String,
    /// The step's name when it ran, for people.
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

impl Steps {
    /// The performer of a build of this engine.
    pub(crate) fn new(engine: &Engine, lease: &Lease, progress: &Progress, locals: Locals, given: Given) -> Self {
        let (store, client) = (engine.store(), engine.client());
        let fetcher = Arc::new(Fetcher::new(store, client, lease));
        let unpacker = Arc::new(Unpacker::new(store, lease, &engine.keeper));
        let trees = Arc::new(Trees::new(store, lease, &engine.keeper, &fetcher, &unpacker, &engine.cancel));
        Self {
            store: store.clone(),
            client: client.clone(),
            lease: lease.clone(),
            layers: Layers::new(store),
            keeper: engine.keeper.clone(),
            host: engine.host(),
            progress: progress.clone(),
            resolver: Resolver::new(store, client, lease).asking_elsewhere(engine),
            fetcher,
            unpacker,
            trees,
            locals,
            cancel: engine.cancel.clone(),
            recipes: Flights::default(),
            warned_of_one_id: AtomicBool::new(false),
            given,
            fresh_caches: FreshCaches::default(),
            brought_by: Mutex::default(),
            began: Mutex::default(),
            source_times: Mutex::default(),
            unchanged: Mutex::default(),
            places: Mutex::default(),
            used: Mutex::default(),
        }
    }

    /// Where work on a layer is shown: under the step that brought it.
    pub(crate) fn shown_at(&self, layer: &LayerId) -> ShownAt {
        match locked(&self.brought_by).get(layer) {
            Some(vertex) => ShownAt { progress: self.progress.clone(), vertex: *vertex },
            None => ShownAt::nowhere(),
        }
    }

    /// The layers of an input; a directory of the user is none.
    pub(crate) fn layers_of(&self, inputs: &[Output], input: u32) -> Result<Arc<Vec<LayerId>>, BuildError> {
        match inputs.get(input as usize) {
            Some(Output::Layers(layers)) => Ok(Arc::clone(layers)),
            Some(Output::Local(tree)) => Ok(Arc::new(vec![self.materialise(tree)?])),
            None => Err(BuildError::BadSource {
                source_name: format!("input {input}"),
                reason: "the step has no such input",
            }),
        }
    }

    /// A result as a tree of files.
    pub(crate) fn tree_of(&self, output: &Output) -> Result<Arc<dyn Tree>, BuildError> {
        match output {
            Output::Local(tree) => Ok(Arc::clone(tree) as Arc<dyn Tree>),
            Output::Layers(layers) => self.trees.of(layers, &|layer| self.shown_at(layer)),
        }
    }

    /// Marks the records of this build as used.
    pub(crate) fn mark_used(&self) -> Result<(), BuildError> {
        let mut keys = std::mem::take(&mut *locked(&self.used));
        keys.sort_unstable();
        keys.dedup();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        Ok(self.store.touch(Space::Record, &keys)?)
    }

    /// Notes that a source brought what was here before: it is shown as cached.
    pub(crate) fn mark_unchanged(&self, vertex: &Vertex) {
        locked(&self.unchanged).insert(vertex.digest);
    }

    fn run_source(&self, vertex: &Vertex, source: &SourceOp, cancel: &Cancel) -> Result<Executed<Output>, BuildError> {
        let bad = |reason| BuildError::BadSource { source_name: source.identifier.clone(), reason };
        match source.identifier.split_once("://") {
            Some(("docker-image" | "oci-layout", name)) => self.run_image_source(vertex, source, name),
            Some(("local", name)) => {
                let tree = self.locals.open(name, source, &self.progress, vertex)?;
                Ok(Executed { results: vec![Output::Local(tree)], identity: None })
            }
            Some(("git", _)) => self.run_git_source(vertex, source, cancel),
            Some(("http" | "https", _)) => self.run_http_source(vertex, source, cancel),
            _ => Err(bad("this kind of source is not supported yet")),
        }
    }

    fn run_image_source(&self, vertex: &Vertex, source: &SourceOp, name: &str) -> Result<Executed<Output>, BuildError> {
        let bad = |reason| BuildError::BadSource { source_name: source.identifier.clone(), reason };
        let reference: Reference = name.parse().map_err(|_| bad("this is no image reference"))?;
        let platform = vertex.platform.as_ref().ok_or_else(|| bad("the step names no platform"))?;
        let line = crossdock_progress::Line::begin(&self.progress, vertex.digest, &format!("resolve {reference}"));
        let mode = crossdock_frontend::bridge::ResolveMode::Default;
        let target = self.resolver.target(&reference, mode)?;
        let image = self.resolver.choose(&reference, &target, platform)?;
        let ids = register_layers(&self.layers, &reference, &image, target.local)?;
        locked(&self.brought_by).extend(ids.iter().map(|id| (id.clone(), vertex.digest)));
        line.done();
        let identity = chain_of(&image).map(|chain| ContentKey::from_raw(*chain.as_bytes()));
        Ok(Executed { results: vec![Output::layers(ids)], identity })
    }

    fn run(&self, execution: &Execution<'_, Output>) -> Result<Executed<Output>, BuildError> {
        let (vertex, inputs) = (execution.vertex, execution.inputs);
        let output = match &vertex.op {
            Op::Source(source) => return self.run_source(vertex, source, execution.cancel),
            Op::File(op) => self.run_file(vertex, op, inputs)?,
            Op::Exec(op) => {
                // A step's end and the build's end both stop the process.
                let cancel = crossdock_executor::Cancel::new();
                let (step, build) = (cancel.clone(), cancel.clone());
                let _step = execution.cancel.on_cancel(move || step.cancel());
                if self.cancel.is_cancelled() {
                    build.cancel();
                }
                self.run_exec(vertex, op, inputs, &cancel)?
            }
            Op::Merge(op) => {
                let mut layers = Vec::new();
                for input in &op.inputs {
                    layers.extend(self.layers_of(inputs, *input)?.iter().cloned());
                }
                Output::layers(layers)
            }
            Op::Diff => return Err(BuildError::Unsupported { what: "the diff op".to_owned() }),
        };
        Ok(Executed { results: vec![output], identity: None })
    }

    fn digest_input(&self, vertex: &Vertex, input: usize, source: &Output) -> Result<ContentDigest, BuildError> {
        let tree = self.tree_of(source)?;
        let place = self.place_of(vertex, input);
        let mut digests = Vec::new();
        for selector in content_selectors(&vertex.op, vertex.inputs.len(), input) {
            let digest = selected(tree.as_ref(), &selector, place)
                .map_err(|error| source_missing(error, place, source, tree.as_ref()))?;
            digests.extend_from_slice(&digest.0);
        }
        let mut hasher = crossdock_oci::Hasher::new();
        hasher.update(&digests);
        Ok(ContentDigest::from_raw(hasher.finish_raw()))
    }

    fn announce(
        &self,
        vertex: &Vertex,
        started: Option<Timestamp>,
        completed: Option<Timestamp>,
        cached: bool,
        error: &str,
    ) {
        self.progress.emit(Event::Vertex(crossdock_progress::Vertex {
            digest: vertex.digest,
            inputs: vertex.inputs.iter().map(|input| input.vertex).collect(),
            name: vertex.metadata.name.clone(),
            started,
            completed,
            cached,
            error: error.to_owned(),
        }));
    }

    /// Notes the repository of an image source with the layers it brought.
    fn note_origin(&self, vertex: &Vertex, output: &StoredOutput) -> Result<(), BuildError> {
        let Op::Source(source) = &vertex.op else { return Ok(()) };
        let name = source.identifier.strip_prefix("docker-image://").and_then(|name| name.parse::<Reference>().ok());
        let Some(name) = name else { return Ok(()) };
        // Nobody but this store has what was built here.
        if self.resolver.is_local(&name) {
            return Ok(());
        }
        locked(&self.brought_by).extend(output.layers.iter().map(|id| (id.clone(), vertex.digest)));
        for id in &output.layers {
            let Some(row) = self.layers.get(id)? else { continue };
            self.layers.update(
                id,
                || row,
                |row| {
                    row.blobs
                        .iter_mut()
                        .filter(|blob| blob.method.is_none())
                        .for_each(|blob| blob.add_origin(&name.name()));
                },
            )?;
        }
        Ok(())
    }

    /// Whether every layer of a stored result can still be had.
    fn is_whole(&self, output: &StoredOutput) -> Result<bool, BuildError> {
        for (at, id) in output.layers.iter().enumerate() {
            let Some(row) = self.layers.get(id)? else { return Ok(false) };
            // A layer made here is whole when it is here: where it was pushed to may be gone tomorrow.
            let mut found = row.blobs.iter().any(|blob| blob.method.is_none() && !blob.origins.is_empty());
            for blob in &row.blobs {
                found = found || self.store.has(blob.digest)?;
            }
            if !found && self.unpacker.has(&output.layers[..=at])?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A lock whose holder may have panicked: the maps here are whole at any time.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Performer for Steps {
    type Result = Output;
    type Record = (String, StoredOutput);
    type Error = BuildError;

    fn lookup(&self, _vertex: &Vertex, key: CacheKey) -> Option<Found<Self::Record>> {
        let key = key.to_string();
        let row: RecordRow = serde_json::from_slice(&self.store.get(Space::Record, &key).ok()??).ok()?;
        let identity = row.identity.parse().ok()?;
        Some(Found { record: (key, row.output), identity })
    }

    fn load(&self, vertex: &Vertex, (key, output): Self::Record) -> Option<Vec<Output>> {
        // A record of an image leaves its name out: this build's own repository is where the layers are asked for first.
        if self.note_origin(vertex, &output).is_ok() && self.is_whole(&output).unwrap_or(false) {
            return Some(vec![Output::layers(output.layers)]);
        }
        // Whether it could be removed or not: without its layers it is no record.
        let _ = self.store.remove_row(Space::Record, &key);
        None
    }

    fn content_digest(
        &self,
        vertex: &Vertex,
        input: usize,
        source: &Output,
        _cancel: &Cancel,
    ) -> Result<ContentDigest, BuildError> {
        let digest = self.digest_input(vertex, input, source);
        if let Err(error) = &digest {
            // The step never starts: it is shown all the same, because it is the one that failed.
            let now = Timestamp::now();
            self.announce(vertex, Some(now), Some(now), false, &error.to_string());
        }
        digest
    }

    fn execute(&self, execution: Execution<'_, Output>) -> Result<Executed<Output>, BuildError> {
        let vertex = execution.vertex;
        let began = Timestamp::now();
        locked(&self.began).insert(vertex.digest, began);
        self.announce(vertex, Some(began), None, false, "");
        let outcome = self.run(&execution);
        let error = match &outcome {
            Ok(_) => String::new(),
            Err(error) if error.is_cancelled() => "context canceled".to_owned(),
            Err(error) => error.to_string(),
        };
        let unchanged = outcome.is_ok() && locked(&self.unchanged).contains(&vertex.digest);
        self.announce(vertex, Some(began), Some(Timestamp::now()), unchanged, &error);
        outcome
    }

    fn store(&self, vertex: &Vertex, stored: Stored<'_, Output>) {
        let Some(Output::Layers(layers)) = stored.results.first() else { return };
        let links: Vec<Link> = layers.iter().map(|id| Link::Row(Space::Layer, id.as_str().to_owned())).collect();
        let row = RecordRow {
            output: StoredOutput { layers: layers.as_ref().clone() },
            identity: stored.identity.to_string(),
            name: vertex.metadata.name.clone(),
            explanation: stored.preimage.map(|preimage| crossdock_solver::explain(vertex, preimage)),
        };
        let Ok(value) = serde_json::to_vec(&row) else { return };
        for key in stored.keys {
            // A record that cannot be kept costs the next build time, not this one its result.
            let _ = self.store.put_row(Space::Record, &key.to_string(), &value, &links);
        }
    }

    fn completed(&self, vertex: &Vertex, cached: bool, keys: &[CacheKey]) {
        locked(&self.used).extend(keys.iter().map(ToString::to_string));
        if cached {
            let now = Timestamp::now();
            self.announce(vertex, Some(now), Some(now), true, "");
        }
    }
}
