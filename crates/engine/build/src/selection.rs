//! In: what a step takes of an input. Out: its digest, or what is missing in words. Never: a file read that is not selected.

use crossdock_dockerfile::ignore::Patterns;
use crossdock_frontend::BuildOutcome;
use crossdock_llb::{FileActionKind, Op, Vertex};
use crossdock_snapshot::content_hash;
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::tree::{Tree, TreeError, resolve_parent};
use crossdock_solver::ContentSelector;

use crate::BuildError;
use crate::perform::{Steps, locked};
use crate::result::Output;

/// What an error calls the tree a step takes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Context,
    Image,
    Stage,
}

impl Place {
    /// That of a vertex as the frontend makes them: a repository or an archive that was fetched is a context.
    fn of(vertex: &Vertex) -> Option<Self> {
        match &vertex.op {
            Op::Source(source) if source.identifier.starts_with("docker-image://") => Some(Self::Image),
            Op::Source(source) if source.identifier.starts_with("oci-layout://") => Some(Self::Image),
            Op::Source(_) => Some(Self::Context),
            // What unpacks an archive makes no directory for it, as ADD does.
            Op::File(op) => match &op.actions[..] {
                [action] => match &action.kind {
                    FileActionKind::Copy(copy) if copy.attempt_unpack && !copy.create_dest_path => Some(Self::Context),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Context => "the build context",
            Self::Image => "the image it is copied from",
            Self::Stage => "the stage it is copied from",
        }
    }
}

impl Steps {
    /// Notes where the steps of a build take from.
    pub(crate) fn note_places(&self, outcome: &BuildOutcome) {
        let vertices = outcome.platforms.iter().flat_map(|image| &image.definition.vertices);
        let places = vertices.filter_map(|vertex| Some((vertex.digest, Place::of(vertex)?)));
        locked(&self.places).extend(places);
    }

    pub(crate) fn place_of(&self, vertex: &Vertex, input: usize) -> Place {
        let source = vertex.inputs.get(input).map(|edge| edge.vertex);
        source.and_then(|source| locked(&self.places).get(&source).copied()).unwrap_or(Place::Stage)
    }
}

/// The digest of what one selector picks of a tree.
pub(crate) fn selected(
    tree: &dyn Tree,
    selector: &ContentSelector,
    place: Place,
) -> Result<content_hash::ContentDigest, BuildError> {
    let compile = |list, patterns: &[String]| {
        Patterns::of_copy(patterns).map_err(|source| BuildError::Pattern {
            place: place.name(),
            list,
            patterns: patterns.join(" "),
            source,
        })
    };
    let include = compile("includepatterns", &selector.include_patterns)?;
    let exclude = compile("excludepatterns", &selector.exclude_patterns)?;
    let (included, excluded) = (
        |path: &RootedPath| include.is_ignored(path.as_bytes()),
        |path: &RootedPath| exclude.is_ignored(path.as_bytes()),
    );
    let mut selection = content_hash::Selection::of(selector.path.as_bytes());
    selection.wildcard = selector.wildcard;
    selection.follow_symlink = selector.follow_symlink;
    if !include.is_empty() {
        selection.include = Some(&included);
    }
    if !exclude.is_empty() {
        selection.exclude = Some(&excluded);
    }
    Ok(content_hash::digest(tree, &selection)?)
}

/// A missing source in BuildKit's words, with the pattern that hides it or names like it. Of a wildcard the match is named.
pub(crate) fn source_missing(error: BuildError, place: Place, source: &Output, tree: &dyn Tree) -> BuildError {
    let BuildError::Tree(TreeError::NotFound { path: missing, near }) = &error else { return error };
    let hidden = if let Output::Local(tree) = source { tree.hidden_by(missing) } else { None };
    let leads_nowhere = resolve_parent(tree, missing).is_ok_and(|found| found.node.is_some());
    let near = match source {
        _ if leads_nowhere => Vec::new(),
        // Of the context only what instructions name was looked at.
        Output::Local(tree) if near.is_empty() && hidden.is_none() => tree.near_missing(missing),
        _ => near.clone(),
    };
    let names: Vec<String> = near.iter().map(|name| format!("\"{name}\"")).collect();
    let hint = match (hidden, names.is_empty()) {
        (Some(pattern), _) => format!(" (it is hidden by the pattern {pattern:?} of the ignore file)"),
        (None, _) if leads_nowhere => " (it is a symbolic link that leads to nothing)".to_owned(),
        (None, false) => format!(" (did you mean {}?)", names.join(" or ")),
        (None, true) => String::new(),
    };
    BuildError::SourceMissing { place: place.name(), path: missing.to_string(), hint }
}
