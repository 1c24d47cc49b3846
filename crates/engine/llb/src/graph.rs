//! In: ops and inputs, one after another. Out: a definition in which inputs stand before their users. Never: a cycle (inputs must exist), two vertices of one digest.

use std::collections::{BTreeMap, HashMap, HashSet};

use crossdock_oci::{Platform, VertexDigest};
use serde::{Deserialize, Serialize};

use crate::Op;
use crate::wire;

/// One numbered output of a vertex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Edge {
    pub vertex: VertexDigest,
    pub output: u32,
}

/// Where in a user's file a vertex comes from. Lines count from 1, both inclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    pub file: String,
    pub first_line: u32,
    pub last_line: u32,
}

/// What a vertex carries that is no part of its digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// What the screen shows: `[linux/arm64 build 2/4] RUN make`.
    pub name: String,
    pub ignore_cache: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub description: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
}

/// An op with its inputs, named by the digest of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vertex {
    pub digest: VertexDigest,
    pub op: Op,
    #[serde(default)]
    pub inputs: Vec<Edge>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    pub metadata: Metadata,
}

/// A graph to solve: its vertices, inputs first, and the edge asked for (`None`: an empty tree, as `FROM scratch`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub vertices: Vec<Vertex>,
    pub result: Option<Edge>,
}

/// Grows a graph. Adding the same op with the same inputs twice gives the same edge.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    vertices: Vec<Vertex>,
    by_digest: HashMap<VertexDigest, usize>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a vertex and gives its output 0. An equal vertex that is there already keeps its metadata.
    ///
    /// # Panics
    /// When an input is not in this graph: a bug of the caller.
    pub fn add(&mut self, op: Op, inputs: Vec<Edge>, platform: Option<Platform>, metadata: Metadata) -> Edge {
        for input in &inputs {
            assert!(self.by_digest.contains_key(&input.vertex), "BUG: an input of a vertex is not in its graph");
        }
        let digest = VertexDigest::of(&wire::encode_op(&op, &inputs, platform.as_ref()));
        if !self.by_digest.contains_key(&digest) {
            self.by_digest.insert(digest, self.vertices.len());
            self.vertices.push(Vertex { digest, op, inputs, platform, metadata });
        }
        Edge { vertex: digest, output: 0 }
    }

    /// The vertex of this digest.
    pub fn vertex(&self, digest: VertexDigest) -> Option<&Vertex> {
        self.by_digest.get(&digest).map(|at| &self.vertices[*at])
    }

    /// The part of the graph that `result` needs.
    pub fn definition(&self, result: Option<Edge>) -> Definition {
        let mut needed: HashSet<VertexDigest> = HashSet::new();
        let mut todo: Vec<VertexDigest> = result.iter().map(|edge| edge.vertex).collect();
        while let Some(digest) = todo.pop() {
            if needed.insert(digest)
                && let Some(vertex) = self.vertex(digest)
            {
                todo.extend(vertex.inputs.iter().map(|input| input.vertex));
            }
        }
        let vertices = self.vertices.iter().filter(|vertex| needed.contains(&vertex.digest)).cloned().collect();
        Definition { vertices, result }
    }
}

impl Definition {
    /// The vertex of this digest.
    pub fn vertex(&self, digest: VertexDigest) -> Option<&Vertex> {
        self.vertices.iter().find(|vertex| vertex.digest == digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceOp;

    fn source(name: &str) -> Op {
        Op::Source(SourceOp { identifier: format!("local://{name}"), attrs: BTreeMap::new() })
    }

    #[test]
    fn equal_vertices_are_one_and_unused_ones_are_left_out() {
        let mut graph = Graph::new();
        let a = graph.add(source("a"), vec![], None, Metadata::default());
        let again = graph.add(source("a"), vec![], None, Metadata { name: "other".into(), ..Metadata::default() });
        assert_eq!(a, again);
        let b = graph.add(source("b"), vec![], None, Metadata::default());
        let diff = graph.add(Op::Diff, vec![a, a], None, Metadata::default());
        let definition = graph.definition(Some(diff));
        assert_eq!(definition.vertices.len(), 2);
        assert!(definition.vertex(b.vertex).is_none());
        assert_eq!(definition.vertices[0].digest, a.vertex);
    }

    #[test]
    fn platform_is_part_of_the_digest() {
        let mut graph = Graph::new();
        let none = graph.add(source("a"), vec![], None, Metadata::default());
        let arm = graph.add(source("a"), vec![], Some(Platform::new("linux", "arm64", "")), Metadata::default());
        assert_ne!(none, arm);
    }
}
