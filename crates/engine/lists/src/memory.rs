//! In: lists that were made and pushed here. Out: what Docker's files have no place for. Never: a file in Docker's own directories.
//!
//! `$DOCKER_CONFIG/crossdock/manifests/<list>.json`: the digest under which the list was pushed last, and for each image
//! that is in no registry where it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crossdock_oci::{BlobDigest, Reference};
use serde::{Deserialize, Serialize};

use crate::ListError;
use crate::docker_dir::file_name;

/// What is remembered of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remembered {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<BlobDigest>,
    /// By file name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub elsewhere: BTreeMap<String, Elsewhere>,
}

/// Where an image is that is in no registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Elsewhere {
    /// In the local store, under this name.
    Kept(Reference),
    /// In an OCI layout.
    Layout(PathBuf),
}

/// The directory of what is remembered.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    root: PathBuf,
}

impl Memory {
    pub fn in_config(config_dir: &Path) -> Self {
        Self { root: config_dir.join("crossdock/manifests") }
    }

    fn path(&self, list: &Reference) -> PathBuf {
        self.root.join(format!("{}.json", file_name(list)))
    }

    /// What is known of a list. A file that cannot be read knows nothing: it is no reason to refuse a list that is Docker's.
    pub fn get(&self, list: &Reference) -> Remembered {
        fs_err::read(self.path(list)).ok().and_then(|raw| serde_json::from_slice(&raw).ok()).unwrap_or_default()
    }

    /// # Errors
    /// When the file cannot be written.
    pub fn put(&self, list: &Reference, remembered: &Remembered) -> Result<(), ListError> {
        if *remembered == Remembered::default() {
            self.forget(list);
            return Ok(());
        }
        let path = self.path(list);
        let file = |source| ListError::File { action: "write", path: path.clone(), source };
        fs_err::create_dir_all(&self.root).map_err(file)?;
        let mut part = tempfile::NamedTempFile::new_in(&self.root).map_err(file)?;
        let text = serde_json::to_vec_pretty(remembered).expect("it has only string keys");
        std::io::Write::write_all(&mut part, &text).map_err(file)?;
        part.persist(&path).map_err(|error| file(error.error))?;
        Ok(())
    }

    pub fn forget(&self, list: &Reference) {
        let _gone_already = fs_err::remove_file(self.path(list));
    }
}
