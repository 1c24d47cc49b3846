//! In: source ops for git, web servers, OCI layouts and what the client sends. Out: each as layers that are kept. Never: a tree made twice of the same commit or the same bytes.
//!
//! These sources are asked anew in every build, because what a name means may change (the solver calls them volatile);
//! what they bring is kept under what it is, a commit or a digest, so that nothing is fetched or written twice.

mod file;
mod git;
mod layout;
mod upload;
mod web;

pub use upload::Upload;

use std::path::PathBuf;

use crossdock_content::Store;
use crossdock_llb::SourceOp;

use crate::BuildError;

/// Where copies of git repositories are kept.
pub fn git_root(store: &Store) -> PathBuf {
    store.root().join("git")
}

/// A source op that cannot be understood.
pub(crate) fn bad(source: &SourceOp, reason: &'static str) -> BuildError {
    BuildError::BadSource { source_name: crossdock_llb::url::redact(&source.identifier), reason }
}
