//! In: a node that is done. Out: `Completed` for it and for what nobody needs any more because of it, inputs first. Never: the same twice.

use super::Scheduler;
use super::node::{Node, NodeId, State};
use crate::digest::CacheKey;
use crate::event::{Effect, Identity};

impl Scheduler {
    /// The node has executed.
    pub(super) fn report_ran(&mut self, id: NodeId) {
        self.nodes[id.at()].reported = true;
        self.say_completed(id, false);
    }

    /// The node's result was found, so what lies below it at rest was not needed.
    pub(super) fn report_found(&mut self, id: NodeId) {
        if std::mem::replace(&mut self.nodes[id.at()].reported, true) {
            return;
        }
        let mut path = vec![(id, 0)];
        while let Some((id, at)) = path.last_mut() {
            let (id, input) = (*id, self.nodes[id.at()].inputs.get(*at).map(|input| input.node));
            *at += 1;
            match input {
                None => {
                    path.pop();
                    self.say_completed(id, true);
                }
                Some(below) => {
                    let node = &mut self.nodes[below.at()];
                    if !node.reported && at_rest(node) {
                        node.reported = true;
                        path.push((below, 0));
                    }
                }
            }
        }
    }

    fn say_completed(&mut self, id: NodeId, cached: bool) {
        let node = &self.nodes[id.at()];
        let keys = record_keys(node);
        self.effects.push(Effect::Completed { vertex: node.digest, cached, keys });
    }
}

fn at_rest(node: &Node) -> bool {
    matches!(node.state, State::Idle | State::Keyed | State::Recorded(..) | State::Done(_))
}

/// The keys a record of this node would stand under, as far as they are known.
fn record_keys(node: &Node) -> Vec<CacheKey> {
    let derived = node.identity.filter(|_| node.identity_kind == Identity::Derived);
    let content = node.content_key().or(derived).filter(|_| !node.inputs.is_empty());
    node.definition.map(CacheKey::Definition).into_iter().chain(content.map(CacheKey::Content)).collect()
}
