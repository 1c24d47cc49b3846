//! In: a toy graph and a scheduler's effects. Out: answers in a chosen order, counts of what was asked. Never: an effect that breaks the rules goes unseen.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;

use super::toy::{Files, Outside, ToyGraph};
use crate::digest::{CacheKey, ContentKey};
use crate::event::{CauseId, Edge, Effect, Event, Failure, JobId, RecordId, ResultId, SolveVertex, VertexDigest};
use crate::schedule::Scheduler;

/// A small seeded generator (splitmix64): the same seed gives the same history everywhere.
#[derive(Debug, Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// In which order answers come.
#[derive(Debug, Clone)]
pub(super) enum Order {
    First,
    Random(Dice),
}

#[derive(Debug, Clone)]
pub(super) struct ToyRecord {
    pub(super) results: Vec<Files>,
    pub(super) identity: ContentKey,
}

/// What survives a build.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) outside: Outside,
    pub(super) records: BTreeMap<CacheKey, ToyRecord>,
    /// Records whose files are gone: lookups find them, loads fail.
    pub(super) gone: HashSet<CacheKey>,
}

/// What was asked of the performer, by the names of the toy ops.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) executed: Vec<String>,
    pub(super) loaded: Vec<String>,
    pub(super) digested: Vec<String>,
    pub(super) lookups: usize,
    pub(super) completed: Vec<(String, bool)>,
    pub(super) cancelled: Vec<String>,
    pub(super) executing_at_once_max: usize,
    pub(super) steps: usize,
    pub(super) effects: usize,
}

impl Counts {
    /// Names of what ran, without sources, sorted.
    pub(super) fn ran(&self) -> Vec<&str> {
        let is_step = |name: &&str| !name.starts_with("local ") && !name.starts_with("image ");
        let mut names: Vec<&str> = self.executed.iter().map(String::as_str).filter(is_step).collect();
        names.sort_unstable();
        names
    }
}

/// A call of the performer that has not answered.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Lookup(VertexDigest, CacheKey),
    Load(VertexDigest, RecordId),
    Digest(VertexDigest, u32, ResultId),
    Execute(VertexDigest, Vec<ResultId>, Option<ContentKey>),
}

/// One process: a scheduler, its jobs, the answers it waits for.
pub(super) struct Build<'a> {
    pub(super) world: &'a mut World,
    pub(super) graph: &'a ToyGraph,
    pub(super) scheduler: Scheduler,
    pub(super) order: Order,
    pub(super) counts: Counts,
    pub(super) calls: Vec<Call>,
    pub(super) outcomes: HashMap<JobId, Result<Files, Failure>>,
    pub(super) causes: Vec<String>,
    /// Vertices whose execution must not be answered yet.
    pub(super) held: HashSet<VertexDigest>,
    limit: Option<NonZeroUsize>,
    results: Vec<Files>,
    records: Vec<(CacheKey, ToyRecord)>,
    open: HashSet<VertexDigest>,
    cancelled: HashSet<VertexDigest>,
    completed: HashSet<(VertexDigest, bool)>,
    /// Content keys that were executed, or are; `None` when a key may run twice for good reason.
    executed_keys: Option<HashSet<ContentKey>>,
    wanted: u64,
}

impl<'a> Build<'a> {
    pub(super) fn new(world: &'a mut World, graph: &'a ToyGraph) -> Self {
        Self::limited(world, graph, None)
    }

    pub(super) fn limited(world: &'a mut World, graph: &'a ToyGraph, limit: Option<NonZeroUsize>) -> Self {
        let is_plain = world.gone.is_empty() && graph.vertices.iter().all(|vertex| !vertex.solve.ignore_cache);
        Self {
            world,
            graph,
            scheduler: Scheduler::new(limit),
            order: Order::First,
            counts: Counts::default(),
            calls: Vec::new(),
            outcomes: HashMap::new(),
            causes: Vec::new(),
            held: HashSet::new(),
            limit,
            results: Vec::new(),
            records: Vec::new(),
            open: HashSet::new(),
            cancelled: HashSet::new(),
            completed: HashSet::new(),
            executed_keys: is_plain.then(HashSet::new),
            wanted: 0,
        }
    }

    /// Starts a job for an edge of the graph.
    pub(super) fn want(&mut self, goal: Edge) -> JobId {
        let vertices = self.graph.vertices.iter().map(|vertex| vertex.solve.clone()).collect();
        self.want_of(vertices, goal)
    }

    pub(super) fn want_of(&mut self, vertices: Vec<SolveVertex>, goal: Edge) -> JobId {
        let job = JobId(self.wanted);
        self.wanted += 1;
        self.step(Event::Want { job, vertices, goal });
        job
    }

    pub(super) fn cancel(&mut self, job: JobId) {
        self.step(Event::CancelJob { job });
    }

    /// Answers calls until none is left that may be answered.
    pub(super) fn run(&mut self) {
        while self.answer_one() {}
    }

    /// Answers until this vertex executes.
    pub(super) fn run_until_executing(&mut self, edge: Edge) {
        self.held.insert(edge.vertex);
        while !self.is_executing(edge) {
            assert!(self.answer_one(), "the vertex never executes");
        }
    }

    pub(super) fn is_executing(&self, edge: Edge) -> bool {
        self.calls.iter().any(|call| matches!(call, Call::Execute(vertex, ..) if *vertex == edge.vertex))
    }

    pub(super) fn release(&mut self, edge: Edge) {
        self.held.remove(&edge.vertex);
    }

    /// Answers one call, in the order of the build. `false` when there is none.
    pub(super) fn answer_one(&mut self) -> bool {
        let is_held = |call: &Call| matches!(call, Call::Execute(vertex, ..) if self.held.contains(vertex));
        let free: Vec<usize> = (0..self.calls.len()).filter(|at| !is_held(&self.calls[*at])).collect();
        if free.is_empty() {
            return false;
        }
        let at = match &mut self.order {
            Order::First => free[0],
            Order::Random(dice) => free[dice.below(free.len())],
        };
        let call = self.calls.remove(at);
        let event = self.answer(call);
        self.step(event);
        true
    }

    pub(super) fn outcome(&self, job: JobId) -> &Result<Files, Failure> {
        self.outcomes.get(&job).unwrap_or_else(|| panic!("job {job:?} never ends"))
    }

    fn name(&self, vertex: VertexDigest) -> String {
        self.graph.vertex(vertex).toy.name()
    }

    fn answer(&mut self, call: Call) -> Event {
        match call {
            Call::Lookup(vertex, key) => {
                self.close(vertex);
                let found = self.world.records.get(&key).cloned().map(|record| {
                    let identity = record.identity;
                    self.records.push((key, record));
                    (RecordId(self.records.len() as u64 - 1), identity)
                });
                Event::Looked { vertex, found }
            }
            Call::Load(vertex, record) => {
                self.close(vertex);
                let (key, record) = self.records[record.0 as usize].clone();
                let is_gone = self.world.gone.contains(&key);
                if is_gone {
                    self.world.records.remove(&key);
                    self.world.gone.remove(&key);
                }
                let results = (!is_gone).then(|| record.results.into_iter().map(|files| self.keep(files)).collect());
                Event::Loaded { vertex, results }
            }
            Call::Digest(vertex, input, result) => {
                let source = &self.results[result.0 as usize];
                let digest = self.graph.vertex(vertex).toy.content_digest(input as usize, source);
                Event::Digested { vertex, input, digest: digest.map_err(|message| self.cause(&message)) }
            }
            Call::Execute(vertex, inputs, key) => {
                let event = self.answer_execution(vertex, &inputs);
                if let (Event::Failed { .. }, Some(keys), Some(key)) = (&event, &mut self.executed_keys, key) {
                    keys.remove(&key);
                }
                event
            }
        }
    }

    fn answer_execution(&mut self, vertex: VertexDigest, inputs: &[ResultId]) -> Event {
        self.close(vertex);
        if self.cancelled.remove(&vertex) {
            return Event::Failed { vertex, cause: self.cause("cancelled") };
        }
        let toy = &self.graph.vertex(vertex).toy;
        let inputs: Vec<Files> = inputs.iter().map(|id| self.results[id.0 as usize].clone()).collect();
        match toy.run(&inputs, &self.world.outside) {
            Ok(results) => {
                let identity = toy.given_identity();
                let results = results.into_iter().map(|files| self.keep(files)).collect();
                Event::Executed { vertex, results, identity }
            }
            Err(message) => Event::Failed { vertex, cause: self.cause(&message) },
        }
    }

    fn cause(&mut self, message: &str) -> CauseId {
        self.causes.push(message.to_owned());
        CauseId(self.causes.len() as u64 - 1)
    }

    fn keep(&mut self, files: Files) -> ResultId {
        self.results.push(files);
        ResultId(self.results.len() as u64 - 1)
    }

    fn close(&mut self, vertex: VertexDigest) {
        assert!(self.open.remove(&vertex));
    }

    fn open(&mut self, vertex: VertexDigest) {
        assert!(self.open.insert(vertex), "two unanswered calls for {}", self.name(vertex));
    }

    fn step(&mut self, event: Event) {
        self.counts.steps += 1;
        for effect in self.scheduler.step(event) {
            self.counts.effects += 1;
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Lookup { vertex, key } => {
                self.open(vertex);
                self.counts.lookups += 1;
                self.calls.push(Call::Lookup(vertex, key));
            }
            Effect::Load { vertex, record } => {
                self.open(vertex);
                self.counts.loaded.push(self.name(vertex));
                self.calls.push(Call::Load(vertex, record));
            }
            Effect::Digest { vertex, input, result } => {
                self.counts.digested.push(self.name(vertex));
                self.calls.push(Call::Digest(vertex, input, result));
            }
            Effect::Execute { vertex, inputs, preimage } => {
                self.open(vertex);
                let toy = self.graph.vertex(vertex);
                assert_eq!(preimage.is_none(), toy.solve.key.identity == crate::event::Identity::Volatile);
                self.counts.executed.push(self.name(vertex));
                let key = preimage.map(|preimage| preimage.key());
                if let (Some(keys), Some(key)) = (&mut self.executed_keys, key) {
                    assert!(keys.insert(key), "{} executes a content key that was executed", toy.toy.name());
                }
                self.calls.push(Call::Execute(vertex, inputs, key));
                let executing = self.calls.iter().filter(|call| matches!(call, Call::Execute(..))).count();
                self.counts.executing_at_once_max = self.counts.executing_at_once_max.max(executing);
                assert!(self.limit.is_none_or(|limit| executing <= limit.get()), "more executions than allowed");
            }
            Effect::Store { vertex, keys, results, identity, preimage } => {
                assert!(!keys.is_empty(), "{} is stored nowhere", self.name(vertex));
                if let (Some(preimage), Some(CacheKey::Content(key))) = (preimage, keys.last()) {
                    assert_eq!(preimage.key(), *key);
                }
                let results = results.iter().map(|id| self.results[id.0 as usize].clone()).collect();
                let record = ToyRecord { results, identity };
                for key in keys {
                    self.world.gone.remove(&key);
                    self.world.records.insert(key, record.clone());
                }
            }
            Effect::Completed { vertex, cached, .. } => {
                assert!(self.completed.insert((vertex, cached)), "{} completed twice", self.name(vertex));
                assert!(!cached || !self.completed.contains(&(vertex, false)), "cached after it ran");
                self.counts.completed.push((self.name(vertex), cached));
            }
            Effect::Cancel { vertex } => {
                let edge = Edge { vertex, output: 0 };
                assert!(self.is_executing(edge), "{} is cancelled, but does not run", self.name(vertex));
                assert!(self.cancelled.insert(vertex), "{} is cancelled twice", self.name(vertex));
                self.counts.cancelled.push(self.name(vertex));
            }
            Effect::JobDone { job, outcome } => {
                let outcome = outcome.map(|id| self.results[id.0 as usize].clone());
                assert!(self.outcomes.insert(job, outcome).is_none(), "job {job:?} ends twice");
            }
        }
    }
}

/// One finished build.
pub(super) struct Built {
    pub(super) outcome: Result<Files, Failure>,
    pub(super) counts: Counts,
}

/// Builds one goal in a new process: what it gives, and what was asked.
pub(super) fn build(world: &mut World, graph: &ToyGraph, goal: Edge) -> Built {
    let mut build = Build::new(world, graph);
    let job = build.want(goal);
    build.run();
    let outcome = build.outcome(job).clone();
    if let Ok(files) = &outcome {
        assert_eq!(Ok(files), graph.fresh(goal, &build.world.outside).as_ref(), "cached differs from fresh");
    }
    Built { outcome, counts: build.counts }
}
