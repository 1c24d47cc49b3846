//! In: what the performer answered. Out: the node's next state, and word to those who waited. Never: trust that an answer is still wanted.

use super::Scheduler;
use super::node::{Digesting, Kind, Need, NodeId, State, Todo, Waiter, Why};
use crate::digest::{CacheKey, ContentDigest, ContentKey};
use crate::event::{CauseId, Effect, Failure, Identity, RecordId, ResultId, VertexDigest};

impl Scheduler {
    pub(super) fn looked(&mut self, vertex: VertexDigest, found: Option<(RecordId, ContentKey)>) {
        let Some(id) = self.find(vertex) else { return };
        let State::LookingUp(kind) = self.nodes[id.at()].state else { return };
        match found {
            Some((record, identity)) => {
                self.nodes[id.at()].identity = Some(identity);
                self.set(id, State::Recorded(record, kind));
                self.wake_identity(id);
                self.todo.push_back(Todo::Advance(id));
            }
            None => self.missed(id, kind),
        }
    }

    /// There is no record, or it is of no use any more.
    fn missed(&mut self, id: NodeId, kind: Kind) {
        let node = &self.nodes[id.at()];
        if node.jobs == 0 || node.need == Need::Nothing {
            // Let go in the meantime. Whoever followed goes its own way, with inputs that are wanted.
            return self.reset(id);
        }
        match kind {
            Kind::Definition => self.begin_keying(id),
            Kind::Content => self.begin_gathering(id),
        }
    }

    pub(super) fn loaded(&mut self, vertex: VertexDigest, results: Option<Vec<ResultId>>) {
        let Some(id) = self.find(vertex) else { return };
        let State::Loading(kind) = self.nodes[id.at()].state else { return };
        let node = &mut self.nodes[id.at()];
        let Some(results) = results else {
            // What the record promised may be untrue now; whoever has used it asks again before it executes.
            node.identity = if node.identity_kind == Identity::Derived { node.content_key() } else { None };
            return self.missed(id, kind);
        };
        self.set(id, State::Done(results));
        if kind == Kind::Content {
            self.store_definition(id);
        }
        self.report_found(id);
        self.todo.push_back(Todo::Wake(id));
    }

    pub(super) fn digested(&mut self, vertex: VertexDigest, number: u32, digest: Result<ContentDigest, CauseId>) {
        let Some(id) = self.find(vertex) else { return };
        let Some(input) = self.nodes[id.at()].inputs.get(number as usize).copied() else { return };
        let Some(Digesting::Asked(waiters)) = self.digests.remove(&input.digest_key()) else { return };
        if let Ok(digest) = digest {
            self.digests.insert(input.digest_key(), Digesting::Known(digest));
        }
        for waiter in waiters {
            if !self.is_current(&waiter) {
                continue;
            }
            match (digest, waiter.why) {
                (Ok(_), _) => self.arrived(waiter.node),
                // What is an error for one op (COPY of a missing path) may be none for another: each asks for itself.
                (Err(_), Why::Digest(number)) if waiter.node != id => self.digest_input(waiter.node, number),
                (Err(cause), _) => self.fail(waiter.node, Failure::Vertex { vertex, cause }),
            }
        }
    }

    pub(super) fn executed(&mut self, vertex: VertexDigest, results: Vec<ResultId>, identity: Option<ContentKey>) {
        let Some(id) = self.find(vertex) else { return };
        if !self.nodes[id.at()].state.is_executing() {
            return;
        }
        let node = &mut self.nodes[id.at()];
        let derived = node.content_key();
        node.identity = match node.identity_kind {
            Identity::Derived => derived,
            Identity::Given => identity.or(derived),
            Identity::Volatile => None,
        };
        if let (Some(identity), Some((preimage, key))) = (node.identity, node.preimage.clone()) {
            let mut keys: Vec<CacheKey> = node.definition.map(CacheKey::Definition).into_iter().collect();
            if !node.inputs.is_empty() {
                keys.push(CacheKey::Content(key));
            }
            let (results, preimage) = (results.clone(), Some(preimage));
            self.effects.push(Effect::Store { vertex, keys, results, identity, preimage });
        }
        self.set(id, State::Done(results));
        self.report_ran(id);
        self.todo.push_back(Todo::Wake(id));
    }

    pub(super) fn failed(&mut self, vertex: VertexDigest, cause: CauseId) {
        let Some(id) = self.find(vertex) else { return };
        match self.nodes[id.at()].state {
            State::Executing => self.fail(id, Failure::Vertex { vertex, cause }),
            // It stopped because it was told to. If somebody wants it again, it begins anew.
            State::Cancelling => self.reset(id),
            _ => {}
        }
    }

    /// The result of a node of equal content key is the result of this one.
    pub(super) fn finish_like(&mut self, id: NodeId, owner: NodeId) {
        let owner = &self.nodes[owner.at()];
        let results = owner.results().expect("BUG: a node takes over a result that is not there").to_vec();
        let identity = owner.identity;
        self.nodes[id.at()].identity = identity;
        self.set(id, State::Done(results));
        self.store_definition(id);
        self.report_found(id);
        self.todo.push_back(Todo::Wake(id));
    }

    /// A result that was found by content is found by definition next time.
    fn store_definition(&mut self, id: NodeId) {
        let node = &self.nodes[id.at()];
        if let (Some(definition), Some(identity), Some(results)) = (node.definition, node.identity, node.results()) {
            let (vertex, results) = (node.digest, results.to_vec());
            let keys = vec![CacheKey::Definition(definition)];
            self.effects.push(Effect::Store { vertex, keys, results, identity, preimage: None });
        }
    }

    /// Tells those who wait for the identity.
    pub(super) fn wake_identity(&mut self, id: NodeId) {
        for waiter in std::mem::take(&mut self.nodes[id.at()].identity_waiters) {
            if !self.is_current(&waiter) {
                continue;
            }
            self.arrived(waiter.node);
            if let State::Keying { waiting: 1.., stalled: true } = self.nodes[waiter.node.at()].state {
                self.wait(waiter.node, id, Why::Early, Need::Result);
            }
        }
    }

    /// Tells those who wait for the result.
    pub(super) fn wake(&mut self, id: NodeId) {
        self.wake_identity(id);
        for waiter in std::mem::take(&mut self.nodes[id.at()].result_waiters) {
            if !self.is_current(&waiter) {
                continue;
            }
            match waiter.why {
                Why::Digest(number) => self.digest_input(waiter.node, number),
                Why::Follow => self.finish_like(waiter.node, id),
                Why::Identity | Why::Result => self.arrived(waiter.node),
                Why::Early => {}
            }
        }
        for (job, output) in std::mem::take(&mut self.nodes[id.at()].job_waiters) {
            let node = &self.nodes[id.at()];
            let result = node.results().and_then(|results| results.get(output as usize)).copied();
            let missing = Failure::NoSuchOutput { vertex: node.digest, output };
            self.finish_job(job, result.ok_or(missing));
        }
    }

    fn is_current(&self, waiter: &Waiter) -> bool {
        self.nodes[waiter.node.at()].epoch == waiter.epoch
    }

    /// Fails a node and all that wait for it, even for something they might have done without (see `stall_one`): a failure
    /// is shown at once, not after the hour another stage may take.
    pub(super) fn fail(&mut self, id: NodeId, failure: Failure) {
        let mut failed = Vec::new();
        let mut waiters = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next {
            if !self.nodes[id.at()].state.is_executing() {
                // Something below failed. A node of equal content key may have other inputs and go on.
                self.drop_claim(id);
            }
            self.set(id, State::Failed(failure));
            failed.push(id);
            let node = &mut self.nodes[id.at()];
            waiters.append(&mut node.identity_waiters);
            waiters.append(&mut node.result_waiters);
            for (job, _) in std::mem::take(&mut node.job_waiters) {
                self.finish_job(job, Err(failure));
            }
            next =
                std::iter::from_fn(|| waiters.pop()).find(|waiter| self.is_current(waiter)).map(|waiter| waiter.node);
        }
        for id in failed {
            let node = &self.nodes[id.at()];
            if node.jobs == 0 && matches!(node.state, State::Failed(_)) {
                self.reset(id);
            }
        }
    }
}
