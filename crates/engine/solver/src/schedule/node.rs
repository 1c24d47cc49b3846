//! In: nothing. Out: what the scheduler knows of one vertex. Never: behaviour.

use crate::digest::{ContentDigest, ContentKey, DefinitionKey, OpDigest, SelectorDigest};
use crate::event::{Failure, Identity, JobId, RecordId, ResultId, VertexDigest};
use crate::preimage::ContentPreimage;

/// Index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(pub(super) u32);

impl NodeId {
    pub(super) const fn at(self) -> usize {
        self.0 as usize
    }
}

/// How much of a node somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Nothing,
    Identity,
    Result,
}

/// Under which kind of key a record is looked for or was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Definition,
    Content,
}

/// Where a node is: the picture is in `schedule.rs`.
#[derive(Debug)]
pub(super) enum State {
    Idle,
    LookingUp(Kind),
    /// `waiting` inputs have not told their part of the content key. `stalled`: at least one of them waits for an execution.
    Keying {
        waiting: u32,
        stalled: bool,
    },
    /// The content key is known and serves as identity; nobody needs the result.
    Keyed,
    /// A record is known; nobody needs the result.
    Recorded(RecordId, Kind),
    Loading(Kind),
    /// Waits for a node of equal content key.
    Following(NodeId),
    /// `waiting` inputs have no result yet.
    Gathering {
        waiting: u32,
    },
    Queued,
    Executing,
    /// Told to stop, has not answered.
    Cancelling,
    /// One result for each output.
    Done(Vec<ResultId>),
    Failed(Failure),
}

impl State {
    pub(super) const fn is_executing(&self) -> bool {
        matches!(self, Self::Executing | Self::Cancelling)
    }
}

/// One input of a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    pub(super) node: NodeId,
    pub(super) output: u32,
    pub(super) selector: SelectorDigest,
    /// The content key takes the digest of files, because the op reads only those or because the input has no identity.
    pub(super) by_content: bool,
}

impl Input {
    pub(super) const fn digest_key(&self) -> DigestKey {
        DigestKey { node: self.node, output: self.output, selector: self.selector }
    }
}

/// Who is told when a node gets its identity or result. A waiter counts only while its node has the same epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter {
    pub(super) node: NodeId,
    pub(super) epoch: u32,
    pub(super) why: Why,
}

/// What a waiter waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why {
    /// The identity of the input, while `Keying`.
    Identity,
    /// The result, to have its files digested for input number `n`, while `Keying`.
    Digest(u32),
    /// Nothing; but if the input fails while this node is `Keying`, the node fails.
    Early,
    /// The result, while `Gathering`.
    Result,
    /// The result of a node of equal content key, while `Following`.
    Follow,
}

/// Names one digest of files: equal requests are answered once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct DigestKey {
    pub(super) node: NodeId,
    pub(super) output: u32,
    pub(super) selector: SelectorDigest,
}

/// A digest of files, or who waits for it.
#[derive(Debug)]
pub(super) enum Digesting {
    Asked(Vec<Waiter>),
    Known(ContentDigest),
}

/// A node to look at before the step ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Todo {
    /// Its need was raised or what it waited for is complete.
    Advance(NodeId),
    /// It is done: tell those who wait.
    Wake(NodeId),
}

/// What the scheduler knows of one vertex.
#[derive(Debug)]
pub(super) struct Node {
    // Fixed when the vertex is added.
    pub(super) digest: VertexDigest,
    pub(super) op: OpDigest,
    pub(super) inputs: Vec<Input>,
    pub(super) identity_kind: Identity,
    /// `None` when something volatile is below.
    pub(super) definition: Option<DefinitionKey>,
    /// The vertex or anything below it ignores the cache: no definition lookups.
    pub(super) refreshed: bool,
    /// The vertex, or an input it uses as a whole, ignores the cache: no content lookups.
    pub(super) ignored: bool,

    // Changes.
    pub(super) need: Need,
    pub(super) state: State,
    /// Number of state changes.
    pub(super) epoch: u32,
    pub(super) identity: Option<ContentKey>,
    /// What the content key was made of, and the key.
    pub(super) preimage: Option<(ContentPreimage, ContentKey)>,
    pub(super) identity_waiters: Vec<Waiter>,
    pub(super) result_waiters: Vec<Waiter>,
    /// Jobs whose goal is this node, with the output they ask for.
    pub(super) job_waiters: Vec<(JobId, u32)>,
    /// Jobs that have this node in their graph.
    pub(super) jobs: u32,
    /// Nodes in state `Following(this)`: a view kept by `set`.
    pub(super) followers: u32,
    /// `Completed` was said.
    pub(super) reported: bool,
    /// The last walk that saw this node.
    pub(super) walk: u64,
}

impl Node {
    pub(super) fn is_volatile(&self) -> bool {
        self.identity_kind == Identity::Volatile
    }

    /// Whether executing this may take long. Sources answer soon: they describe what is there and bring it when it is needed.
    pub(super) fn is_step(&self) -> bool {
        self.identity_kind == Identity::Derived
    }

    pub(super) fn content_key(&self) -> Option<ContentKey> {
        self.preimage.as_ref().map(|(_, key)| *key)
    }

    pub(super) fn results(&self) -> Option<&[ResultId]> {
        match &self.state {
            State::Done(results) => Some(results),
            _ => None,
        }
    }
}
