//! In: index (manifest list) bytes. Out: the bytes and a view of them. Never: an index serialised again to be hashed.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::descriptor::null_as_empty;
use crate::manifest::{DocumentError, check_size};
use crate::{BlobDigest, Descriptor, PlatformMatcher, media_type};

/// What an index says: manifests, usually one per platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexView {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An index as received or written: the digest is always that of `raw`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub raw: Bytes,
    pub view: IndexView,
}

impl Index {
    /// Reads received bytes.
    ///
    /// # Errors
    /// When they are too large, no index, or of another schema version.
    pub fn parse(raw: Bytes) -> Result<Self, DocumentError> {
        check_size("index", &raw)?;
        let view: IndexView =
            serde_json::from_slice(&raw).map_err(|source| DocumentError::Json { what: "index", source })?;
        if view.schema_version != 2 {
            return Err(DocumentError::SchemaVersion { what: "index", version: view.schema_version });
        }
        Ok(Self { raw, view })
    }

    /// Writes a view as BuildKit does: JSON indented by two blanks (spec/engine.md §4).
    pub fn write(view: IndexView) -> Self {
        let raw = serde_json::to_vec_pretty(&view).expect("an index view has only string keys");
        Self { raw: raw.into(), view }
    }

    /// The digest of the raw bytes.
    pub fn digest(&self) -> BlobDigest {
        BlobDigest::of(&self.raw)
    }

    /// A descriptor of the raw bytes; without a media type of its own it counts as an OCI index.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(self.view.media_type.as_deref().unwrap_or(media_type::OCI_INDEX), &self.raw)
    }

    /// The entries that are images, without attestations and entries of platform `unknown/unknown`.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.view.manifests.iter().filter(|entry| {
            !entry.is_attestation() && entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
        })
    }

    /// The best image entry for a wanted platform, by the preference table of spec/dockerfile.md §8.
    pub fn choose(&self, wanted: &PlatformMatcher) -> Option<&Descriptor> {
        self.images()
            .filter_map(|entry| Some((wanted.rank(&entry.platform.clone()?.normalized())?, entry)))
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, entry)| entry)
    }
}
