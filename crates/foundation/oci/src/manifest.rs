//! In: manifest bytes. Out: the bytes and a view of them. Never: a manifest serialised again to be hashed.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::descriptor::null_as_empty;
use crate::{BlobDigest, Descriptor, MANIFEST_SIZE_MAX, media_type};

/// What a manifest says: one config and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestView {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A manifest as received or written: the digest is always that of `raw`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub raw: Bytes,
    pub view: ManifestView,
}

/// Why bytes are not a manifest, index or config.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("{what} is {size_bytes} bytes, more than the limit of {MANIFEST_SIZE_MAX}")]
    TooLarge { what: &'static str, size_bytes: u64 },
    #[error("not a valid {what}: {source}")]
    Json { what: &'static str, source: serde_json::Error },
    #[error("unsupported {what}: schemaVersion {version} (2 is supported; push the image again with a current tool)")]
    SchemaVersion { what: &'static str, version: u32 },
}

pub(crate) fn check_size(what: &'static str, raw: &[u8]) -> Result<(), DocumentError> {
    if raw.len() as u64 > MANIFEST_SIZE_MAX {
        return Err(DocumentError::TooLarge { what, size_bytes: raw.len() as u64 });
    }
    Ok(())
}

impl Manifest {
    /// Reads received bytes.
    ///
    /// # Errors
    /// When they are too large, no manifest, or of schema version 1.
    pub fn parse(raw: Bytes) -> Result<Self, DocumentError> {
        check_size("manifest", &raw)?;
        let view: ManifestView =
            serde_json::from_slice(&raw).map_err(|source| DocumentError::Json { what: "manifest", source })?;
        if view.schema_version != 2 {
            return Err(DocumentError::SchemaVersion { what: "manifest", version: view.schema_version });
        }
        Ok(Self { raw, view })
    }

    /// Writes a view as BuildKit does: JSON indented by two blanks (spec/engine.md §4).
    pub fn write(view: ManifestView) -> Self {
        let raw = serde_json::to_vec_pretty(&view).expect("a manifest view has only string keys");
        Self { raw: raw.into(), view }
    }

    /// The digest of the raw bytes.
    pub fn digest(&self) -> BlobDigest {
        BlobDigest::of(&self.raw)
    }

    /// A descriptor of the raw bytes; without a media type of its own it counts as an OCI manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(self.view.media_type.as_deref().unwrap_or(media_type::OCI_MANIFEST), &self.raw)
    }
}
