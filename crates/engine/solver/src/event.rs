//! In: nothing. Out: the words between scheduler and performer: what is wanted, what is due, what was answered. Never: behaviour.

pub use crossdock_llb::Edge;
pub use crossdock_oci::VertexDigest;

use crate::digest::{CacheKey, ContentDigest, ContentKey, OpDigest, SelectorDigest};
use crate::preimage::ContentPreimage;

/// One request for a result; numbered by whoever makes it, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A result in memory; numbered by the performer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultId(pub u64);

/// A stored record a lookup found; numbered by the performer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub u64);

/// Why something failed; numbered by the performer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CauseId(pub u64);

/// What stands for a vertex's result in the content keys of those who use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Its own content key. The usual case: nothing needs to run to know it.
    Derived,
    /// A key the performer gives with the result, kept in its record: the chain id of an image, so that equal layers hit.
    Given,
    /// None. The same op may bring other content next time (local source): its result is never looked up nor stored,
    /// nothing above it has a definition key, and users take the digest of the files they read.
    Volatile,
}

/// How one input counts in the keys of a vertex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InputKey {
    /// Which part of the input the op reads.
    pub selector: SelectorDigest,
    /// The content key uses the digest of the selected files instead of the identity of the input.
    pub by_content: bool,
}

/// The facts that make the keys of a vertex. Made from an op by [`crate::key::key_info`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    pub op: OpDigest,
    /// One for each input of the vertex.
    pub inputs: Vec<InputKey>,
    pub identity: Identity,
}

/// A vertex as the solver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SolveVertex {
    pub digest: VertexDigest,
    pub inputs: Vec<Edge>,
    /// Do not look for a record (`--no-cache`); the result is stored all the same.
    pub ignore_cache: bool,
    pub key: KeyInfo,
}

/// What the scheduler is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A new job. Inputs stand before their users, or were brought by an earlier job. A vertex that is known already is
    /// shared and keeps the facts it came with.
    Want { job: JobId, vertices: Vec<SolveVertex>, goal: Edge },
    /// The result of this job is not needed any more.
    CancelJob { job: JobId },
    /// Answers [`Effect::Lookup`]: the record and the identity stored in it, or a miss.
    Looked { vertex: VertexDigest, found: Option<(RecordId, ContentKey)> },
    /// Answers [`Effect::Load`]: one result for each output; `None` when the record cannot be turned into results any more.
    Loaded { vertex: VertexDigest, results: Option<Vec<ResultId>> },
    /// Answers [`Effect::Digest`].
    Digested { vertex: VertexDigest, input: u32, digest: Result<ContentDigest, CauseId> },
    /// Answers [`Effect::Execute`]: one result for each output. `identity` matters for [`Identity::Given`] only; without
    /// it the vertex's own content key is its identity.
    Executed { vertex: VertexDigest, results: Vec<ResultId>, identity: Option<ContentKey> },
    /// Answers [`Effect::Execute`], also after [`Effect::Cancel`].
    Failed { vertex: VertexDigest, cause: CauseId },
}

/// What is due. Of one vertex at most one of `Lookup`, `Load` and `Execute` is unanswered at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Look for a record under this key.
    Lookup { vertex: VertexDigest, key: CacheKey },
    /// Turn the record into results.
    Load { vertex: VertexDigest, record: RecordId },
    /// Digest the files of `result` that input number `input` of `vertex` selects. Asked once for all vertices that
    /// select the same of the same result.
    Digest { vertex: VertexDigest, input: u32, result: ResultId },
    /// Do the work. `preimage` is what the content key was made of; `None` for volatile vertices.
    Execute { vertex: VertexDigest, inputs: Vec<ResultId>, preimage: Option<ContentPreimage> },
    /// Keep the result under these keys, together with its identity. Nobody waits for it. `preimage` is missing when the
    /// result came from a vertex of equal content.
    Store {
        vertex: VertexDigest,
        keys: Vec<CacheKey>,
        results: Vec<ResultId>,
        identity: ContentKey,
        preimage: Option<ContentPreimage>,
    },
    /// The vertex is done. Said at most once with `cached: true` (its result was found, shared with an equal vertex or not needed
    /// because a result above it was found) and at most once with `cached: false` (it ran), in this order. `keys` are
    /// those a record of it would stand under: mark them as used.
    Completed { vertex: VertexDigest, cached: bool, keys: Vec<CacheKey> },
    /// Stop the execution of this vertex; it still answers `Executed` or `Failed`.
    Cancel { vertex: VertexDigest },
    /// The job is over; said exactly once for each.
    JobDone { job: JobId, outcome: Result<ResultId, Failure> },
}

/// Why a job has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// This vertex failed first.
    #[error("vertex {vertex} failed")]
    Vertex { vertex: VertexDigest, cause: CauseId },
    /// Somebody asked for an output the vertex does not have.
    #[error("vertex {vertex} has no output {output}")]
    NoSuchOutput { vertex: VertexDigest, output: u32 },
    /// The graph cannot be solved.
    #[error(transparent)]
    Invalid(#[from] InvalidGraph),
    /// Somebody cancelled the job.
    #[error("context canceled")]
    Cancelled,
}

/// What is wrong with a wanted graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGraph {
    #[error("vertex {vertex} uses {input}, which does not stand before it in the graph")]
    MissingInput { vertex: VertexDigest, input: VertexDigest },
    #[error("vertex {vertex} has {inputs} inputs, but keys for {keys}")]
    InputCount { vertex: VertexDigest, inputs: usize, keys: usize },
    #[error("the graph has no vertex {goal}, which is its result")]
    MissingGoal { goal: VertexDigest },
}
