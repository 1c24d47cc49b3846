//! In: the text of a `config.json`. Out: its logins and the helpers it names. Never: its other settings.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;

use super::{Credential, Secret};
use crate::RegistryError;

/// The part of Docker's `config.json` that is about logins.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthFile {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    creds_store: Option<String>,
}

/// One login.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Entry {
    /// base64 of `user:password`.
    #[serde(default)]
    auth: Secret,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: Secret,
    #[serde(default)]
    identitytoken: Secret,
    #[serde(default)]
    registrytoken: Secret,
}

impl AuthFile {
    /// Reads the file; one that is missing says nothing.
    pub(super) fn read(path: &Path) -> Result<Self, RegistryError> {
        match fs_err::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => Ok(Self::default()),
            Ok(text) => Self::parse(path, &text),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Self::default()),
            Err(source) => Err(RegistryError::ConfigRead { path: path.to_owned(), source }),
        }
    }

    /// Reads a text that was found at `path`.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, RegistryError> {
        let syntax =
            |line: usize, message: String| RegistryError::ConfigSyntax { path: path.to_owned(), line, message };
        let mut file: Self = serde_json::from_str(text).map_err(|error| {
            // serde_json quotes values of a wrong type, and here any value may be a password.
            let message = match error.classify() {
                serde_json::error::Category::Data => "a value under auths, credHelpers or credsStore has a wrong type",
                _ => "not valid JSON",
            };
            syntax(error.line().max(1), format!("{message} (column {})", error.column()))
        })?;
        for (host, entry) in file.auths.iter_mut().flatten() {
            if entry.auth.is_empty() {
                continue;
            }
            let Some((user, password)) = decode(&entry.auth) else {
                let line = text.find(&format!("{host:?}")).map_or(1, |byte| crate::config::line_of(text, byte));
                return Err(syntax(line, format!("auth of {host:?} is not base64 of user:password; log in again")));
            };
            entry.username = user;
            entry.password = password;
        }
        Ok(file)
    }

    /// The login for a key: as written, else by host name, else under another name of the same registry.
    pub(super) fn entry(&self, key: &str, others: &[&str]) -> Option<&Entry> {
        let auths = self.auths.as_ref()?;
        auths
            .get(key)
            // Old Docker versions wrote https://host/v1/.
            .or_else(|| auths.iter().find(|(name, _)| host_part(name) == key).map(|(_, entry)| entry))
            .or_else(|| others.iter().find_map(|other| auths.get(*other)))
    }

    /// The program to ask about a key.
    pub(super) fn helper_for(&self, key: &str, others: &[&str]) -> Option<&str> {
        let helpers = self.cred_helpers.as_ref();
        let own = helpers.and_then(|map| map.get(key).or_else(|| others.iter().find_map(|other| map.get(*other))));
        own.or(self.creds_store.as_ref()).map(String::as_str).filter(|name| !name.is_empty())
    }
}

impl Entry {
    /// What the entry holds, the strongest first; an empty entry only says that a store knows the host.
    pub(super) fn credential(&self) -> Option<Credential> {
        if !self.registrytoken.is_empty() {
            return Some(Credential::RegistryToken(self.registrytoken.clone()));
        }
        if !self.identitytoken.is_empty() {
            return Some(Credential::IdentityToken(self.identitytoken.clone()));
        }
        if self.username.is_empty() && self.password.is_empty() {
            return None;
        }
        Some(Credential::Password { user: self.username.clone(), password: self.password.clone() })
    }
}

fn decode(auth: &Secret) -> Option<(String, Secret)> {
    let text = auth.expose().trim();
    let bytes = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    // Docker trims the zero bytes that an old helper left behind.
    Some((user.to_owned(), Secret::new(password.trim_matches('\0'))))
}

/// `https://host:1/v1/` → `host:1`.
fn host_part(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    rest.split('/').next().unwrap_or(rest)
}
