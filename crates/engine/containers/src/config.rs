//! In: what a container was made with. Out: the same, remembered. Never: what becomes of it.

use std::collections::BTreeMap;

use crossdock_build::{ImageToRun, RunRequest};
use crossdock_oci::Timestamp;
use serde::{Deserialize, Serialize};

/// Digits of an id that people are shown.
const SHORT_DIGITS: usize = 12;

/// What a container is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// 64 hexadecimal digits.
    pub id: String,
    pub name: String,
    pub created: Timestamp,
    pub image: ImageToRun,
    /// The digest of the image's config: what Docker calls the image's ID.
    pub image_id: String,
    /// As typed.
    pub image_name: String,
    /// Entrypoint and command, joined.
    pub command: Vec<String>,
    pub request: RunRequest,
    /// Standard input stays open.
    #[serde(default)]
    pub interactive: bool,
    #[serde(default)]
    pub privileged: bool,
    /// It is removed when it ends.
    #[serde(default)]
    pub auto_remove: bool,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `-p` as typed: ports are the host's.
    #[serde(default)]
    pub ports: Vec<String>,
    /// `-v` and `--mount` as typed.
    #[serde(default)]
    pub binds: Vec<String>,
    #[serde(default)]
    pub network_mode: String,
    /// The signal that asks it to end, by number.
    #[serde(default)]
    pub stop_signal: Option<i32>,
    /// Seconds it has for that.
    #[serde(default)]
    pub stop_timeout_s: Option<u64>,
}

impl ContainerConfig {
    /// The first digits of the id.
    pub fn short_id(&self) -> &str {
        &self.id[..SHORT_DIGITS.min(self.id.len())]
    }
}
