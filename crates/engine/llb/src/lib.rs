//! In: ops and their inputs. Out: a graph of vertices named by digest, and its JSON. Never: running anything; protobuf outside `wire.rs`.
//!
//! LLB is the only graph (docs/design/architecture.md, decision 1): the frontend emits it, the solver solves it. Field
//! names and meanings are those of BuildKit's `pb` package (spec/engine.md §16), so the digest of a vertex is the
//! sha256 of the same protobuf bytes BuildKit would hash.

pub mod git_url;
pub mod graph;
pub mod op;
pub mod source;
pub mod url;
pub mod wire;

pub use git_url::GitUrl;
pub use graph::{Definition, Edge, Graph, Location, Metadata, Vertex};
pub use op::{
    CacheSharing, CopyAction, ExecMeta, ExecOp, FileAction, FileActionKind, FileOp, MergeOp, MkDirAction, MkFileAction,
    Mount, MountKind, Network, Op, Owner, OwnerId, RmAction, Security, SourceOp, SymlinkAction,
};
