//! In: image config bytes. Out: the bytes and a view that keeps unknown keys. Never: a key of the base image dropped.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::descriptor::null_as_empty;
use crate::manifest::{DocumentError, check_size};
use crate::{BlobDigest, DiffId, Platform, Timestamp};

/// `HEALTHCHECK` as images carry it; durations are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if hands out references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if hands out references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// An object whose values are all `{}`: how images write sets (exposed ports, volumes).
pub type EmptyObjectMap = BTreeMap<String, serde_json::Map<String, serde_json::Value>>;

/// The `config` object: what a container made of the image starts with. Key order follows Docker's writer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_empty")]
    pub exposed_ports: EmptyObjectMap,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub env: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub cmd: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_empty")]
    pub volumes: EmptyObjectMap,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub on_build: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub shell: Vec<String>,
    /// Keys of the base image this type does not know.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// The layers of the image, uncompressed, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(deserialize_with = "null_as_empty")]
    pub diff_ids: Vec<DiffId>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// One step of how the image was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    #[serde(skip_serializing_if = "is_false")]
    pub empty_layer: bool,
}

/// What an image config says. Key order follows BuildKit's writer (spec/transcripts/44).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfigView {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os: String,
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub os_features: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    #[serde(deserialize_with = "null_as_empty")]
    pub config: ContainerConfig,
    pub rootfs: RootFs,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub history: Vec<History>,
    /// Keys of the base image this type does not know.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// An image config as received or written; its digest is the image ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    pub raw: Bytes,
    pub view: ImageConfigView,
}

impl ImageConfigView {
    /// The platform the config says, normalised; `None` where it names no architecture.
    pub fn platform(&self) -> Option<Platform> {
        if self.architecture.is_empty() {
            return None;
        }
        let mut platform = Platform::new(&self.os, &self.architecture, &self.variant);
        platform.os_version.clone_from(&self.os_version);
        platform.os_features.clone_from(&self.os_features);
        Some(platform.normalized())
    }
}

impl ImageConfig {
    /// Reads received bytes.
    ///
    /// # Errors
    /// When they are too large or no image config.
    pub fn parse(raw: Bytes) -> Result<Self, DocumentError> {
        check_size("image config", &raw)?;
        let view =
            serde_json::from_slice(&raw).map_err(|source| DocumentError::Json { what: "image config", source })?;
        Ok(Self { raw, view })
    }

    /// Writes a view as compact JSON.
    pub fn write(view: ImageConfigView) -> Self {
        let raw = serde_json::to_vec(&view).expect("a config view has only string keys");
        Self { raw: raw.into(), view }
    }

    /// The digest of the raw bytes: the image ID.
    pub fn digest(&self) -> BlobDigest {
        BlobDigest::of(&self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_survive() {
        let raw = br#"{"architecture":"amd64","os":"linux","config":{"Env":["A=b"],"Domainname":"x"},"rootfs":{"type":"layers","diff_ids":null},"moby.buildkit.cache.v0":"e30="}"#;
        let config = ImageConfig::parse(Bytes::from_static(raw)).unwrap();
        let text = String::from_utf8(ImageConfig::write(config.view).raw.to_vec()).unwrap();
        assert!(text.contains("moby.buildkit.cache.v0") && text.contains("Domainname"), "{text}");
    }

    #[test]
    fn null_lists_of_docker_writers_are_empty() {
        let raw = br#"{"architecture":"arm","variant":"v7","os":"linux","config":{"Env":null,"Cmd":null,"ExposedPorts":null,"Labels":null},"rootfs":{"type":"layers","diff_ids":[]},"history":null}"#;
        let config = ImageConfig::parse(Bytes::from_static(raw)).unwrap();
        assert_eq!(config.view.platform().unwrap().to_string(), "linux/arm/v7");
    }
}
