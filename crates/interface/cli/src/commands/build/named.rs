//! In: `--build-context NAME=SOURCE`. Out: the contexts as the frontend wants them, and the directories they are in. Never: a directory read, but for the index of a layout.

use std::path::{Path, PathBuf};

use crossdock_frontend::context_key;
use crossdock_llb::git_url;
use crossdock_oci::{BlobDigest, Platform};
use serde::Deserialize;

use super::context::{Inputs, failed};
use crate::error::CliError;

/// Names of sources that are not for named contexts.
const TAKEN: [&str; 2] = ["context", "dockerfile"];

/// Reads every word.
///
/// # Errors
/// When a name is none, or its source is not there.
pub fn add(words: &[String], inputs: &mut Inputs) -> Result<(), CliError> {
    for word in words {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| failed(format_args!("invalid context value: {word}, expected key=value")))?;
        let key = key_of(name).ok_or_else(|| failed(format_args!("invalid context name {name}")))?;
        let value = source_of(&key, value, inputs)?;
        inputs.named.insert(key, value);
    }
    Ok(())
}

/// `NAME[::PLATFORM]`, both in the form they are compared in.
fn key_of(name: &str) -> Option<String> {
    match name.split_once("::") {
        None => context_key(name),
        Some((name, platform)) => {
            let platform: Platform = platform.parse().ok()?;
            Some(format!("{}::{}", context_key(name)?, platform.normalized()))
        }
    }
}

fn source_of(key: &str, value: &str, inputs: &mut Inputs) -> Result<String, CliError> {
    if let Some(layout) = value.strip_prefix("oci-layout://") {
        let (directory, digest) = layout_of(layout)?;
        let store = format!("layout-{}", inputs.contexts.layouts.len() + 1);
        inputs.contexts.layouts.insert(store.clone(), directory);
        return Ok(format!("oci-layout://{store}@{digest}"));
    }
    if value.starts_with("docker-image://") {
        return Ok(value.to_owned());
    }
    if value.starts_with("target:") {
        return Err(failed(format_args!(
            "context {key}: {value:?} names a target of a bake file, and there is none here; build it first, and name it with docker-image://"
        )));
    }
    let path = Path::new(value);
    if path.is_dir() {
        let local = if TAKEN.contains(&key) { format!("_{key}") } else { key.to_owned() };
        inputs.contexts.named.insert(local.clone(), path.to_owned());
        return Ok(format!("local:{local}"));
    }
    if git_url::is_remote(value) {
        return Ok(value.to_owned());
    }
    let reason = if path.exists() { "not a directory" } else { "no such file or directory" };
    Err(failed(format_args!("failed to get build context {key}: stat {value}: {reason}")))
}

/// The part of a layout's index that names images.
#[derive(Deserialize)]
struct LayoutIndex {
    manifests: Vec<LayoutEntry>,
}

#[derive(Deserialize)]
struct LayoutEntry {
    digest: BlobDigest,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

impl LayoutEntry {
    /// The tag of the name it was stored under.
    fn tag(&self) -> Option<&str> {
        let name = ["org.opencontainers.image.ref.name", "io.containerd.image.name"]
            .into_iter()
            .find_map(|key| self.annotations.get(key))?;
        let last = name.rsplit('/').next().unwrap_or(name);
        Some(last.rsplit_once(':').map_or(last, |(_, tag)| tag))
    }
}

/// `PATH[:TAG][@DIGEST]`: the directory and the digest.
fn layout_of(text: &str) -> Result<(PathBuf, BlobDigest), CliError> {
    let (place, digest) = match text.rsplit_once('@') {
        Some((place, digest)) => (place, Some(digest)),
        None => (text, None),
    };
    let name_at = place.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match place[name_at..].rfind(':') {
        Some(at) if !Path::new(place).is_dir() => (&place[..name_at + at], Some(&place[name_at + at + 1..])),
        _ => (place, None),
    };
    let bad = |reason: String| failed(format_args!("OCI layout {path}: {reason}"));
    let directory = PathBuf::from(path);
    if let Some(digest) = digest {
        let digest = digest.parse().map_err(|_| bad(format!("{digest:?} is no sha256 digest")))?;
        return Ok((directory, digest));
    }
    let index = fs_err::read(directory.join("index.json")).map_err(|source| bad(source.to_string()))?;
    let index: LayoutIndex = serde_json::from_slice(&index).map_err(|source| bad(format!("index.json: {source}")))?;
    let wanted = tag.unwrap_or("latest");
    let found = index.manifests.iter().find(|entry| entry.tag() == Some(wanted));
    let alone = || if tag.is_none() && index.manifests.len() == 1 { index.manifests.first() } else { None };
    match found.or_else(alone) {
        Some(entry) => Ok((directory, entry.digest)),
        None => {
            let tags: Vec<&str> = index.manifests.iter().filter_map(LayoutEntry::tag).collect();
            Err(bad(format!("no image of tag {wanted}; its tags are {}", tags.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_platforms_normal() {
        assert_eq!(key_of("docker.io/library/alpine:latest").as_deref(), Some("alpine"));
        assert_eq!(key_of("base::linux/aarch64").as_deref(), Some("base::linux/arm64"));
        assert_eq!(key_of("a b"), None);
    }

    #[test]
    fn layouts_are_found_by_tag_or_digest() {
        let dir = tempfile::tempdir().unwrap();
        let digest = BlobDigest::of(b"x");
        let entry = format!(
            "{{\"digest\":\"{digest}\",\"annotations\":{{\"org.opencontainers.image.ref.name\":\"r.example/a:v1\"}}}}"
        );
        fs_err::write(dir.path().join("index.json"), format!("{{\"manifests\":[{entry}]}}")).unwrap();
        let path = dir.path().display().to_string();
        for text in [path.clone(), format!("{path}:v1"), format!("{path}@{digest}"), format!("{path}:v2@{digest}")] {
            assert_eq!(layout_of(&text).unwrap(), (dir.path().to_owned(), digest), "{text}");
        }
        assert!(
            layout_of(&format!("{path}:v2")).unwrap_err().to_string().ends_with("no image of tag v2; its tags are v1")
        );
    }
}
