//! In: listings of a stack of layers, and something that opens their files. Out: the merged tree, answered from memory. Never: a read for a question that a listing answers.

use std::collections::HashMap;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};

use crossdock_oci::Hasher;

use super::merge::{Merge, SlotId};
use super::{Node, Tree, TreeError};
use crate::entry::Entry;
use crate::listing::{Listing, ListingEntry};
use crate::path::RootedPath;

/// Opens the bytes of a regular file of one layer: from its snapshot, its blob, or after fetching it.
pub trait ContentOpener: Send + Sync {
    /// `path` is a name the layer itself has (`layer_index` 0 is the lowest): as its listing says it, or, should that fail and symlinks of lower layers lead
    /// elsewhere, as the unpacked layer has it.
    ///
    /// # Errors
    /// What the store or the network says; the message should name the layer.
    fn open(&self, layer_index: usize, path: &RootedPath) -> io::Result<Box<dyn Read + Send>>;
}

/// The merge of layers that need not be unpacked.
pub struct LayeredTree {
    merge: Merge,
    opener: Box<dyn ContentOpener>,
    /// Digests that a listing did not know and that were computed here.
    computed: Mutex<HashMap<(usize, RootedPath), [u8; 32]>>,
}

impl LayeredTree {
    /// Merges layers, lowest first. Of a layer in doubt ([`TreeError::InDoubt`]) it shows what unpacking makes when its directories come first.
    ///
    /// # Errors
    /// `HardLinkTarget`, `SymlinkLoop`, `Limit`.
    pub fn new(layers: Vec<Arc<Listing>>, opener: Box<dyn ContentOpener>) -> Result<Self, TreeError> {
        Ok(Self { merge: Merge::new(layers, false)?, opener, computed: Mutex::default() })
    }

    /// As [`Self::new`], but never something else than unpacking would make.
    ///
    /// # Errors
    /// `InDoubt`, and those of [`Self::new`].
    pub fn exact(layers: Vec<Arc<Listing>>, opener: Box<dyn ContentOpener>) -> Result<Self, TreeError> {
        Ok(Self { merge: Merge::new(layers, true)?, opener, computed: Mutex::default() })
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Arc<Listing>] {
        self.merge.layers()
    }

    /// The layer that describes a path and its entry there; none for what does not exist and for directories that only follow from longer names.
    pub fn listed(&self, path: &RootedPath) -> Option<(usize, &ListingEntry)> {
        self.merge.listed(self.merge.find(path)?)
    }

    fn node(&self, id: SlotId, path: RootedPath) -> Node {
        let inode = self.merge.slot(id).inode;
        let entry = match self.merge.listed(id) {
            None => Entry::dir(path, 0o755),
            Some((_, listed)) => {
                let Entry { kind, mode, uid, gid, mtime, xattrs, .. } = &listed.entry;
                Entry {
                    path,
                    kind: kind.clone(),
                    mode: *mode,
                    uid: *uid,
                    gid: *gid,
                    mtime: *mtime,
                    xattrs: xattrs.clone(),
                }
            }
        };
        Node { entry, inode, link_count: self.merge.link_count(inode) }
    }

    fn file(&self, path: &RootedPath) -> Result<(SlotId, usize, &ListingEntry), TreeError> {
        let id = self.merge.find(path).ok_or_else(|| TreeError::not_found(path))?;
        match self.merge.listed(id) {
            Some((layer, listed)) if listed.entry.is_file() => Ok((id, layer, listed)),
            _ => Err(TreeError::NotAFile { path: path.clone() }),
        }
    }
}

impl Tree for LayeredTree {
    fn lookup(&self, path: &RootedPath) -> Result<Option<Node>, TreeError> {
        Ok(self.merge.find(path).map(|id| self.node(id, path.clone())))
    }

    fn read_dir(&self, path: &RootedPath) -> Result<Vec<Node>, TreeError> {
        let id = self.merge.find(path).ok_or_else(|| TreeError::not_found(path))?;
        if !self.merge.is_dir(id) {
            return Err(TreeError::NotADirectory { path: path.clone() });
        }
        let children = &self.merge.slot(id).children;
        Ok(children.iter().map(|(name, id)| self.node(*id, path.child(name))).collect())
    }

    fn open(&self, path: &RootedPath) -> Result<Box<dyn Read + Send>, TreeError> {
        let (id, layer, listed) = self.file(path)?;
        let in_layer = &listed.entry.path;
        if let Some(bytes) = self.layers()[layer].inline(in_layer) {
            return Ok(Box::new(Cursor::new(bytes.to_vec())));
        }
        if listed.entry.size_bytes() == 0 {
            return Ok(Box::new(io::empty()));
        }
        let opened = match (self.opener.open(layer, in_layer), self.merge.moved(id)) {
            (Err(_), Some(moved)) => self.opener.open(layer, moved),
            (opened, _) => opened,
        };
        opened.map_err(|source| TreeError::Read { path: path.clone(), source })
    }

    fn content(&self, path: &RootedPath) -> Result<[u8; 32], TreeError> {
        let (_, layer, listed) = self.file(path)?;
        if let Some(digest) = listed.content {
            return Ok(digest);
        }
        let key = (layer, listed.entry.path.clone());
        if let Some(digest) = self.computed.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(*digest);
        }
        let digest = hash(self.open(path)?).map_err(|source| TreeError::Read { path: path.clone(), source })?;
        self.computed.lock().unwrap_or_else(PoisonError::into_inner).insert(key, digest);
        Ok(digest)
    }
}

fn hash(mut bytes: Box<dyn Read + Send>) -> io::Result<[u8; 32]> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish_raw()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
