//! In: events. Out: effects. Never: blocking, recursion over the graph, an opinion about what an op does.
//!
//! Each vertex is a node with one state and one need. A need (its identity, or its result) is raised by jobs and by nodes above, and
//! the node moves until the need is met:
//!
//! ```text
//! Idle ─ definition key ─▶ LookingUp ─ found ─▶ Recorded ─ result needed ─▶ Loading ─▶ Done
//!   │                          │ missed                                       │ gone
//!   └─ no definition key ──────┴──▶ Keying: identities and file digests of the inputs ◀─┘
//!                                     │ content key known
//!                                     ├─ only the identity needed ─▶ Keyed
//!                                     ├─ an equal node is on its way ─▶ Following ─▶ Done
//!                                     └─▶ LookingUp (content) ─ found ─▶ Recorded, as above
//!                                            │ missed
//!                                            ▼
//!                           Gathering: results of all inputs ─▶ Queued ─▶ Executing ─▶ Done
//! ```
//!
//! Rules that keep this right:
//! - A result is asked for only to digest its files, to execute on it, or because it is a goal. Hence a fully cached build touches
//!   nothing below its goal, however deep it is.
//! - Just before executing, the content key is made again from what the inputs turned out to be. If it changed (a record
//!   that had promised an identity could not be loaded), the node looks under the new key first, so a result is
//!   never stored under a key that does not describe its inputs.
//! - `ignore_cache` passes upwards: to definition lookups through every input, to content lookups through inputs that count as a whole.
//!   Otherwise a step above would hit a record made from the old result.
//! - While the key of an input waits for an execution, the other inputs are made ready at the same time. With a record that costs
//!   a load; without one they would have to run anyway. Without this rule the stages of a cold build would run one after another.

mod advance;
mod answer;
mod graph;
mod jobs;
mod node;
mod report;

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;

use self::jobs::JobState;
use self::node::{DigestKey, Digesting, Node, NodeId, State, Todo};
use crate::digest::ContentKey;
use crate::event::{Effect, Event, JobId, VertexDigest};

/// Decides what is due. Equal vertices of all jobs are one node and run once.
#[derive(Debug, Default)]
pub struct Scheduler {
    nodes: Vec<Node>,
    by_digest: HashMap<VertexDigest, NodeId>,
    jobs: HashMap<JobId, JobState>,
    /// The node that looks up, executes or holds the result for a content key.
    claims: HashMap<ContentKey, NodeId>,
    digests: HashMap<DigestKey, Digesting>,
    /// Nodes to look at before the step ends.
    todo: VecDeque<Todo>,
    /// Nodes in state `Queued`, each with the epoch it had then.
    queue: VecDeque<(NodeId, u32)>,
    /// Nodes in state `Executing` or `Cancelling`: a view kept by `set`.
    executing: usize,
    executing_max: Option<NonZeroUsize>,
    effects: Vec<Effect>,
    /// Counts walks over the graph, so that each walk can mark what it has seen.
    walks: u64,
}

impl Scheduler {
    /// An empty graph. `parallel_executions_max` limits unanswered [`Effect::Execute`]s.
    pub fn new(parallel_executions_max: Option<NonZeroUsize>) -> Self {
        Self { executing_max: parallel_executions_max, ..Self::default() }
    }

    /// Takes one event and says what is due because of it, in the order it should be started. An answer nobody waits for
    /// is ignored.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Want { job, vertices, goal } => self.want(job, vertices, goal),
            Event::CancelJob { job } => self.cancel_job(job),
            Event::Looked { vertex, found } => self.looked(vertex, found),
            Event::Loaded { vertex, results } => self.loaded(vertex, results),
            Event::Digested { vertex, input, digest } => self.digested(vertex, input, digest),
            Event::Executed { vertex, results, identity } => self.executed(vertex, results, identity),
            Event::Failed { vertex, cause } => self.failed(vertex, cause),
        }
        while let Some(todo) = self.todo.pop_front() {
            match todo {
                Todo::Advance(id) => self.advance(id),
                Todo::Wake(id) => self.wake(id),
            }
        }
        self.dispatch();
        std::mem::take(&mut self.effects)
    }

    /// The only place where a state changes. Every change ends the validity of what waits on behalf of the old state.
    fn set(&mut self, id: NodeId, state: State) {
        let node = &mut self.nodes[id.at()];
        let old = std::mem::replace(&mut node.state, state);
        node.epoch += 1;
        self.executing -= usize::from(old.is_executing());
        self.executing += usize::from(node.state.is_executing());
        if let State::Following(owner) = node.state {
            self.nodes[owner.at()].followers += 1;
        }
        if let State::Following(owner) = old {
            self.nodes[owner.at()].followers -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
