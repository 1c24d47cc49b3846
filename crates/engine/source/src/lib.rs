//! In: where a build's inputs are. Out: pinned inputs: trees whose content has a digest. Never: a step run, a layer written, a Dockerfile parsed.
//!
//! - a local directory is only read, and never through a link that leads out of it;
//! - nobody downstream sees the real owners of local files, ignored files, or a file that changed while it was read;
//! - git is the user's own, with the user's credentials, and asks nothing.

pub mod git;
pub mod local;

pub use local::{ContextError, ContextOptions, ContextTree};
