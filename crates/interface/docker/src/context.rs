//! In: `contexts/meta` of the client's configuration. Out: the contexts there, and their engines. Never: a file written.

use std::path::{Path, PathBuf};

use crossdock_oci::BlobDigest;
use serde::Deserialize;

use crate::error::DockerError;

/// One context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextMeta {
    pub name: String,
    pub description: String,
    /// The engine's host, as written.
    pub host: String,
    /// Whether certificates are kept for it: then the connection is encrypted.
    pub tls: bool,
}

#[derive(Deserialize)]
struct MetaFile {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Metadata", default)]
    metadata: Option<Metadata>,
    #[serde(rename = "Endpoints", default)]
    endpoints: Option<Endpoints>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(rename = "Description", default)]
    description: Option<String>,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<EngineMeta>,
}

#[derive(Deserialize)]
struct EngineMeta {
    #[serde(rename = "Host", default)]
    host: Option<String>,
}

/// The file of a context: directories are named by the hash of the name.
pub fn meta_file(config_dir: &Path, name: &str) -> PathBuf {
    config_dir.join("contexts/meta").join(BlobDigest::of(name.as_bytes()).hex()).join("meta.json")
}

/// One context by its name.
///
/// # Errors
/// When the name cannot be one, the file is missing or broken, or names no engine.
pub fn read(config_dir: &Path, name: &str) -> Result<ContextMeta, DockerError> {
    if !is_name(name) {
        return Err(DockerError::ContextName(name.to_owned()));
    }
    let path = meta_file(config_dir, name);
    let text = match fs_err::read(&path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(DockerError::ContextMissing { name: name.to_owned(), path });
        }
        Err(source) => return Err(DockerError::ConfigRead(source)),
    };
    let file: MetaFile = serde_json::from_slice(&text)
        .map_err(|error| DockerError::ConfigParse { path: path.clone(), reason: error.to_string() })?;
    meta(config_dir, file).ok_or(DockerError::ContextWithoutEngine { name: name.to_owned(), path })
}

/// All contexts that name an engine, by name; broken ones are left out, as Docker's client leaves them out.
pub fn list(config_dir: &Path) -> Vec<ContextMeta> {
    let Ok(dirs) = fs_err::read_dir(config_dir.join("contexts/meta")) else { return Vec::new() };
    let mut all: Vec<ContextMeta> = dirs
        .flatten()
        .filter_map(|dir| fs_err::read(dir.path().join("meta.json")).ok())
        .filter_map(|text| serde_json::from_slice(&text).ok())
        .filter_map(|file| meta(config_dir, file))
        .filter(|meta| is_name(&meta.name))
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn meta(config_dir: &Path, file: MetaFile) -> Option<ContextMeta> {
    let host = file.endpoints?.docker?.host.filter(|host| !host.is_empty())?;
    let hash = BlobDigest::of(file.name.as_bytes()).hex();
    let tls = config_dir.join("contexts/tls").join(hash).join("docker").is_dir();
    let description = file.metadata.and_then(|metadata| metadata.description).unwrap_or_default();
    Some(ContextMeta { name: file.name, description, host, tls })
}

/// Docker's rule: `[a-zA-Z0-9][a-zA-Z0-9_.+-]+`.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte))
}
