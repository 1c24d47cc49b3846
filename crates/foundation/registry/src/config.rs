//! In: configuration files. Out: what they say about each registry. Never: a default path hidden from tests.

use std::path::PathBuf;

use crate::RegistryError;

/// What host and user say about registries.
#[derive(Debug, Clone, Default)]
pub struct Config {}

/// Where configuration is looked for.
#[derive(Debug, Clone, Default)]
pub struct ConfigPaths {
    /// Our own files; a later one overrides an earlier one.
    pub config_files: Vec<PathBuf>,
    /// Docker's `daemon.json` files.
    pub daemon_files: Vec<PathBuf>,
    /// Docker's `certs.d` directories.
    pub certificate_dirs: Vec<PathBuf>,
    /// Bundles of the system's CA certificates; the first that exists is used.
    pub ca_bundles: Vec<PathBuf>,
    /// A file that must exist (`$CROSSDOCK_CONFIG`).
    pub must_exist: bool,
}

impl ConfigPaths {
    /// The paths of this host and user.
    pub fn from_environment() -> Self {
        Self::default()
    }
}

impl Config {
    /// Reads every file that is there.
    ///
    /// # Errors
    /// When one cannot be read or understood; the error names file and line.
    pub fn load(_paths: &ConfigPaths) -> Result<Self, RegistryError> {
        Ok(Self::default())
    }

    /// What was left out and should be said to the user.
    pub fn warnings(&self) -> &[String] {
        &[]
    }
}
