//! In: jobs from any thread, a performer. Out: their results. Never: a decision; the scheduler makes them all.
//!
//! One thread owns the scheduler. Every effect becomes a call of the [`Performer`] on a worker thread, every return value an event.
//! Short calls (lookup, load, store) share a few threads, digests share as many as there are processors, and each execution
//! has a thread of its own, because a step may run for hours.

mod cancel;
mod performing;
mod pool;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossdock_llb::{Edge, Vertex};

pub use self::cancel::{Cancel, OnCancel};
use self::performing::{Message, Performing};
use crate::digest::{CacheKey, ContentDigest, ContentKey};
use crate::event::{InvalidGraph, JobId};
use crate::preimage::ContentPreimage;

/// A record that stands under a key.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// Whatever [`Performer::load`] needs to make results of it.
    pub record: T,
    /// The identity [`Stored`] came with.
    pub identity: ContentKey,
}

/// One execution of a vertex.
#[derive(Debug)]
pub struct Execution<'a, R> {
    pub vertex: &'a Vertex,
    /// One for each input of the vertex, already the output it asks for.
    pub inputs: &'a [R],
    /// What the content key was made of, for [`crate::explain`]; `None` for local sources.
    pub preimage: Option<&'a ContentPreimage>,
    pub cancel: &'a Cancel,
}

/// What an execution gives.
#[derive(Debug, Clone)]
pub struct Executed<R> {
    /// One for each output of the vertex, by number.
    pub results: Vec<R>,
    /// For image sources: the chain id of the layers as a key, so that equal layers hit whatever their name is.
    /// Otherwise `None`.
    pub identity: Option<ContentKey>,
}

/// A result to keep.
#[derive(Debug)]
pub struct Stored<'a, R> {
    /// All keys the record stands under. A record that is there already is replaced.
    pub keys: &'a [CacheKey],
    pub results: &'a [R],
    /// Goes into the record and comes back in [`Found`].
    pub identity: ContentKey,
    /// `None` when the result came from an equal vertex, or was found under another key.
    pub preimage: Option<&'a ContentPreimage>,
}

/// Does the work. Every method but `completed` may block; all are called from many threads at a time.
pub trait Performer: Send + Sync + 'static {
    /// The value of one output.
    type Result: Clone + Send + Sync + 'static;
    /// What a lookup found.
    type Record: Send + 'static;
    /// Why an execution or a digest failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The record under this key. Trouble with the store is a miss.
    fn lookup(&self, vertex: &Vertex, key: CacheKey) -> Option<Found<Self::Record>>;

    /// Makes one result for each output from a record. `None` (files gone) counts as a miss; the record should be removed.
    fn load(&self, vertex: &Vertex, record: Self::Record) -> Option<Vec<Self::Result>>;

    /// The digest of the files of `source` that [`crate::content_selectors`] lists for input number `input` of `vertex`.
    ///
    /// # Errors
    /// When files cannot be read or a path is missing: the vertex fails.
    fn content_digest(
        &self,
        vertex: &Vertex,
        input: usize,
        source: &Self::Result,
        cancel: &Cancel,
    ) -> Result<ContentDigest, Self::Error>;

    /// Does what the op says.
    ///
    /// # Errors
    /// The vertex fails, and every job that needs it.
    fn execute(&self, execution: Execution<'_, Self::Result>) -> Result<Executed<Self::Result>, Self::Error>;

    /// Keeps a result. Trouble with the store is the performer's to report; the build goes on.
    fn store(&self, vertex: &Vertex, stored: Stored<'_, Self::Result>);

    /// The vertex is done: see [`crate::Effect::Completed`]. Called on the scheduler's thread: must not block.
    fn completed(&self, vertex: &Vertex, cached: bool, keys: &[CacheKey]);
}

/// Why a job has no result.
#[derive(Debug, thiserror::Error)]
pub enum SolveError<E: std::error::Error + 'static> {
    /// This vertex failed first.
    #[error("{}", vertex.metadata.name)]
    Vertex { vertex: Arc<Vertex>, source: Arc<E> },
    /// A bug: the performer panicked while it worked on this vertex.
    #[error("internal error in step {:?}: {message}", vertex.metadata.name)]
    Panicked { vertex: Arc<Vertex>, message: String },
    /// Somebody asked for an output the vertex does not have.
    #[error("step {:?} has no output {output}", vertex.metadata.name)]
    NoSuchOutput { vertex: Arc<Vertex>, output: u32 },
    #[error("the build graph cannot be solved")]
    Invalid(#[from] InvalidGraph),
    #[error("context canceled")]
    Cancelled,
}

/// How much may happen at a time.
#[derive(Debug, Clone, Copy)]
pub struct SolverOptions {
    /// Executions at a time; `None`: as many as the graph allows.
    pub parallel_executions_max: Option<NonZeroUsize>,
}

/// A scheduler with the threads that work for it. Dropping it cancels what is still wanted and waits for every call of the
/// performer, stores included.
#[derive(Debug)]
pub struct Solver<P: Performer> {
    messages: Sender<Message<P>>,
    next_job: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl<P: Performer> Solver<P> {
    /// Starts the scheduler's thread.
    pub fn start(performer: Arc<P>, options: SolverOptions) -> Self {
        let (messages, inbox) = channel();
        let performing = Performing::new(performer, options, messages.clone());
        let thread = std::thread::spawn(move || performing.run(&inbox));
        Self { messages, next_job: AtomicU64::new(0), thread: Some(thread) }
    }

    /// Asks for one output of one vertex. Does not wait. `vertices` holds, inputs first, everything `goal` needs that no
    /// earlier call brought.
    pub fn solve(&self, vertices: &[Vertex], goal: Edge) -> Job<P> {
        let id = JobId(self.next_job.fetch_add(1, Ordering::Relaxed));
        let (answer, outcome) = channel();
        let vertices = vertices.iter().cloned().map(Arc::new).collect();
        // When the thread is gone, `answer` is dropped with the message and the job reports it.
        let _ = self.messages.send(Message::Want { id, vertices, goal, answer });
        Job { id, messages: self.messages.clone(), outcome: Mutex::new(outcome) }
    }

    /// Cancels every job.
    pub fn cancel_all(&self) {
        let _ = self.messages.send(Message::CancelAll);
    }

    /// A handle that does what [`Solver::cancel_all`] does, for whoever hears of the user's wish to stop.
    pub fn canceller(&self) -> impl Fn() + Send + use<P> {
        let messages = self.messages.clone();
        move || {
            let _ = messages.send(Message::CancelAll);
        }
    }

    /// Cancels what is still wanted and waits until every call of the performer has returned, stores included.
    pub fn close(self) {
        drop(self);
    }
}

impl<P: Performer> Drop for Solver<P> {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A request under way. Dropping it does not cancel it.
#[derive(Debug)]
pub struct Job<P: Performer> {
    id: JobId,
    messages: Sender<Message<P>>,
    outcome: Mutex<Receiver<Outcome<P>>>,
}

type Outcome<P> = Result<<P as Performer>::Result, SolveError<<P as Performer>::Error>>;

impl<P: Performer> Job<P> {
    /// Waits for the result.
    ///
    /// # Errors
    /// The first failure of what the job needs, or [`SolveError::Cancelled`] when somebody cancelled it or closed the solver.
    pub fn wait(self) -> Outcome<P> {
        let outcome = self.outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcome.recv().unwrap_or(Err(SolveError::Cancelled))
    }

    /// Gives up; `wait` then returns [`SolveError::Cancelled`] unless the result is there already.
    pub fn cancel(&self) {
        let _ = self.messages.send(Message::Cancel(self.id));
    }
}

#[cfg(test)]
mod tests;
