//! In: jobs that begin and end. Out: which nodes somebody still wants; the others stop. Never: stopping what another job needs.

use super::Scheduler;
use super::node::{Need, NodeId, State, Todo, Why};
use crate::event::{Edge, Effect, Failure, JobId, ResultId, SolveVertex};

/// What is kept of a job while it runs.
#[derive(Debug)]
pub(super) struct JobState {
    /// Every node the goal needs.
    members: Vec<NodeId>,
}

impl Scheduler {
    pub(super) fn want(&mut self, job: JobId, vertices: Vec<SolveVertex>, goal: Edge) {
        let node = match self.add(vertices, goal) {
            Ok(node) => node,
            Err(reason) => {
                self.effects.push(Effect::JobDone { job, outcome: Err(reason.into()) });
                return;
            }
        };
        let members = self.closure(node);
        for member in &members {
            self.nodes[member.at()].jobs += 1;
        }
        let previous = self.jobs.insert(job, JobState { members });
        debug_assert!(previous.is_none(), "BUG: job {job:?} was wanted twice");
        self.nodes[node.at()].job_waiters.push((job, goal.output));
        match self.nodes[node.at()].state {
            State::Done(_) => self.todo.push_back(Todo::Wake(node)),
            State::Failed(failure) => self.fail(node, failure),
            _ => self.raise(node, Need::Result),
        }
    }

    pub(super) fn cancel_job(&mut self, job: JobId) {
        self.finish_job(job, Err(Failure::Cancelled));
    }

    /// Ends a job, once, and lets go of what only it wanted.
    pub(super) fn finish_job(&mut self, job: JobId, outcome: Result<ResultId, Failure>) {
        let Some(state) = self.jobs.remove(&job) else { return };
        self.effects.push(Effect::JobDone { job, outcome });
        for member in &state.members {
            self.nodes[member.at()].jobs -= 1;
        }
        for member in state.members {
            self.let_go(member);
        }
    }

    /// Stops a node that no job wants. Short calls run out and their answers are kept; an execution that another node follows
    /// goes on for it.
    fn let_go(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.at()];
        let on_its_own = matches!(
            node.state,
            State::LookingUp(_) | State::Recorded(..) | State::Loading(_) | State::Queued | State::Executing
        );
        if node.jobs > 0 || (node.followers > 0 && on_its_own) {
            return;
        }
        node.need = Need::Nothing;
        match node.state {
            State::Idle
            | State::LookingUp(_)
            | State::Loading(_)
            | State::Keyed
            | State::Recorded(..)
            | State::Cancelling
            | State::Done(_) => {}
            State::Keying { .. } | State::Gathering { .. } | State::Queued | State::Failed(_) => self.reset(id),
            State::Following(owner) => {
                self.reset(id);
                self.let_go(owner);
            }
            State::Executing => {
                let vertex = node.digest;
                self.set(id, State::Cancelling);
                self.effects.push(Effect::Cancel { vertex });
            }
        }
    }

    /// Back to the beginning. Nodes that followed go their own way.
    pub(super) fn reset(&mut self, id: NodeId) {
        self.set(id, State::Idle);
        self.drop_claim(id);
        let node = &mut self.nodes[id.at()];
        if node.jobs == 0 {
            node.need = Need::Nothing;
        }
        if node.need > Need::Nothing {
            self.todo.push_back(Todo::Advance(id));
        }
    }

    /// Gives up the claim on a content key. Nodes that followed claim it for themselves.
    pub(super) fn drop_claim(&mut self, id: NodeId) {
        let Some(key) = self.nodes[id.at()].content_key() else { return };
        if self.claims.get(&key) != Some(&id) {
            return;
        }
        self.claims.remove(&key);
        let waiters = std::mem::take(&mut self.nodes[id.at()].result_waiters);
        for waiter in waiters {
            if !matches!(waiter.why, Why::Follow) {
                self.nodes[id.at()].result_waiters.push(waiter);
            } else if self.nodes[waiter.node.at()].epoch == waiter.epoch {
                self.set(waiter.node, State::Keyed);
                self.todo.push_back(Todo::Advance(waiter.node));
            }
        }
    }
}
