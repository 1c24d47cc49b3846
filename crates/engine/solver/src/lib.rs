//! In: a graph of vertices and what a performer answers. Out: which lookup, load, digest, execution or store is due next. Never: a container, a file, a clock; a thread outside `drive`.
//!
//! The solver decides, others work (docs/design/architecture.md, decision 5). It never learns what an op does: a
//! vertex is a digest, its inputs and the facts that make its keys. It never prints, never reads the state directory and
//! never decides how a result is stored; results, records and causes of failure are numbers the performer gave out.
//!
//! - [`schedule`] knows who waits for whom: a pure state machine, `step(Event) -> Vec<Effect>`.
//! - [`key`] knows which facts of an op make it the same as another one, and can say why two differ.
//! - [`drive`] performs the effects of a scheduler on threads through the trait [`Performer`].

pub mod digest;
pub mod drive;
pub mod event;
pub mod key;
pub mod preimage;
pub mod schedule;
pub mod sink;

pub use digest::{CacheKey, ContentDigest, ContentKey, DefinitionKey, OpDigest, SelectorDigest};
pub use drive::{
    Cancel, Executed, Execution, Found, Job, OnCancel, Performer, SolveError, Solver, SolverOptions, Stored,
};
pub use event::{
    CauseId, Edge, Effect, Event, Failure, Identity, InputKey, InvalidGraph, JobId, KeyInfo, RecordId, ResultId,
    SolveVertex, VertexDigest,
};
pub use key::{ContentSelector, content_selectors, explain, key_info};
pub use preimage::{ContentPreimage, InputPart};
pub use schedule::Scheduler;
pub use sink::{Difference, Explanation, KeySink};
