//! In: vertices, inputs first. Out: nodes with what can be known of their keys without running anything. Never: a state change.

use super::Scheduler;
use super::node::{Input, Need, Node, NodeId, State};
use crate::event::{Edge, Identity, InvalidGraph, SolveVertex, VertexDigest};
use crate::preimage::{DefinedInput, definition_key};

impl Scheduler {
    /// Adds the vertices that are new and gives the goal's node.
    pub(super) fn add(&mut self, vertices: Vec<SolveVertex>, goal: Edge) -> Result<NodeId, InvalidGraph> {
        for vertex in vertices {
            if !self.by_digest.contains_key(&vertex.digest) {
                self.add_vertex(&vertex)?;
            }
        }
        self.find(goal.vertex).ok_or(InvalidGraph::MissingGoal { goal: goal.vertex })
    }

    /// The node of a vertex.
    pub(super) fn find(&self, vertex: VertexDigest) -> Option<NodeId> {
        self.by_digest.get(&vertex).copied()
    }

    fn add_vertex(&mut self, vertex: &SolveVertex) -> Result<(), InvalidGraph> {
        if vertex.inputs.len() != vertex.key.inputs.len() {
            let (inputs, keys) = (vertex.inputs.len(), vertex.key.inputs.len());
            return Err(InvalidGraph::InputCount { vertex: vertex.digest, inputs, keys });
        }
        let mut inputs = Vec::with_capacity(vertex.inputs.len());
        for (edge, key) in vertex.inputs.iter().zip(&vertex.key.inputs) {
            let missing = InvalidGraph::MissingInput { vertex: vertex.digest, input: edge.vertex };
            let node = self.find(edge.vertex).ok_or(missing)?;
            let by_content = key.by_content || self.nodes[node.at()].is_volatile();
            inputs.push(Input { node, output: edge.output, selector: key.selector, by_content });
        }
        let below = |input: &Input| &self.nodes[input.node.at()];
        let refreshed = vertex.ignore_cache || inputs.iter().any(|input| below(input).refreshed);
        let ignored = vertex.ignore_cache
            || inputs.iter().any(|input| {
                !input.by_content && below(input).ignored && below(input).identity_kind == Identity::Derived
            });
        let defined: Option<Vec<DefinedInput>> = inputs
            .iter()
            .map(|input| {
                let key = below(input).definition?;
                Some(DefinedInput { key, output: input.output, selector: input.selector })
            })
            .collect();
        let is_volatile = vertex.key.identity == Identity::Volatile;
        let definition = defined.filter(|_| !is_volatile).map(|inputs| definition_key(vertex.key.op, &inputs));
        let id = NodeId(u32::try_from(self.nodes.len()).expect("a graph has fewer than 2^32 vertices"));
        self.by_digest.insert(vertex.digest, id);
        self.nodes.push(Node {
            digest: vertex.digest,
            op: vertex.key.op,
            inputs,
            identity_kind: vertex.key.identity,
            definition,
            refreshed,
            ignored,
            need: Need::Nothing,
            state: State::Idle,
            epoch: 0,
            identity: None,
            preimage: None,
            identity_waiters: Vec::new(),
            result_waiters: Vec::new(),
            job_waiters: Vec::new(),
            jobs: 0,
            followers: 0,
            reported: false,
            walk: 0,
        });
        Ok(())
    }

    /// Every node the goal needs, itself included.
    pub(super) fn closure(&mut self, goal: NodeId) -> Vec<NodeId> {
        self.walks += 1;
        let walk = self.walks;
        let mut members = vec![goal];
        self.nodes[goal.at()].walk = walk;
        let mut next = 0;
        while let Some(id) = members.get(next).copied() {
            next += 1;
            for at in 0..self.nodes[id.at()].inputs.len() {
                let below = self.nodes[id.at()].inputs[at].node;
                if std::mem::replace(&mut self.nodes[below.at()].walk, walk) != walk {
                    members.push(below);
                }
            }
        }
        members
    }
}
