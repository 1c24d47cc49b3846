//! In: a node whose need was raised or whose wait is over. Out: its next state and what that state asks of others. Never: an answer; those are in `answer.rs`.

use super::Scheduler;
use super::node::{Digesting, Input, Kind, Need, NodeId, State, Todo, Waiter, Why};
use crate::digest::CacheKey;
use crate::event::{Effect, Failure, Identity, ResultId};
use crate::preimage::{ContentPreimage, InputPart};

impl Scheduler {
    /// Moves a node as far as it goes without an answer.
    pub(super) fn advance(&mut self, id: NodeId) {
        let node = &self.nodes[id.at()];
        match node.state {
            State::Idle if node.need > Need::Nothing => self.begin(id),
            State::Keying { waiting: 0, .. } if node.inputs.iter().all(|input| self.has_part(input)) => self.keyed(id),
            // A record that had promised an identity turned out to be gone.
            State::Keying { waiting: 0, .. } => self.begin_keying(id),
            State::Keyed if node.need == Need::Result => self.claim(id),
            State::Recorded(record, kind) if node.need == Need::Result => {
                let vertex = node.digest;
                self.set(id, State::Loading(kind));
                self.effects.push(Effect::Load { vertex, record });
            }
            State::Gathering { waiting: 0 } => self.gathered(id),
            _ => {}
        }
    }

    /// Asks for more of a node.
    pub(super) fn raise(&mut self, id: NodeId, need: Need) {
        let node = &mut self.nodes[id.at()];
        if node.need < need {
            node.need = need;
            self.todo.push_back(Todo::Advance(id));
        }
    }

    fn begin(&mut self, id: NodeId) {
        let node = &self.nodes[id.at()];
        match node.definition {
            Some(key) if !node.refreshed => self.look_up(id, Kind::Definition, CacheKey::Definition(key)),
            _ => self.begin_keying(id),
        }
    }

    fn look_up(&mut self, id: NodeId, kind: Kind, key: CacheKey) {
        self.set(id, State::LookingUp(kind));
        self.effects.push(Effect::Lookup { vertex: self.nodes[id.at()].digest, key });
    }

    /// Asks each input for its part of the content key. A volatile vertex has none: it executes.
    pub(super) fn begin_keying(&mut self, id: NodeId) {
        if self.nodes[id.at()].is_volatile() {
            return self.begin_gathering(id);
        }
        self.set(id, State::Keying { waiting: 0, stalled: false });
        let epoch = self.nodes[id.at()].epoch;
        let mut stalled = false;
        for at in 0..self.nodes[id.at()].inputs.len() {
            let input = self.nodes[id.at()].inputs[at];
            if self.has_part(&input) {
                continue;
            }
            self.add_waiting(id);
            let number = u32::try_from(at).expect("a vertex has fewer than 2^32 inputs");
            match self.nodes[input.node.at()].state {
                State::Failed(failure) => return self.fail(id, failure),
                State::Done(_) => self.digest_input(id, number),
                _ if input.by_content => self.wait(id, input.node, Why::Digest(number), Need::Result),
                _ => self.wait(id, input.node, Why::Identity, Need::Identity),
            }
            // A missing output was found.
            if self.nodes[id.at()].epoch != epoch {
                return;
            }
            stalled |= self.is_delayed(input.node);
        }
        if let State::Keying { waiting: 0, .. } = self.nodes[id.at()].state {
            self.keyed(id);
        } else if stalled {
            self.stall_one(id);
            self.stall_above(id);
        }
    }

    fn has_part(&self, input: &Input) -> bool {
        if input.by_content {
            matches!(self.digests.get(&input.digest_key()), Some(Digesting::Known(_)))
        } else {
            self.nodes[input.node.at()].identity.is_some()
        }
    }

    pub(super) fn wait(&mut self, id: NodeId, input: NodeId, why: Why, need: Need) {
        let waiter = Waiter { node: id, epoch: self.nodes[id.at()].epoch, why };
        let below = &mut self.nodes[input.at()];
        match why {
            Why::Identity => below.identity_waiters.push(waiter),
            Why::Digest(_) | Why::Early | Why::Result | Why::Follow => below.result_waiters.push(waiter),
        }
        self.raise(input, need);
    }

    fn add_waiting(&mut self, id: NodeId) {
        if let State::Keying { waiting, .. } | State::Gathering { waiting } = &mut self.nodes[id.at()].state {
            *waiting += 1;
        }
    }

    /// One thing a node waited for has come.
    pub(super) fn arrived(&mut self, id: NodeId) {
        if let State::Keying { waiting, .. } | State::Gathering { waiting } = &mut self.nodes[id.at()].state {
            *waiting -= 1;
            if *waiting == 0 {
                self.todo.push_back(Todo::Advance(id));
            }
        }
    }

    /// Asks for the digest of an input that is done; equal questions share one answer.
    pub(super) fn digest_input(&mut self, id: NodeId, number: u32) {
        let input = self.nodes[id.at()].inputs[number as usize];
        let result = match self.output(&input) {
            Ok(result) => result,
            Err(failure) => return self.fail(id, failure),
        };
        let waiter = Waiter { node: id, epoch: self.nodes[id.at()].epoch, why: Why::Digest(number) };
        match self.digests.get_mut(&input.digest_key()) {
            Some(Digesting::Known(_)) => self.arrived(id),
            Some(Digesting::Asked(waiters)) => waiters.push(waiter),
            None => {
                self.digests.insert(input.digest_key(), Digesting::Asked(vec![waiter]));
                self.effects.push(Effect::Digest { vertex: self.nodes[id.at()].digest, input: number, result });
            }
        }
    }

    /// The result of an input that is done.
    pub(super) fn output(&self, input: &Input) -> Result<ResultId, Failure> {
        let below = &self.nodes[input.node.at()];
        let result = below.results().and_then(|results| results.get(input.output as usize));
        result.copied().ok_or(Failure::NoSuchOutput { vertex: below.digest, output: input.output })
    }

    /// All parts of the content key are there.
    fn keyed(&mut self, id: NodeId) {
        self.make_key(id);
        self.set(id, State::Keyed);
        let node = &self.nodes[id.at()];
        if node.need == Need::Result || node.identity_kind == Identity::Given {
            self.claim(id);
        }
    }

    /// Makes the content key from what the inputs are now. Says whether it is another one than before.
    fn make_key(&mut self, id: NodeId) -> bool {
        let node = &self.nodes[id.at()];
        let part = |input: &Input| {
            if input.by_content {
                match self.digests.get(&input.digest_key()) {
                    Some(Digesting::Known(digest)) => InputPart::Files(*digest),
                    _ => unreachable!("BUG: a key is made before a digest of its inputs is known"),
                }
            } else {
                let key = self.nodes[input.node.at()].identity;
                let key = key.expect("BUG: a key is made before the identity of an input is known");
                InputPart::Identity { key, output: input.output, selector: input.selector }
            }
        };
        let preimage = ContentPreimage { op: node.op, inputs: node.inputs.iter().map(part).collect() };
        let key = preimage.key();
        if node.content_key() == Some(key) {
            // A record that went away may have promised another identity.
            self.derive_identity(id);
            return false;
        }
        self.drop_claim(id);
        self.nodes[id.at()].preimage = Some((preimage, key));
        self.derive_identity(id);
        true
    }

    fn derive_identity(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.at()];
        if node.identity_kind == Identity::Derived {
            node.identity = node.content_key();
            self.wake_identity(id);
        }
    }

    /// Makes this node the one that finds or makes the result for its content key, or follows the one that does.
    fn claim(&mut self, id: NodeId) {
        let node = &self.nodes[id.at()];
        let key = node.content_key().expect("BUG: a node without a content key claims one");
        match self.claims.get(&key).copied() {
            Some(owner) if owner != id => {
                let other = &self.nodes[owner.at()];
                if !node.ignored || other.ignored {
                    return self.follow(id, owner);
                }
                // This node must not use what the owner may find in the cache, so it works on its own.
            }
            Some(_) => {}
            None => {
                self.claims.insert(key, id);
            }
        }
        let node = &self.nodes[id.at()];
        // Without inputs the content key says no more than the definition key, which has been looked up.
        if node.ignored || node.inputs.is_empty() {
            self.begin_gathering(id);
        } else {
            self.look_up(id, Kind::Content, CacheKey::Content(key));
        }
    }

    fn follow(&mut self, id: NodeId, owner: NodeId) {
        match self.nodes[owner.at()].state {
            State::Done(_) => self.finish_like(id, owner),
            State::Failed(failure) => self.fail(id, failure),
            _ => {
                self.set(id, State::Following(owner));
                self.wait(id, owner, Why::Follow, Need::Result);
                if self.is_delayed(owner) {
                    self.stall_above(id);
                }
            }
        }
    }

    /// Nothing was found: asks all inputs for their results.
    pub(super) fn begin_gathering(&mut self, id: NodeId) {
        self.set(id, State::Gathering { waiting: 0 });
        for at in 0..self.nodes[id.at()].inputs.len() {
            let input = self.nodes[id.at()].inputs[at].node;
            match self.nodes[input.at()].state {
                State::Done(_) => {}
                State::Failed(failure) => return self.fail(id, failure),
                _ => {
                    self.add_waiting(id);
                    self.wait(id, input, Why::Result, Need::Result);
                }
            }
        }
        self.stall_above(id);
        if let State::Gathering { waiting: 0 } = self.nodes[id.at()].state {
            self.gathered(id);
        }
    }

    /// All inputs have results: queues the execution, unless the content key turns out to be another one.
    fn gathered(&mut self, id: NodeId) {
        for at in 0..self.nodes[id.at()].inputs.len() {
            let input = self.nodes[id.at()].inputs[at];
            if let Err(failure) = self.output(&input) {
                return self.fail(id, failure);
            }
        }
        if !self.nodes[id.at()].is_volatile() && self.make_key(id) {
            self.set(id, State::Keyed);
            return self.claim(id);
        }
        self.set(id, State::Queued);
        self.queue.push_back((id, self.nodes[id.at()].epoch));
    }

    /// Starts queued executions as far as the limit allows.
    pub(super) fn dispatch(&mut self) {
        while self.executing_max.is_none_or(|max| self.executing < max.get()) {
            let Some((id, epoch)) = self.queue.pop_front() else { return };
            let node = &self.nodes[id.at()];
            if node.epoch != epoch {
                continue;
            }
            let inputs = node.inputs.iter().map(|input| self.output(input)).collect::<Result<Vec<_>, _>>();
            let inputs = inputs.expect("BUG: a result of an input went away after it was gathered");
            let preimage = node.preimage.as_ref().map(|(preimage, _)| preimage.clone());
            let vertex = node.digest;
            self.set(id, State::Executing);
            self.effects.push(Effect::Execute { vertex, inputs, preimage });
        }
    }

    /// Whether what is asked of this node waits for an execution. Sources do not count: they answer soon.
    fn is_delayed(&self, id: NodeId) -> bool {
        let node = &self.nodes[id.at()];
        match node.state {
            State::Keying { stalled, .. } => stalled,
            State::Gathering { .. } | State::Queued | State::Executing | State::Cancelling => node.is_step(),
            State::Following(owner) => {
                let owner = &self.nodes[owner.at()];
                matches!(owner.state, State::Gathering { .. } | State::Queued | State::Executing | State::Cancelling)
                    && owner.is_step()
            }
            _ => false,
        }
    }

    /// Tells the nodes above that this one waits for an execution.
    fn stall_above(&mut self, id: NodeId) {
        if !self.nodes[id.at()].is_step() {
            return;
        }
        let mut delayed = vec![id];
        while let Some(id) = delayed.pop() {
            let node = &self.nodes[id.at()];
            let waiters: Vec<Waiter> = node.identity_waiters.iter().chain(&node.result_waiters).copied().collect();
            for waiter in waiters {
                let above = &self.nodes[waiter.node.at()];
                let current = above.epoch == waiter.epoch;
                match above.state {
                    State::Keying { stalled: false, .. } if current => {
                        self.stall_one(waiter.node);
                        delayed.push(waiter.node);
                    }
                    State::Following(_) if current => delayed.push(waiter.node),
                    _ => {}
                }
            }
        }
    }

    /// The key of this node waits for an execution: makes ready those inputs that have told their part.
    fn stall_one(&mut self, id: NodeId) {
        if let State::Keying { stalled, .. } = &mut self.nodes[id.at()].state {
            *stalled = true;
        }
        for at in 0..self.nodes[id.at()].inputs.len() {
            let input = self.nodes[id.at()].inputs[at];
            let below = &self.nodes[input.node.at()];
            match below.state {
                State::Failed(failure) => return self.fail(id, failure),
                State::Done(_) => {}
                _ if self.has_part(&input) => self.wait(id, input.node, Why::Early, Need::Result),
                _ => {}
            }
        }
    }
}
