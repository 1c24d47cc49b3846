//! In: a login that was proved, or one to be forgotten. Out: Docker's `config.json` (or a credential helper) with just that changed. Never: another key of the file lost, a half-written file, a file that others may read.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Credentials, HUB_KEY, HUB_KEYS_OTHER, Secret, TOKEN_USER, file::AuthFile, program};
use crate::RegistryError;
use crate::config::{HUB_DOMAIN, HUB_HOST};

/// Where a login was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavedWhere {
    /// As text that anybody who reads the file can use.
    File(PathBuf),
    /// In a helper's keeping.
    Helper(String),
}

/// A login that is kept for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// `None` for a token.
    pub user: Option<String>,
    pub origin: String,
}

impl Credentials {
    /// The name under which Docker keeps a registry's login.
    pub fn key(server: &str) -> &str {
        if is_hub(server) { HUB_KEY } else { bare(server) }
    }

    /// The login kept for a host, without its secret.
    ///
    /// # Errors
    /// When `config.json` cannot be understood.
    pub fn kept(&self, server: &str) -> Result<Option<Kept>, RegistryError> {
        let host = if is_hub(server) { HUB_DOMAIN } else { bare(server) };
        let found = self.find(host)?;
        Ok(found.credential.map(|credential| Kept {
            user: match credential {
                super::Credential::Password { user, .. } => Some(user),
                _ => None,
            },
            origin: found.origin,
        }))
    }

    /// Keeps a login: with the helper that `config.json` names for the host, else in the file itself.
    ///
    /// # Errors
    /// When the file cannot be read, understood or written, or the helper refuses.
    pub fn save(&self, server: &str, user: &str, password: &str) -> Result<SavedWhere, RegistryError> {
        let (path, key) = (self.file_to_write()?, Self::key(server));
        let mut document = read(&path)?;
        let secret = Secret::new(password);
        if let Some(helper) = self.helper(&path, key)? {
            program::store(&helper, self.inner.paths.helper_dirs.as_deref(), key, user, &secret)
                .map_err(|reason| RegistryError::Helper { helper: helper.clone(), action: "keep the login", reason })?;
            // An empty entry says that the helper knows the host.
            entry(&mut document, &path)?.insert(key.to_owned(), json!({}));
            write(&path, &document)?;
            return Ok(SavedWhere::Helper(helper));
        }
        let value = if user == TOKEN_USER {
            json!({ "auth": STANDARD.encode(format!("{user}:")), "identitytoken": secret.expose() })
        } else {
            json!({ "auth": STANDARD.encode(format!("{user}:{}", secret.expose())) })
        };
        entry(&mut document, &path)?.insert(key.to_owned(), value);
        write(&path, &document)?;
        Ok(SavedWhere::File(path))
    }

    /// Forgets the login of a host, under every name it may have. Tells whether there was one.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn forget(&self, server: &str) -> Result<bool, RegistryError> {
        let (path, key) = (self.file_to_write()?, Self::key(server));
        let mut document = read(&path)?;
        let mut names = vec![key.to_owned()];
        if is_hub(server) {
            names.extend(HUB_KEYS_OTHER.map(str::to_owned));
        } else {
            names.extend([format!("https://{key}"), format!("http://{key}"), format!("https://{key}/v1/")]);
        }
        let mut known = false;
        if let Some(helper) = self.helper(&path, key)? {
            known = self.kept(server)?.is_some();
            program::erase(&helper, self.inner.paths.helper_dirs.as_deref(), key)
                .map_err(|reason| RegistryError::Helper { helper, action: "forget the login", reason })?;
        }
        let Some(auths) = document.get_mut("auths").and_then(Value::as_object_mut) else { return Ok(known) };
        let before = auths.len();
        auths.retain(|name, _| !names.contains(name));
        if auths.len() != before {
            known = true;
            write(&path, &document)?;
        }
        Ok(known)
    }

    fn file_to_write(&self) -> Result<PathBuf, RegistryError> {
        self.inner.paths.config_file.clone().ok_or(RegistryError::NoConfigFile)
    }

    fn helper(&self, path: &Path, key: &str) -> Result<Option<String>, RegistryError> {
        let others: &[&str] = if key == HUB_KEY { &HUB_KEYS_OTHER } else { &[] };
        Ok(AuthFile::read(path)?.helper_for(key, others).map(str::to_owned))
    }
}

fn is_hub(server: &str) -> bool {
    let bare = bare(server);
    server.is_empty() || bare == HUB_DOMAIN || bare == HUB_HOST || bare == "index.docker.io"
}

/// `https://host:1/v2/` → `host:1`.
fn bare(server: &str) -> &str {
    let rest = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    rest.split('/').next().unwrap_or(rest)
}

/// The whole document, in the order it was written; a file that is not there is empty.
fn read(path: &Path) -> Result<Map<String, Value>, RegistryError> {
    let text = match fs_err::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => return Ok(Map::new()),
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Map::new()),
        Err(source) => return Err(RegistryError::ConfigRead { path: path.to_owned(), source }),
    };
    serde_json::from_str(&text).map_err(|error| RegistryError::ConfigSyntax {
        path: path.to_owned(),
        line: error.line().max(1),
        message: format!("not a JSON object (column {}); it was left as it is", error.column()),
    })
}

fn entry<'d>(document: &'d mut Map<String, Value>, path: &Path) -> Result<&'d mut Map<String, Value>, RegistryError> {
    let auths = document.entry("auths").or_insert_with(|| json!({}));
    if auths.is_null() {
        *auths = json!({});
    }
    auths.as_object_mut().ok_or_else(|| RegistryError::ConfigSyntax {
        path: path.to_owned(),
        line: 1,
        message: "auths is no JSON object; it was left as it is".to_owned(),
    })
}

/// Writes beside the file and renames. A link is followed, so that a file kept elsewhere stays linked; permissions stay,
/// a new file is the user's alone.
fn write(path: &Path, document: &Map<String, Value>) -> Result<(), RegistryError> {
    let failed = |source| RegistryError::ConfigWrite { path: path.to_owned(), source };
    let place = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(parent) = place.parent() {
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(parent).map_err(failed)?;
    }
    let mode = fs_err::metadata(&place).map_or(0o600, |known| known.permissions().mode() & 0o7777);
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(format!(".part{}", std::process::id()));
    let part = place.with_file_name(name);
    let mut text = Vec::new();
    let mut writer =
        serde_json::Serializer::with_formatter(&mut text, serde_json::ser::PrettyFormatter::with_indent(b"\t"));
    serde::Serialize::serialize(document, &mut writer).map_err(|error| failed(error.into()))?;
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| {
            file.write_all(&text)?;
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
            keep_owner(&place, &file);
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&part, &place));
    written.map_err(|source| {
        let _ = std::fs::remove_file(&part);
        failed(source)
    })
}

/// Root that logs in for somebody else must not take that user's file away.
fn keep_owner(place: &Path, file: &std::fs::File) {
    use std::os::unix::fs::MetadataExt as _;
    if let Ok(known) = fs_err::metadata(place) {
        let _ = std::os::unix::fs::fchown(file, Some(known.uid()), Some(known.gid()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::CredentialPaths;
    use super::*;

    fn over(dir: &Path) -> Credentials {
        Credentials::from_paths(CredentialPaths {
            auth_config: None,
            config_file: Some(dir.join("config.json")),
            helper_dirs: Some(vec![dir.to_owned()]),
        })
    }

    #[test]
    fn other_keys_and_permissions_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        fs_err::write(&path, r#"{"zeta": 1, "auths": {"a:1": {"auth": "eDp5"}}, "alpha": {"b": [true]}}"#).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let saved = over(dir.path()).save("b:2", "me", "p:w").unwrap();
        assert_eq!(saved, SavedWhere::File(path.clone()));
        let document: Value = serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(document["auths"]["a:1"]["auth"], "eDp5");
        assert_eq!(document["auths"]["b:2"]["auth"], STANDARD.encode("me:p:w"));
        assert_eq!((&document["zeta"], &document["alpha"]["b"][0]), (&json!(1), &json!(true)));
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(over(dir.path()).kept("b:2").unwrap().unwrap().user.as_deref(), Some("me"));
        assert!(over(dir.path()).forget("b:2").unwrap());
        assert!(!over(dir.path()).forget("b:2").unwrap());
        assert!(over(dir.path()).kept("a:1").unwrap().is_some());
    }

    #[test]
    fn a_new_file_is_the_users_alone_and_the_hub_has_its_key() {
        let dir = tempfile::tempdir().unwrap();
        over(&dir.path().join("sub")).save("docker.io", "me", "pw").unwrap();
        let path = dir.path().join("sub/config.json");
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let document: Value = serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
        assert!(document["auths"].get(HUB_KEY).is_some(), "{document}");
        assert!(over(&dir.path().join("sub")).forget("").unwrap());
    }

    #[test]
    fn a_broken_file_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        fs_err::write(&path, "{ not json").unwrap();
        assert!(over(dir.path()).save("b:2", "me", "pw").is_err());
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "{ not json");
    }

    #[test]
    fn a_helper_keeps_it_instead_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("docker-credential-test");
        fs_err::write(
            &program,
            "#!/bin/sh\nd=$(dirname \"$0\")\ncase $1 in\nstore) cat > \"$d/kept\";;\nget) cat \"$d/kept\" 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; };;\nerase) rm -f \"$d/kept\";;\nesac\n",
        )
        .unwrap();
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = dir.path().join("config.json");
        fs_err::write(&path, r#"{"credsStore": "test"}"#).unwrap();
        assert_eq!(over(dir.path()).save("b:2", "me", "pw").unwrap(), SavedWhere::Helper("test".to_owned()));
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(!text.contains("auth\""), "{text}");
        assert_eq!(over(dir.path()).kept("b:2").unwrap().unwrap().user.as_deref(), Some("me"));
        assert!(over(dir.path()).forget("b:2").unwrap());
        assert!(over(dir.path()).kept("b:2").unwrap().is_none());
    }
}
