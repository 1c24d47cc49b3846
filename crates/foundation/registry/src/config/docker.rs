//! In: Docker's `daemon.json` and `certs.d/HOST`. Out: mirrors, insecure registries, certificates. Never: another setting of the Docker daemon.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ours::{is_authority, parse_mirror};
use super::{Config, HostSettings, KeyPair};
use crate::RegistryError;

#[derive(Deserialize)]
struct DaemonFile {
    #[serde(default, rename = "registry-mirrors")]
    registry_mirrors: Vec<String>,
    #[serde(default, rename = "insecure-registries")]
    insecure_registries: Vec<String>,
}

impl Config {
    /// Adds what a `daemon.json` says, if the file is there.
    pub(super) fn add_daemon_file(&mut self, path: &Path) -> Result<(), RegistryError> {
        let text = match super::read_if_there(path) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(()),
            // The file belongs to Docker's daemon; a user who may not read it still wants to build.
            Err(RegistryError::ConfigRead { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                self.warnings.push(format!(
                    "{}: permission denied: its registry-mirrors and insecure-registries are not used",
                    path.display()
                ));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if text.trim().is_empty() {
            return Ok(());
        }
        let syntax =
            |line: usize, message: String| RegistryError::ConfigSyntax { path: path.to_owned(), line, message };
        let file: DaemonFile =
            serde_json::from_str(&text).map_err(|error| syntax(error.line().max(1), error.to_string()))?;
        let line_with = |value: &str| text.find(&format!("{value:?}")).map_or(1, |byte| super::line_of(&text, byte));
        for mirror in &file.registry_mirrors {
            let parsed = parse_mirror(mirror)
                .map_err(|reason| syntax(line_with(mirror), format!("registry-mirrors: {mirror:?}: {reason}")))?;
            self.hub_mirrors.push(parsed);
        }
        for entry in &file.insecure_registries {
            // Docker accepts a scheme here and drops it.
            let host = entry.strip_prefix("http://").or_else(|| entry.strip_prefix("https://")).unwrap_or(entry);
            if let Ok(network) = host.parse() {
                self.insecure_networks.push(network);
            } else if is_authority(host) {
                self.insecure_hosts.push(host.to_owned());
            } else {
                let message = format!("insecure-registries: {entry:?}: expected host[:port] or address/bits");
                return Err(syntax(line_with(entry), message));
            }
        }
        Ok(())
    }
}

/// Adds `*.crt` (CAs) and pairs of `*.cert` and `*.key` (client certificates) of a directory, if it is there.
pub(super) fn add_certificate_dir(
    authority: &str,
    directory: &Path,
    settings: &mut HostSettings,
) -> Result<(), RegistryError> {
    let fail = |path: &Path, reason: String| RegistryError::Certificate {
        host: authority.to_owned(),
        path: path.to_owned(),
        reason,
    };
    let entries = match fs_err::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(fail(directory, error.to_string())),
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in entries {
        files.push(entry.map_err(|error| fail(directory, error.to_string()))?.path());
    }
    files.sort();
    for file in &files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => settings.ca.push(file.clone()),
            Some("cert") => {
                let key = file.with_extension("key");
                if !files.contains(&key) {
                    let reason = format!(
                        "its key {} is missing (a CA's certificate must be named *.crt)",
                        key.file_name().unwrap_or_default().to_string_lossy()
                    );
                    return Err(fail(file, reason));
                }
                settings.keypairs.push(KeyPair { key, cert: file.clone() });
            }
            Some("key") if !files.contains(&file.with_extension("cert")) => {
                let cert = file.with_extension("cert");
                let name = cert.file_name().unwrap_or_default().to_string_lossy();
                return Err(fail(file, format!("its certificate {name} is missing")));
            }
            _ => {}
        }
    }
    Ok(())
}
