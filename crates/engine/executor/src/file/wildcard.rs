//! In: a pattern of COPY or rm and a tree. Out: the paths it means. Never: silence about a missing directory in front of the first wildcard.

use crossdock_snapshot::glob::{has_wildcards, select};
use crossdock_snapshot::{RootedPath, Tree};

use super::error::FileError;
use super::resolve::{LastLink, require_source, resolve};

/// The paths that match, in path order, or the path itself when it has no wildcard.
///
/// # Errors
/// `SourceNotFound` when the part before the first wildcard does not exist, and what the tree says.
pub(super) fn expand(tree: &dyn Tree, pattern: &RootedPath) -> Result<Vec<RootedPath>, FileError> {
    if !has_wildcards(pattern.as_bytes()) {
        return Ok(vec![pattern.clone()]);
    }
    let fixed: Vec<&[u8]> = pattern.components().take_while(|name| !has_wildcards(name)).collect();
    if !fixed.iter().any(|name| name.contains(&b'\\')) {
        let fixed = RootedPath::parse(fixed.join(&b'/'))?;
        let start = resolve(tree, &fixed, LastLink::Follow)?;
        require_source(tree, &start, &fixed)?;
    }
    Ok(select(tree, pattern.as_bytes())?)
}
