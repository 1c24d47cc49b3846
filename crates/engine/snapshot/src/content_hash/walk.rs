//! In: one selected object. Out: its digest over everything beneath it that counts. Never: recursion; a tree can be deeper than a thread's stack.

use std::vec;

use sha2::{Digest as _, Sha256};

use super::{ContentDigest, Selection, object_digest};
use crate::path::RootedPath;
use crate::tree::{Node, Tree, TreeError};

/// The parts of one walk.
pub(super) struct Hashing<'a> {
    pub(super) tree: &'a dyn Tree,
    pub(super) selection: &'a Selection<'a>,
    pub(super) observe: &'a mut dyn FnMut(&RootedPath, &ContentDigest),
}

/// A directory being hashed.
struct Frame {
    path: RootedPath,
    hasher: Sha256,
    children: vec::IntoIter<Node>,
    /// Whether it counts even when nothing in it does.
    matched: bool,
    /// Whether anything beneath counts.
    has_records: bool,
}

/// Adds a name and the digest of what it stands for. Names hold no NUL and digests have a fixed length, so that records cannot run into each other.
pub(super) fn record(hasher: &mut Sha256, name: &[u8], digest: &ContentDigest) {
    hasher.update([0]);
    hasher.update(name);
    hasher.update([0]);
    hasher.update(digest.0);
}

impl Hashing<'_> {
    /// The digest of a selected object.
    pub(super) fn object(&mut self, top: &Node) -> Result<ContentDigest, TreeError> {
        if !top.entry.is_dir() {
            return self.leaf(top);
        }
        let mut frames = vec![self.enter(top, !self.selection.has_filter(), true)?];
        while let Some(frame) = frames.last_mut() {
            let Some(child) = frame.children.next() else {
                if let Some(done) = frames.pop()
                    && let Some(digest) = self.leave(done, &mut frames)
                {
                    return Ok(digest);
                }
                continue;
            };
            let counts = self.counts(&child, &top.entry.path);
            if child.entry.is_dir() {
                frames.push(self.enter(&child, counts, false)?);
            } else if counts {
                let digest = self.leaf(&child)?;
                frame.has_records = true;
                record(&mut frame.hasher, child.entry.path.file_name().unwrap_or_default(), &digest);
            }
        }
        unreachable!("the loop ends when the top frame is left")
    }

    fn counts(&self, node: &Node, top: &RootedPath) -> bool {
        if !self.selection.has_filter() {
            return true;
        }
        let relative = node.entry.path.strip_prefix(top).unwrap_or_else(|| node.entry.path.clone());
        self.selection.include.is_none_or(|include| include(&relative))
            && !self.selection.exclude.is_some_and(|exclude| exclude(&relative))
    }

    fn leaf(&mut self, node: &Node) -> Result<ContentDigest, TreeError> {
        let content = if node.entry.is_file() { Some(self.tree.content(&node.entry.path)?) } else { None };
        let digest = object_digest(&node.entry, content.as_ref());
        (self.observe)(&node.entry.path, &digest);
        Ok(digest)
    }

    fn enter(&mut self, node: &Node, matched: bool, is_top: bool) -> Result<Frame, TreeError> {
        let mut hasher = Sha256::new();
        if !(is_top && self.selection.skip_directory_header) {
            let digest = object_digest(&node.entry, None);
            if matched {
                (self.observe)(&node.entry.path, &digest);
            }
            record(&mut hasher, b"", &digest);
        }
        let children = self.tree.read_dir(&node.entry.path)?.into_iter();
        Ok(Frame { path: node.entry.path.clone(), hasher, children, matched, has_records: false })
    }

    /// Gives a finished directory to the one above; the digest itself when there is none above.
    fn leave(&mut self, done: Frame, frames: &mut [Frame]) -> Option<ContentDigest> {
        let digest = ContentDigest(done.hasher.finalize().into());
        let Some(parent) = frames.last_mut() else {
            return Some(digest);
        };
        if done.matched || done.has_records {
            parent.has_records = true;
            record(&mut parent.hasher, done.path.file_name().unwrap_or_default(), &digest);
        }
        None
    }
}
