//! In: what is learned of a layer over time. Out: its row: blobs, snapshots, listing, origins. Never: a promise that the files still exist (rows are hints).
//!
//! A layer may be known as a remote blob only, as stored blobs in several compressions, as an unpacked snapshot, as
//! a listing, or as several of these (decision 3). A layer made of a known tar is named by its diffID; the result of
//! a process has a name of its own until somebody needs its tar.

use std::collections::BTreeMap;
use std::fmt;

use crossdock_content::{Link, Space, Store};
use crossdock_oci::media_type::{self, Compression};
use crossdock_oci::{BlobDigest, Descriptor, DiffId, Timestamp};
use crossdock_snapshot::program::Programs;
use serde::{Deserialize, Serialize};

use crate::ImageError;

/// Names a layer inside one store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerId(String);

impl LayerId {
    /// The layer with this uncompressed tar.
    pub fn of_diff(diff: DiffId) -> Self {
        Self(format!("d{}", diff.hex()))
    }

    /// The result of a process, under a name nobody else uses.
    pub fn of_process(unique: &str) -> Self {
        Self(format!("x{unique}"))
    }

    /// A name that was stored; `None` when it is none of ours.
    pub fn from_stored(text: &str) -> Option<Self> {
        (text.starts_with(['d', 'x']) && text.len() > 1 && text.bytes().all(|b| b.is_ascii_alphanumeric()))
            .then(|| Self(text.to_owned()))
    }

    /// The name as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the snapshot of a stack of layers, lowest first: equal stacks have equal snapshots.
    pub fn stack_name(stack: &[Self]) -> String {
        let text = stack.iter().map(Self::as_str).collect::<Vec<_>>().join(" ");
        BlobDigest::of(text.as_bytes()).hex()[..24].to_owned()
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A stored or remote form of a layer's tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerBlob {
    pub media_type: String,
    pub digest: BlobDigest,
    /// Bytes of the blob.
    pub size: u64,
    /// The method that made it here; `None` for a blob inherited from another image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Repositories that hold it: `docker.io/library/busybox`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
}

impl LayerBlob {
    /// How the blob is compressed.
    pub fn compression(&self) -> Option<Compression> {
        media_type::layer_compression(&self.media_type)
    }

    /// Notes that this repository holds the blob; the one noted last is asked first.
    pub fn add_origin(&mut self, repository: &str) {
        self.origins.retain(|known| known != repository);
        self.origins.insert(0, repository.to_owned());
    }

    /// The blob as a manifest names it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.size)
    }
}

/// What is known of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRow {
    pub id: LayerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<DiffId>,
    /// When its step ran; for base layers when it was first seen.
    pub created: Timestamp,
    #[serde(default)]
    pub blobs: Vec<LayerBlob>,
    /// Snapshots whose topmost layer this is, by the name of the stack they hold.
    #[serde(default)]
    pub snapshots: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<BlobDigest>,
    /// Bytes of the tar, when known.
    #[serde(default)]
    pub uncompressed_size: u64,
    /// What its programs are was noted, see [`Layers::programs`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub programs_noted: bool,
}

impl LayerRow {
    /// A layer of which nothing is known but its name.
    pub const fn new(id: LayerId, diff_id: Option<DiffId>, created: Timestamp) -> Self {
        Self {
            id,
            diff_id,
            created,
            blobs: Vec::new(),
            snapshots: BTreeMap::new(),
            listing: None,
            uncompressed_size: 0,
            programs_noted: false,
        }
    }

    /// Adds a blob, or the origins of one that is known already.
    pub fn add_blob(&mut self, blob: LayerBlob) {
        match self.blobs.iter_mut().find(|known| known.digest == blob.digest && known.media_type == blob.media_type) {
            None => self.blobs.push(blob),
            Some(known) => {
                blob.origins.iter().rev().for_each(|origin| known.add_origin(origin));
                known.method = known.method.take().or(blob.method);
            }
        }
    }

    fn links(&self) -> Vec<Link> {
        let blobs = self.blobs.iter().map(|blob| Link::Blob(blob.digest));
        let snapshots = self.snapshots.values().map(|name| Link::Row(Space::Snapshot, name.clone()));
        let programs = self.diff_id.filter(|_| self.programs_noted);
        let programs = programs.map(|diff_id| Link::Row(Space::Listing, programs_key(diff_id)));
        blobs.chain(snapshots).chain(self.listing.map(Link::Blob)).chain(programs).collect()
    }
}

/// The row that says what the programs of a layer are.
fn programs_key(diff_id: DiffId) -> String {
    format!("programs/{}", diff_id.hex())
}

/// The layer rows of a store.
#[derive(Clone)]
pub struct Layers {
    store: Store,
}

impl Layers {
    /// The rows kept in this store.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// What is known of a layer; `None` when nothing is.
    ///
    /// # Errors
    /// Those of the store; an unreadable row counts as none.
    pub fn get(&self, id: &LayerId) -> Result<Option<LayerRow>, ImageError> {
        let row = self.store.get(Space::Layer, id.as_str())?;
        Ok(row.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes a row.
    ///
    /// # Errors
    /// Those of the store.
    pub fn put(&self, row: &LayerRow) -> Result<(), ImageError> {
        let value = serde_json::to_vec(row).expect("a layer row has only string keys");
        self.store.put_row(Space::Layer, row.id.as_str(), &value, &row.links())?;
        Ok(())
    }

    /// What the programs of a layer are; `None` when nobody looked, or another version of this program did.
    ///
    /// # Errors
    /// Those of the store.
    pub fn programs(&self, diff_id: DiffId) -> Result<Option<Programs>, ImageError> {
        let row = self.store.get(Space::Listing, &programs_key(diff_id))?;
        Ok(row.and_then(|bytes| Programs::decode(&bytes)))
    }

    /// Notes what the programs of a layer are. It lives as long as a row with [`LayerRow::programs_noted`].
    ///
    /// # Errors
    /// Those of the store.
    pub fn note_programs(&self, diff_id: DiffId, programs: &Programs) -> Result<(), ImageError> {
        Ok(self.store.put_row(Space::Listing, &programs_key(diff_id), &programs.encode(), &[])?)
    }

    /// Changes a row, which is made when it is not there. Two writers at once may lose one of two hints; the loser
    /// is found out when it is looked for.
    ///
    /// # Errors
    /// Those of the store.
    pub fn update(
        &self,
        id: &LayerId,
        fresh: impl FnOnce() -> LayerRow,
        change: impl FnOnce(&mut LayerRow),
    ) -> Result<LayerRow, ImageError> {
        let known = self.get(id)?;
        let mut row = known.clone().unwrap_or_else(fresh);
        change(&mut row);
        if known.as_ref() != Some(&row) {
            self.put(&row)?;
        }
        Ok(row)
    }
}
