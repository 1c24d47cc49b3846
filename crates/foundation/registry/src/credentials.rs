//! In: Docker's config.json, DOCKER_AUTH_CONFIG, credential helpers. Out: a user's credentials for a host. Never: a credential shown, logged or written.
//!
//! The order is the Docker CLI's: DOCKER_AUTH_CONFIG, then the host's own helper (`credHelpers`), then the store of all
//! hosts (`credsStore`), then the file's `auths`. A helper that cannot be run does not stop a build that needs no
//! login: what was wrong with it is said when the registry refuses.

mod file;
mod program;
mod save;
mod secret;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::RegistryError;
use crate::config::{HUB_DOMAIN, HUB_HOST};
use file::{AuthFile, Entry};
pub use save::{Kept, SavedWhere};
pub(crate) use secret::Secret;

/// The name under which Docker keeps the login of Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// Names under which other tools keep it.
const HUB_KEYS_OTHER: [&str; 3] = ["index.docker.io", HUB_DOMAIN, HUB_HOST];
/// The user name with which helpers mark an identity token.
const TOKEN_USER: &str = "<token>";

/// Where credentials are looked for.
#[derive(Clone, Default)]
pub struct CredentialPaths {
    /// The value of DOCKER_AUTH_CONFIG.
    pub auth_config: Option<String>,
    /// Docker's `config.json`.
    pub config_file: Option<PathBuf>,
    /// Directories with `docker-credential-…` programs, instead of those of PATH.
    pub helper_dirs: Option<Vec<PathBuf>>,
}

impl CredentialPaths {
    /// Of this user: `$DOCKER_CONFIG/config.json`, default `~/.docker`.
    pub fn from_environment() -> Self {
        let env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let dir = env("DOCKER_CONFIG").or_else(|| env("HOME").map(|home| home.join(".docker")));
        Self {
            auth_config: std::env::var("DOCKER_AUTH_CONFIG").ok().filter(|value| !value.trim().is_empty()),
            config_file: dir.map(|dir| dir.join("config.json")),
            helper_dirs: None,
        }
    }
}

impl std::fmt::Debug for CredentialPaths {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The variable's value holds passwords.
        out.debug_struct("CredentialPaths")
            .field("auth_config", &self.auth_config.is_some())
            .field("config_file", &self.config_file)
            .field("helper_dirs", &self.helper_dirs)
            .finish()
    }
}

/// Finds credentials. Files are read and helpers run when a registry first asks for a login.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Used for every host, before anything else.
    given: Option<Credential>,
    paths: CredentialPaths,
    files: OnceLock<Files>,
}

/// What the variable and the file say, read once.
#[derive(Debug, Default)]
struct Files {
    variable: AuthFile,
    file: AuthFile,
}

/// A way to prove who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// User name and password, for Basic and for token services.
    Password { user: String, password: Secret },
    /// An OAuth2 refresh token, for token services.
    IdentityToken(Secret),
    /// A bearer token for the registry itself.
    RegistryToken(Secret),
}

/// What looking for credentials gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lookup {
    pub credential: Option<Credential>,
    /// Where the credential came from.
    pub origin: String,
    /// What hindered looking.
    pub note: Option<String>,
}

impl Credentials {
    /// Of this user.
    pub fn from_environment() -> Self {
        Self::from_paths(CredentialPaths::from_environment())
    }

    /// From these places.
    pub fn from_paths(paths: CredentialPaths) -> Self {
        Self { inner: Arc::new(Inner { given: None, paths, files: OnceLock::new() }) }
    }

    /// These alone, for every host: a user name and password that are to be tried. The user name `<token>` marks an
    /// identity token.
    pub fn given(user: &str, password: &str) -> Self {
        let secret = Secret::new(password);
        let given = Some(if user == TOKEN_USER {
            Credential::IdentityToken(secret)
        } else {
            Credential::Password { user: user.to_owned(), password: secret }
        });
        Self { inner: Arc::new(Inner { given, ..Inner::default() }) }
    }

    /// None at all: every registry is spoken to anonymously.
    pub fn none() -> Self {
        Self::default()
    }

    /// The credentials for a host (`docker.io` for Docker Hub). Blocks; may run a program.
    ///
    /// # Errors
    /// When DOCKER_AUTH_CONFIG or `config.json` is there and cannot be understood; the error names file and line.
    pub(crate) fn find(&self, host: &str) -> Result<Lookup, RegistryError> {
        if let Some(given) = &self.inner.given {
            let origin = "this login".to_owned();
            return Ok(Lookup { credential: Some(given.clone()), origin, note: None });
        }
        let files = self.files()?;
        let is_hub = host == HUB_DOMAIN || host == HUB_HOST;
        let key = if is_hub { HUB_KEY } else { host };
        let others: &[&str] = if is_hub { &HUB_KEYS_OTHER } else { &[] };
        let from_entry = |entry: &Entry, origin: String| {
            entry.credential().map(|found| Lookup { credential: Some(found), origin, note: None })
        };
        if let Some(found) = files.variable.entry(key, others)
            && let Some(lookup) = from_entry(found, "DOCKER_AUTH_CONFIG".to_owned())
        {
            return Ok(lookup);
        }
        let file_origin = || self.inner.paths.config_file.as_deref().unwrap_or(Path::new("")).display().to_string();
        if let Some(helper) = files.file.helper_for(key, others) {
            let dirs = self.inner.paths.helper_dirs.as_deref();
            match program::get(helper, dirs, key) {
                Ok(Some(found)) if found.user == TOKEN_USER => {
                    let credential = Some(Credential::IdentityToken(found.secret));
                    return Ok(Lookup { credential, origin: format!("helper docker-credential-{helper}"), note: None });
                }
                Ok(Some(found)) => {
                    let credential = Some(Credential::Password { user: found.user, password: found.secret });
                    return Ok(Lookup { credential, origin: format!("helper docker-credential-{helper}"), note: None });
                }
                Ok(None) => return Ok(Lookup::default()),
                Err(reason) => {
                    let note = format!("docker-credential-{helper} (named in {}): {reason}", file_origin());
                    return Ok(Lookup { credential: None, origin: String::new(), note: Some(note) });
                }
            }
        }
        let found = files.file.entry(key, others).and_then(|entry| from_entry(entry, file_origin()));
        Ok(found.unwrap_or_default())
    }

    fn files(&self) -> Result<&Files, RegistryError> {
        if let Some(files) = self.inner.files.get() {
            return Ok(files);
        }
        let paths = &self.inner.paths;
        let variable = match &paths.auth_config {
            Some(text) => AuthFile::parse(Path::new("DOCKER_AUTH_CONFIG"), text)?,
            None => AuthFile::default(),
        };
        let file = match &paths.config_file {
            Some(path) => AuthFile::read(path)?,
            None => AuthFile::default(),
        };
        Ok(self.inner.files.get_or_init(|| Files { variable, file }))
    }
}

#[cfg(test)]
mod tests;
