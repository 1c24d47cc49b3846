//! In: messages from jobs and workers. Out: calls of the performer, answers to jobs. Never: waiting for anything but messages.

use std::any::Any;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use crossdock_llb::{Edge, Vertex};

use super::pool::Pool;
use super::{Cancel, Executed, Execution, Found, Outcome, Performer, SolveError, SolverOptions, Stored};
use crate::digest::{CacheKey, ContentDigest, ContentKey};
use crate::event::{CauseId, Effect, Event, Failure, JobId, RecordId, ResultId, SolveVertex, VertexDigest};
use crate::key::key_info;
use crate::preimage::ContentPreimage;
use crate::schedule::Scheduler;

/// Threads for lookups, loads and stores: calls of well under a millisecond that end in one database.
const QUICK_THREADS_MAX: usize = 4;

/// What the scheduler's thread is told.
pub(super) enum Message<P: Performer> {
    Want { id: JobId, vertices: Vec<Arc<Vertex>>, goal: Edge, answer: Sender<Outcome<P>> },
    Cancel(JobId),
    CancelAll,
    Close,
    Looked(VertexDigest, Option<Found<P::Record>>),
    Loaded(VertexDigest, Option<Vec<P::Result>>),
    Digested(VertexDigest, u32, Result<ContentDigest, Cause<P::Error>>),
    Executed(VertexDigest, Result<Executed<P::Result>, Cause<P::Error>>),
    Stored,
}

/// Why a call of the performer brought nothing.
pub(super) enum Cause<E> {
    Error(Arc<E>),
    Panicked(String),
}

/// The scheduler with the values behind its numbers.
pub(super) struct Performing<P: Performer> {
    performer: Arc<P>,
    scheduler: Scheduler,
    messages: Sender<Message<P>>,
    vertices: HashMap<VertexDigest, Arc<Vertex>>,
    jobs: HashMap<JobId, Sender<Outcome<P>>>,
    results: Vec<P::Result>,
    records: HashMap<RecordId, P::Record>,
    next_record: u64,
    causes: Vec<Cause<P::Error>>,
    executing: HashMap<VertexDigest, Cancel>,
    /// Set when the solver closes: nobody waits for digests any more.
    digesting: Cancel,
    /// Calls of the performer that have not returned.
    pending: usize,
    quick: Pool,
    digests: Pool,
    executions: Pool,
}

impl<P: Performer> Performing<P> {
    pub(super) fn new(performer: Arc<P>, options: SolverOptions, messages: Sender<Message<P>>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            performer,
            scheduler: Scheduler::new(options.parallel_executions_max),
            messages,
            vertices: HashMap::new(),
            jobs: HashMap::new(),
            results: Vec::new(),
            records: HashMap::new(),
            next_record: 0,
            causes: Vec::new(),
            executing: HashMap::new(),
            digesting: Cancel::new(),
            pending: 0,
            quick: Pool::new(QUICK_THREADS_MAX),
            digests: Pool::new(processors),
            executions: Pool::new(usize::MAX),
        }
    }

    /// Serves until the solver closes and every call has returned.
    pub(super) fn run(mut self, inbox: &Receiver<Message<P>>) {
        let mut closing = false;
        while !(closing && self.pending == 0) {
            let Ok(message) = inbox.recv() else { return };
            match message {
                Message::Close => {
                    closing = true;
                    self.digesting.cancel();
                    self.cancel_all();
                }
                Message::CancelAll => self.cancel_all(),
                Message::Stored => self.pending -= 1,
                message => {
                    let event = self.event(message);
                    self.step(event);
                }
            }
        }
    }

    fn cancel_all(&mut self) {
        let mut jobs: Vec<JobId> = self.jobs.keys().copied().collect();
        jobs.sort_unstable();
        for job in jobs {
            self.step(Some(Event::CancelJob { job }));
        }
    }

    fn step(&mut self, event: Option<Event>) {
        let Some(event) = event else { return };
        for effect in self.scheduler.step(event) {
            self.perform(effect);
        }
    }

    /// Turns values into numbers.
    fn event(&mut self, message: Message<P>) -> Option<Event> {
        Some(match message {
            Message::Want { id, vertices, goal, answer } => {
                self.jobs.insert(id, answer);
                let vertices = vertices.into_iter().map(|vertex| self.add_vertex(vertex)).collect();
                Event::Want { job: id, vertices, goal }
            }
            Message::Cancel(job) => Event::CancelJob { job },
            Message::Looked(vertex, found) => {
                self.pending -= 1;
                Event::Looked { vertex, found: found.map(|found| (self.add_record(found.record), found.identity)) }
            }
            Message::Loaded(vertex, results) => {
                self.pending -= 1;
                Event::Loaded { vertex, results: results.map(|results| self.add_results(results)) }
            }
            Message::Digested(vertex, input, digest) => {
                self.pending -= 1;
                Event::Digested { vertex, input, digest: digest.map_err(|cause| self.add_cause(cause)) }
            }
            Message::Executed(vertex, outcome) => {
                self.pending -= 1;
                self.executing.remove(&vertex);
                match outcome {
                    Ok(executed) => {
                        let results = self.add_results(executed.results);
                        Event::Executed { vertex, results, identity: executed.identity }
                    }
                    Err(cause) => Event::Failed { vertex, cause: self.add_cause(cause) },
                }
            }
            Message::CancelAll | Message::Close | Message::Stored => return None,
        })
    }

    fn add_vertex(&mut self, vertex: Arc<Vertex>) -> SolveVertex {
        let solve = SolveVertex {
            digest: vertex.digest,
            inputs: vertex.inputs.clone(),
            ignore_cache: vertex.metadata.ignore_cache,
            key: key_info(&vertex),
        };
        self.vertices.entry(vertex.digest).or_insert(vertex);
        solve
    }

    fn add_record(&mut self, record: P::Record) -> RecordId {
        let id = RecordId(self.next_record);
        self.next_record += 1;
        self.records.insert(id, record);
        id
    }

    fn add_results(&mut self, results: Vec<P::Result>) -> Vec<ResultId> {
        let first = self.results.len() as u64;
        self.results.extend(results);
        (first..self.results.len() as u64).map(ResultId).collect()
    }

    fn add_cause(&mut self, cause: Cause<P::Error>) -> CauseId {
        self.causes.push(cause);
        CauseId(self.causes.len() as u64 - 1)
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Lookup { vertex, key } => self.lookup(vertex, key),
            Effect::Load { vertex, record } => self.load(vertex, record),
            Effect::Digest { vertex, input, result } => self.digest(vertex, input, result),
            Effect::Execute { vertex, inputs, preimage } => self.execute(vertex, &inputs, preimage),
            Effect::Store { vertex, keys, results, identity, preimage } => {
                self.store(vertex, keys, &results, identity, preimage);
            }
            Effect::Completed { vertex, cached, keys } => {
                self.performer.completed(&self.vertex(vertex), cached, &keys);
            }
            Effect::Cancel { vertex } => {
                if let Some(cancel) = self.executing.get(&vertex) {
                    cancel.cancel();
                }
            }
            Effect::JobDone { job, outcome } => {
                let outcome = outcome.map(|id| self.result(id)).map_err(|failure| self.error(failure));
                if let Some(answer) = self.jobs.remove(&job) {
                    // Nobody waits when the job was dropped.
                    let _ = answer.send(outcome);
                }
            }
        }
    }

    fn lookup(&mut self, digest: VertexDigest, key: CacheKey) {
        let (performer, vertex, messages) = self.call(digest);
        self.quick.run(move || {
            let found = caught(|| performer.lookup(&vertex, key)).unwrap_or(None);
            let _ = messages.send(Message::Looked(digest, found));
        });
    }

    fn load(&mut self, digest: VertexDigest, record: RecordId) {
        let record = self.records.remove(&record).expect("a record is loaded once, after it was found");
        let (performer, vertex, messages) = self.call(digest);
        self.quick.run(move || {
            let results = caught(|| performer.load(&vertex, record)).unwrap_or(None);
            let _ = messages.send(Message::Loaded(digest, results));
        });
    }

    fn digest(&mut self, digest: VertexDigest, input: u32, source: ResultId) {
        let source = self.result(source);
        let cancel = self.digesting.clone();
        let (performer, vertex, messages) = self.call(digest);
        self.digests.run(move || {
            let outcome = work(|| performer.content_digest(&vertex, input as usize, &source, &cancel));
            let _ = messages.send(Message::Digested(digest, input, outcome));
        });
    }

    fn execute(&mut self, digest: VertexDigest, inputs: &[ResultId], preimage: Option<ContentPreimage>) {
        let inputs: Vec<P::Result> = inputs.iter().map(|id| self.result(*id)).collect();
        let cancel = Cancel::new();
        self.executing.insert(digest, cancel.clone());
        let (performer, vertex, messages) = self.call(digest);
        self.executions.run(move || {
            let outcome = work(|| {
                let preimage = preimage.as_ref();
                performer.execute(Execution { vertex: &vertex, inputs: &inputs, preimage, cancel: &cancel })
            });
            let _ = messages.send(Message::Executed(digest, outcome));
        });
    }

    fn store(
        &mut self,
        digest: VertexDigest,
        keys: Vec<CacheKey>,
        results: &[ResultId],
        identity: ContentKey,
        preimage: Option<ContentPreimage>,
    ) {
        let results: Vec<P::Result> = results.iter().map(|id| self.result(*id)).collect();
        let (performer, vertex, messages) = self.call(digest);
        self.quick.run(move || {
            let stored = Stored { keys: &keys, results: &results, identity, preimage: preimage.as_ref() };
            let _ = caught(|| performer.store(&vertex, stored));
            let _ = messages.send(Message::Stored);
        });
    }

    /// What every call takes along; counts it as pending.
    fn call(&mut self, vertex: VertexDigest) -> (Arc<P>, Arc<Vertex>, Sender<Message<P>>) {
        self.pending += 1;
        (Arc::clone(&self.performer), self.vertex(vertex), self.messages.clone())
    }

    fn vertex(&self, digest: VertexDigest) -> Arc<Vertex> {
        Arc::clone(self.vertices.get(&digest).expect("the scheduler knows only vertices that came through add_vertex"))
    }

    fn result(&self, id: ResultId) -> P::Result {
        self.results.get(id.0 as usize).expect("the scheduler knows only results that came through add_results").clone()
    }

    fn error(&self, failure: Failure) -> SolveError<P::Error> {
        match failure {
            Failure::Vertex { vertex, cause } => {
                let vertex = self.vertex(vertex);
                match self.causes.get(cause.0 as usize).expect("every cause came through add_cause") {
                    Cause::Error(source) => SolveError::Vertex { vertex, source: Arc::clone(source) },
                    Cause::Panicked(message) => SolveError::Panicked { vertex, message: message.clone() },
                }
            }
            Failure::NoSuchOutput { vertex, output } => {
                SolveError::NoSuchOutput { vertex: self.vertex(vertex), output }
            }
            Failure::Invalid(reason) => SolveError::Invalid(reason),
            Failure::Cancelled => SolveError::Cancelled,
        }
    }
}

/// Runs one call of the performer. A panic becomes its message: an answer must come, or the job would wait for ever.
fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| panic_message(panic.as_ref()))
}

fn work<T, E>(call: impl FnOnce() -> Result<T, E>) -> Result<T, Cause<E>> {
    match caught(call) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Cause::Error(Arc::new(error))),
        Err(message) => Err(Cause::Panicked(message)),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic without a message".to_owned())
}
