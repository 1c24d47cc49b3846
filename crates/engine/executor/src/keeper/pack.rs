//! In: a merged tree and a path in it. Out: what the path leads to, or all of it as a tar. Never: a link followed out of the tree.

use std::fs::File;
use std::io::BufWriter;
use std::os::fd::OwnedFd;

use crossdock_snapshot::RootedPath;
use crossdock_snapshot::disk::{Found, Layers as Stack, ObjectKind};
use crossdock_snapshot::export::tar_below;
use crossdock_snapshot::tar::Writer;

use super::layers::{LINKS_MAX, WRITE_BYTES, finish, format, layer_error, topmost_first, words};
use super::request::{LookRequest, Looked, LookedKind, PackRequest, TreeFormat};
use super::worker::Context;
use crate::error::ExecutorError;

/// What a path of a merged tree leads to. Links on the way are followed within the tree; one at the end only when asked to.
pub(super) fn look(request: &LookRequest, context: &Context) -> Result<Option<Looked>, ExecutorError> {
    let stack = open(&request.layers, context)?;
    Ok(resolve(&stack, &request.path, request.follow)?
        .map(|(path, kind)| Looked { path: path.as_bytes().to_vec(), kind }))
}

/// Writes what is at a clean path (one that [`look`] gave) as a tar.
pub(super) fn pack(request: &PackRequest, out: OwnedFd, context: &Context) -> Result<(), ExecutorError> {
    let action = "copy out of a tree";
    let stack = open(&request.layers, context)?;
    let from = RootedPath::parse(&request.path).map_err(layer_error(action))?;
    let name = RootedPath::parse(&request.name).map_err(layer_error(action))?;
    let mut tar = Writer::new(BufWriter::with_capacity(WRITE_BYTES, File::from(out)));
    tar_below(&stack, &from, &name, &mut tar).map_err(layer_error(action))?;
    finish(tar, action)
}

fn open(layers: &super::Layers, context: &Context) -> Result<Stack, ExecutorError> {
    Stack::open(&topmost_first(layers), format(TreeFormat::Overlay, context))
        .map_err(|(path, error)| ExecutorError::io("open", path.display(), &error))
}

fn resolve(stack: &Stack, path: &[u8], follow: bool) -> Result<Option<(RootedPath, LookedKind)>, ExecutorError> {
    let fail = |error: std::io::Error| ExecutorError::io("look at", String::from_utf8_lossy(path), &error);
    let mut ahead: Vec<Vec<u8>> = words(path).rev().collect();
    let mut at = RootedPath::root();
    let mut kind = LookedKind::Directory;
    let mut links = 0;
    while let Some(word) = ahead.pop() {
        if kind != LookedKind::Directory {
            return Ok(None);
        }
        if word == b".." {
            at = at.parent().unwrap_or_default();
            continue;
        }
        let next = at.join(&word).map_err(|error| fail(std::io::Error::other(error)))?;
        match stack.lookup(&next).map_err(fail)? {
            Found::Nothing => return Ok(None),
            Found::Dir { .. } => at = next,
            Found::Other { object, layer } if object.kind == ObjectKind::Symlink && (follow || !ahead.is_empty()) => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(fail(std::io::Error::from_raw_os_error(libc::ELOOP)));
                }
                let target = rustix::fs::readlinkat(stack.fd(layer), next.as_path(), Vec::new());
                let target = target.map_err(|error| fail(error.into()))?;
                if target.as_bytes().starts_with(b"/") {
                    at = RootedPath::root();
                }
                ahead.extend(words(target.as_bytes()).rev());
            }
            Found::Other { object, .. } => {
                kind = if object.kind == ObjectKind::Symlink { LookedKind::Symlink } else { LookedKind::Other };
                at = next;
            }
        }
    }
    Ok(Some((at, kind)))
}
