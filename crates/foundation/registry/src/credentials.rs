//! In: Docker's config.json, DOCKER_AUTH_CONFIG, credential helpers. Out: a user's credentials for a host. Never: shown, logged, written.

use std::path::PathBuf;

/// Where credentials are looked for.
#[derive(Debug, Clone, Default)]
pub struct CredentialPaths {
    /// The value of DOCKER_AUTH_CONFIG.
    pub auth_config: Option<String>,
    /// `config.json`.
    pub config_file: Option<PathBuf>,
    /// Directories with `docker-credential-…` programs, instead of those of PATH.
    pub helper_dirs: Option<Vec<PathBuf>>,
}

/// Finds credentials; files are read and helpers run when a registry first asks for a login.
#[derive(Clone, Default)]
pub struct Credentials {}

impl Credentials {
    /// Of this user.
    pub fn from_environment() -> Self {
        Self::default()
    }

    /// From these places.
    pub fn from_paths(_paths: CredentialPaths) -> Self {
        Self::default()
    }

    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }
}
