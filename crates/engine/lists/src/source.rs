//! In: a word of the command line. Out: what it names. Never: a look at what is there, but for a directory's `index.json`.

use std::path::{Path, PathBuf};

use crossdock_oci::{BlobDigest, Descriptor, Platform, Reference};
use serde::Deserialize;

use crate::ListError;

/// What an image of a list is taken from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A name in a registry, or of the local store.
    Name(Reference),
    /// A digest in the only repository there is talk of.
    Digest(BlobDigest),
    /// An OCI layout, and which of its images.
    Layout { dir: PathBuf, tag: Option<String>, digest: Option<BlobDigest> },
    /// A descriptor in JSON: what it says overrides what is found.
    Descriptor(Box<Given>),
}

/// A descriptor as somebody wrote it; everything but the digest may be missing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Given {
    pub digest: BlobDigest,
    #[serde(default)]
    pub media_type: Option<String>,
    #[serde(default)]
    pub size: Option<u64>,
    #[serde(default)]
    pub annotations: Option<std::collections::BTreeMap<String, String>>,
    #[serde(default)]
    pub platform: Option<Platform>,
}

impl Given {
    /// The found descriptor with what this one says.
    ///
    /// # Errors
    /// When the sizes differ.
    pub fn over(&self, mut found: Descriptor) -> Result<Descriptor, ListError> {
        if let Some(given) = self.size.filter(|given| *given != 0 && *given != found.size) {
            return Err(ListError::Size { digest: self.digest, found: found.size, given });
        }
        if let Some(media_type) = self.media_type.clone().filter(|text| !text.is_empty()) {
            found.media_type = media_type;
        }
        if let Some(annotations) = self.annotations.clone().filter(|all| !all.is_empty()) {
            found.annotations = annotations;
        }
        found.platform = self.platform.clone().or(found.platform);
        found.data = None;
        Ok(found)
    }
}

const LAYOUT: &str = "oci-layout://";

impl Source {
    /// Reads a word. A directory is a layout when it holds an `index.json`.
    ///
    /// # Errors
    /// When it is none of the forms.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        if let Some(layout) = text.strip_prefix(LAYOUT) {
            return Self::layout(layout);
        }
        if text.starts_with("sha256:") {
            return Ok(Self::Digest(text.parse().map_err(|error: crossdock_oci::DigestError| {
                crossdock_oci::ReferenceError { text: text.to_owned(), reason: error.into() }
            })?));
        }
        if text.starts_with('{') {
            let given =
                serde_json::from_str(text).map_err(|source| ListError::Descriptor { text: text.to_owned(), source })?;
            return Ok(Self::Descriptor(Box::new(given)));
        }
        if Path::new(text).join("index.json").is_file() {
            return Ok(Self::Layout { dir: text.into(), tag: None, digest: None });
        }
        Ok(Self::Name(named(text)?))
    }

    /// `DIR[:tag][@digest]`
    fn layout(text: &str) -> Result<Self, ListError> {
        let wrong = |reason: &str| ListError::Layout { path: text.into(), reason: reason.to_owned() };
        let (rest, digest) = match text.rsplit_once('@') {
            Some((rest, digest)) if digest.starts_with("sha256:") => {
                (rest, Some(digest.parse().map_err(|_| wrong("the digest behind @ is none"))?))
            }
            _ => (text, None),
        };
        let (dir, tag) = match rest.rsplit_once(':') {
            Some((dir, tag)) if !tag.contains('/') && !Path::new(rest).is_dir() => (dir, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if dir.is_empty() {
            return Err(wrong("the directory is missing: oci-layout://DIR[:tag][@digest]"));
        }
        Ok(Self::Layout { dir: dir.into(), tag, digest })
    }
}

/// A reference with tag `latest` when it names neither tag nor digest.
pub(crate) fn named(text: &str) -> Result<Reference, ListError> {
    Ok(text.parse::<Reference>()?.tagged_or_latest())
}
