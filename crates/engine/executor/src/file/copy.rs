//! In: a copy action, its source and its destination. Out: the overlay with the copies. Never: a byte read; only metadata and digests that are known.
//!
//! What goes where follows BuildKit to the letter (spec/dockerfile.md §4): links of the destination are followed, the
//! directories on the way are made, a directory's contents are merged into the destination.

use std::sync::Arc;

use crossdock_llb::CopyAction;
use crossdock_snapshot::{RootedPath, Tree};

use super::archive;
use super::error::FileError;
use super::make::{Stamp, make_dirs};
use super::mode::ModeChange;
use super::overlay::Overlay;
use super::patterns;
use super::plan::PlanOptions;
use super::resolve::{LastLink, require_source, resolve};
use super::transfer::Transfer;
use super::wildcard;

/// A destination as written: BuildKit tells `/a`, `/a/` and `/a/.` apart.
struct Destination {
    path: RootedPath,
    /// The directory that must exist before anything is copied.
    ensure: RootedPath,
}

impl Destination {
    fn parse(text: &str) -> Result<Self, FileError> {
        let path = RootedPath::parse_lexical(text)?;
        let is_dir = text.ends_with('/') || text.ends_with("/.") || path.is_root();
        let ensure = if is_dir { path.clone() } else { path.parent().unwrap_or_default() };
        Ok(Self { path, ensure })
    }
}

/// Performs the action.
///
/// # Errors
/// `SourceNotFound`, `NothingMatches`, `DirOverFile`, `FileOverDir`, `NotADirectory`, and what trees and archives say.
pub(super) fn copy(
    overlay: &mut Overlay,
    source: &Arc<dyn Tree>,
    action: &CopyAction,
    stamp: Stamp,
    options: &PlanOptions<'_>,
) -> Result<(), FileError> {
    let written = RootedPath::parse_lexical(&action.src)?;
    let destination = Destination::parse(&action.dest)?;
    if !action.create_dest_path {
        require_destination(overlay, &destination)?;
    }
    let found = match action.allow_wildcard {
        true => wildcard::expand(source.as_ref(), &written)?,
        false => vec![written],
    };
    if found.is_empty() && !action.allow_empty_wildcard {
        return Err(FileError::NothingMatches { pattern: action.src.clone() });
    }
    for path in found {
        if action.attempt_unpack
            && let Some(archive) = archive::detect(source.as_ref(), &path)?
        {
            let place = resolve(overlay, &destination.path, LastLink::Follow)?;
            make_dirs(overlay, &place, 0o755, stamp)?;
            archive::unpack(overlay, &place, archive, stamp, options)?;
            continue;
        }
        copy_one(overlay, source, action, &path, &destination, stamp, options)?;
    }
    Ok(())
}

fn require_destination(overlay: &Overlay, destination: &Destination) -> Result<(), FileError> {
    let path = resolve(overlay, &destination.path, LastLink::Follow)?;
    match overlay.lookup(&path.parent().unwrap_or_default())? {
        Some(_) => Ok(()),
        None => Err(FileError::Missing { call: "failed to stat", path: destination.path.clone() }),
    }
}

/// What must be there is there (`COPY --parents` of a plain path).
fn require_paths(source: &dyn Tree, root: &RootedPath, action: &CopyAction) -> Result<(), FileError> {
    for required in &action.required_paths {
        let mut path = root.clone();
        for part in required.split('/').filter(|part| !part.is_empty()) {
            path = path.join(part.as_bytes())?;
        }
        if source.lookup(&path)?.is_none() {
            return Err(FileError::Missing { call: "failed to stat", path });
        }
    }
    Ok(())
}

fn copy_one(
    overlay: &mut Overlay,
    source: &Arc<dyn Tree>,
    action: &CopyAction,
    path: &RootedPath,
    destination: &Destination,
    stamp: Stamp,
    options: &PlanOptions<'_>,
) -> Result<(), FileError> {
    let mode = ModeChange::new(action.mode, &action.mode_text)?;
    let ensure = resolve(overlay, &destination.ensure, LastLink::Follow)?;
    make_dirs(overlay, &ensure, mode.of_parents(), stamp)?;

    let last = if action.follow_symlink { LastLink::Follow } else { LastLink::Keep };
    let resolved = resolve(source.as_ref(), path, last)?;
    let node = require_source(source.as_ref(), &resolved, path)?;
    let mut target = resolve(overlay, &destination.path, LastLink::Follow)?;
    let existing = overlay.lookup(&target)?;
    let is_dir = node.entry.is_dir();
    let into_existing = match &existing {
        None => false,
        Some(_) if is_dir => !action.dir_copy_contents,
        Some(existing) => existing.entry.is_dir(),
    };
    // `dir/.` names what is in the directory, not the directory.
    let names_contents = !action.allow_wildcard && action.src.ends_with("/.");
    if into_existing && !names_contents {
        target = target.join(path.file_name().unwrap_or_default())?;
    }
    let parents = match action.dir_copy_contents && is_dir && existing.is_none() {
        true => target.clone(),
        false => target.parent().unwrap_or_default(),
    };
    make_dirs(overlay, &parents, mode.of_parents(), stamp)?;
    require_paths(source.as_ref(), &node.entry.path, action)?;
    let include = patterns::compile(options.patterns, &action.include_patterns)?;
    let exclude = patterns::compile(options.patterns, &action.exclude_patterns)?;
    let replace = action.always_replace_existing_dest_paths;
    Transfer::new(overlay, source, stamp, &mode, include, exclude, replace).run(node, target)
}
