//! In: calls of a test. Out: a graph of toy ops, and what it gives when nothing is cached. Never: a scheduler.
//!
//! A result is a set of files. Every op is a function of what its key says it reads, and of nothing else.

use std::collections::{BTreeMap, HashMap};

use crate::digest::{ContentDigest, ContentKey, OpDigest, SelectorDigest};
use crate::event::{Edge, Identity, InputKey, KeyInfo, SolveVertex, VertexDigest};

pub(super) type Files = BTreeMap<String, String>;

/// What a toy vertex does. Input 0 is the base, others are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Toy {
    /// No input; pinned files. The name is part of the definition only: equal files have an equal chain id. One named
    /// "broken" cannot be pulled.
    Image { name: String, files: Files },
    /// No input; the files of the world, which change.
    Local(String),
    /// Base (by key) plus a file that depends on all of the base and on the content of `reads` in input 1.
    Run { text: String, reads: Option<String> },
    /// Base (by key) plus file `path` of input 1 (by content), under its base name.
    Copy { path: String },
    /// As `Run`, but fails when any file of the base says "bad".
    Test { text: String },
    /// All inputs on each other, by key.
    Merge,
    /// Output 0: base plus a file; output 1: that file alone.
    Split { text: String },
    /// Base plus what the world's web says at the moment: equal definition, other content. Fails when it says "down".
    Fetch { name: String },
}

#[derive(Debug, Clone)]
pub(super) struct ToyVertex {
    pub(super) solve: SolveVertex,
    pub(super) toy: Toy,
}

#[derive(Debug, Clone, Default)]
pub(super) struct ToyGraph {
    pub(super) vertices: Vec<ToyVertex>,
    at: HashMap<VertexDigest, usize>,
}

pub(super) fn sha(text: &str) -> [u8; 32] {
    *VertexDigest::of(text.as_bytes()).as_bytes()
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

pub(super) fn files(pairs: &[(&str, &str)]) -> Files {
    pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

impl Toy {
    fn op_digest(&self) -> OpDigest {
        OpDigest::from_raw(match self {
            Self::Copy { path } => sha(&format!("copy {}", base_name(path))),
            Self::Run { text, .. } => sha(&format!("run {text}")),
            other => sha(&format!("{other:?}")),
        })
    }

    /// The path of input 1 whose content counts.
    fn selected(&self) -> Option<&str> {
        match self {
            Self::Copy { path } => Some(path),
            Self::Run { reads, .. } => reads.as_deref(),
            _ => None,
        }
    }

    fn input_key(&self, number: usize) -> InputKey {
        match self.selected() {
            Some(path) if number == 1 => InputKey { selector: SelectorDigest::from_raw(sha(path)), by_content: true },
            _ => InputKey { selector: SelectorDigest::WHOLE, by_content: false },
        }
    }

    fn identity(&self) -> Identity {
        match self {
            Self::Image { .. } => Identity::Given,
            Self::Local(_) => Identity::Volatile,
            _ => Identity::Derived,
        }
    }

    /// The digest of what counts of input number `number`.
    pub(super) fn content_digest(&self, number: usize, source: &Files) -> Result<ContentDigest, String> {
        Ok(ContentDigest::from_raw(match self.selected() {
            Some(path) if number == 1 => {
                let text = source.get(path);
                if text.is_none() && matches!(self, Self::Copy { .. }) {
                    return Err(format!("{path} not found"));
                }
                sha(&format!("{text:?}"))
            }
            _ => sha(&format!("{source:?}")),
        }))
    }

    /// What an image gives as its identity.
    pub(super) fn given_identity(&self) -> Option<ContentKey> {
        match self {
            Self::Image { files, .. } => Some(ContentKey::from_raw(sha(&format!("chain {files:?}")))),
            _ => None,
        }
    }

    /// The results for each output. `Err`: the step fails.
    pub(super) fn run(&self, inputs: &[Files], world: &Outside) -> Result<Vec<Files>, String> {
        let base = || inputs.first().cloned().unwrap_or_default();
        let with = |path: String, text: String| {
            let mut files = base();
            files.insert(path, text);
            files
        };
        Ok(match self {
            Self::Image { name, .. } if name == "broken" => return Err("cannot pull".to_owned()),
            Self::Image { files, .. } => vec![files.clone()],
            Self::Local(name) => vec![world.locals.get(name).cloned().unwrap_or_default()],
            Self::Run { text, reads } => {
                let read = reads.as_ref().map(|path| inputs[1].get(path).cloned());
                vec![with(format!("ran {text}"), short(&format!("{text} {:?} {read:?}", base())))]
            }
            Self::Copy { path } => {
                let Some(text) = inputs[1].get(path) else { return Err(format!("{path} not found")) };
                vec![with(base_name(path).to_owned(), text.clone())]
            }
            Self::Test { text } => {
                if base().values().any(|text| text.contains("bad")) {
                    return Err(format!("test {text} failed"));
                }
                vec![with(format!("tested {text}"), short(&format!("{:?}", base())))]
            }
            Self::Merge => vec![inputs.iter().flatten().map(|(path, text)| (path.clone(), text.clone())).collect()],
            Self::Split { text } => {
                let made = short(&format!("{text} {:?}", base()));
                vec![with("made".to_owned(), made.clone()), files(&[("made", &made)])]
            }
            Self::Fetch { name } if world.web.get(name).is_some_and(|text| text == "down") => {
                return Err(format!("{name} is down"));
            }
            Self::Fetch { name } => {
                vec![with(format!("fetched {name}"), world.web.get(name).cloned().unwrap_or_default())]
            }
        })
    }

    /// The word tests count by.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Image { name, .. } => format!("image {name}"),
            Self::Local(name) => format!("local {name}"),
            Self::Run { text, .. } => format!("run {text}"),
            Self::Copy { path } => format!("copy {path}"),
            Self::Test { text } => format!("test {text}"),
            Self::Merge => "merge".to_owned(),
            Self::Split { text } => format!("split {text}"),
            Self::Fetch { name } => format!("fetch {name}"),
        }
    }
}

fn short(text: &str) -> String {
    VertexDigest::of(text.as_bytes()).hex()[..12].to_owned()
}

/// What lies outside of the graph.
#[derive(Debug, Clone, Default)]
pub(super) struct Outside {
    pub(super) locals: BTreeMap<String, Files>,
    pub(super) web: BTreeMap<String, String>,
}

impl ToyGraph {
    pub(super) fn add(&mut self, toy: Toy, inputs: &[Edge]) -> Edge {
        self.add_with(toy, inputs, false)
    }

    /// As `add`; `ignore_cache` is no part of the vertex's digest.
    pub(super) fn add_with(&mut self, toy: Toy, inputs: &[Edge], ignore_cache: bool) -> Edge {
        let digest = VertexDigest::of(format!("{toy:?} {inputs:?}").as_bytes());
        if !self.at.contains_key(&digest) {
            let keys = (0..inputs.len()).map(|number| toy.input_key(number)).collect();
            let key = KeyInfo { op: toy.op_digest(), inputs: keys, identity: toy.identity() };
            let solve = SolveVertex { digest, inputs: inputs.to_vec(), ignore_cache, key };
            self.at.insert(digest, self.vertices.len());
            self.vertices.push(ToyVertex { solve, toy });
        }
        Edge { vertex: digest, output: 0 }
    }

    pub(super) fn image(&mut self, name: &str) -> Edge {
        self.image_of(name, name)
    }

    /// Images of equal `os` have equal layers.
    pub(super) fn image_of(&mut self, name: &str, os: &str) -> Edge {
        self.add(Toy::Image { name: name.to_owned(), files: files(&[("os", os)]) }, &[])
    }

    pub(super) fn fetch(&mut self, name: &str, base: Edge) -> Edge {
        self.add(Toy::Fetch { name: name.to_owned() }, &[base])
    }

    pub(super) fn test(&mut self, text: &str, base: Edge) -> Edge {
        self.add(Toy::Test { text: text.to_owned() }, &[base])
    }

    pub(super) fn local(&mut self, name: &str) -> Edge {
        self.add(Toy::Local(name.to_owned()), &[])
    }

    pub(super) fn run(&mut self, text: &str, base: Edge) -> Edge {
        self.add(Toy::Run { text: text.to_owned(), reads: None }, &[base])
    }

    pub(super) fn run_reading(&mut self, text: &str, base: Edge, path: &str, from: Edge) -> Edge {
        self.add(Toy::Run { text: text.to_owned(), reads: Some(path.to_owned()) }, &[base, from])
    }

    pub(super) fn copy(&mut self, path: &str, from: Edge, base: Edge) -> Edge {
        self.add(Toy::Copy { path: path.to_owned() }, &[base, from])
    }

    pub(super) fn vertex(&self, digest: VertexDigest) -> &ToyVertex {
        &self.vertices[self.at[&digest]]
    }

    /// What this edge is when nothing is cached. `Err`: something it needs fails.
    pub(super) fn fresh(&self, goal: Edge, outside: &Outside) -> Result<Files, String> {
        let mut needed = vec![false; self.vertices.len()];
        needed[self.at[&goal.vertex]] = true;
        for at in (0..self.vertices.len()).rev().filter(|at| *at <= self.at[&goal.vertex]) {
            if needed[at] {
                self.vertices[at].solve.inputs.iter().for_each(|input| needed[self.at[&input.vertex]] = true);
            }
        }
        let mut values: HashMap<VertexDigest, Vec<Files>> = HashMap::new();
        for (vertex, needed) in self.vertices.iter().zip(needed) {
            if needed {
                let inputs: Vec<Files> = vertex
                    .solve
                    .inputs
                    .iter()
                    .map(|input| values[&input.vertex][input.output as usize].clone())
                    .collect();
                values.insert(vertex.solve.digest, vertex.toy.run(&inputs, outside)?);
            }
        }
        Ok(values[&goal.vertex][goal.output as usize].clone())
    }
}
