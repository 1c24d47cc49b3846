//! In: `$DOCKER_CONFIG/manifests`. Out: the lists in it, and files exactly as Docker's CLI 28 writes them. Never: a key or a file Docker does not know.
//!
//! `<list>/<image>` (spec/cli.md §2); names are normalised references with `-` for `:` and `_` for `/`. The order of a
//! list is that of its file names. Files of older CLIs, with `Digest` and `Platform` beside the manifest, are read, too.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use crossdock_oci::{BlobDigest, Descriptor, Platform, Reference, media_type};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ListError;
use crate::json_text::{compact, indent};

/// An image of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    pub reference: Reference,
    pub descriptor: Descriptor,
    /// The manifest's bytes as the registry has them.
    pub raw: Bytes,
    /// The manifest as it stands in the file: on one line, letters escaped as Go escapes them.
    pub(crate) payload: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    #[serde(rename = "Ref")]
    reference: String,
    descriptor: &'a Descriptor,
    raw: String,
    #[serde(rename = "SchemaV2Manifest", skip_serializing_if = "Option::is_none")]
    schema2: Option<&'a RawValue>,
    #[serde(rename = "OCIManifest", skip_serializing_if = "Option::is_none")]
    oci: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Read {
    #[serde(rename = "Ref")]
    reference: String,
    #[serde(rename = "Descriptor")]
    descriptor: Option<serde_json::Value>,
    #[serde(rename = "Raw")]
    raw: Option<String>,
    #[serde(rename = "SchemaV2Manifest")]
    schema2: Option<Box<RawValue>>,
    #[serde(rename = "OCIManifest")]
    oci: Option<Box<RawValue>>,
    /// Of older CLIs.
    #[serde(rename = "Digest")]
    digest: Option<BlobDigest>,
    #[serde(rename = "Platform")]
    platform: Option<Platform>,
}

impl ListEntry {
    /// An image as it came from where it is.
    #[must_use]
    pub fn new(reference: Reference, descriptor: Descriptor, raw: Bytes) -> Self {
        let payload = compact(&String::from_utf8_lossy(&raw), true);
        Self { reference, descriptor, raw, payload }
    }

    /// The JSON of the entry on one line: what stands in the file.
    ///
    /// # Errors
    /// When the manifest is no JSON.
    pub fn to_json(&self) -> Result<String, ListError> {
        let bad = |source| ListError::Document {
            name: self.reference.to_string(),
            source: crossdock_oci::manifest::DocumentError::Json { what: "manifest", source },
        };
        let payload: &RawValue = serde_json::from_str(&self.payload).map_err(bad)?;
        let is_docker = self.descriptor.media_type == media_type::DOCKER_MANIFEST;
        let written = Written {
            reference: self.reference.to_string(),
            descriptor: &self.descriptor,
            raw: BASE64.encode(&self.raw),
            schema2: is_docker.then_some(payload),
            oci: (!is_docker).then_some(payload),
        };
        Ok(compact(&serde_json::to_string(&written).map_err(bad)?, true))
    }

    fn read(path: &Path) -> Result<Self, ListError> {
        let bad = |reason: String| ListError::BadFile { path: path.to_owned(), reason };
        let text = fs_err::read_to_string(path).map_err(|source| ListError::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let read: Read = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let reference: Reference = read.reference.parse().map_err(|error| bad(format!("Ref: {error}")))?;
        let is_docker = read.schema2.is_some();
        let payload = read.schema2.or(read.oci).ok_or_else(|| bad(format!("{reference} has no payload")))?;
        let payload = compact(payload.get(), true);
        if let Some(digest) = read.digest {
            let kind = if is_docker { media_type::DOCKER_MANIFEST } else { media_type::OCI_MANIFEST };
            let raw = older_bytes(&payload, digest).ok_or_else(|| {
                bad(format!("image manifest digest mismatch ({digest} != {})", BlobDigest::of(payload.as_bytes())))
            })?;
            let mut descriptor = Descriptor::of(kind, &raw);
            descriptor.platform = read.platform;
            return Ok(Self { reference, descriptor, raw, payload });
        }
        let descriptor = read.descriptor.ok_or_else(|| bad("it has neither Descriptor nor Digest".to_owned()))?;
        let descriptor: Descriptor =
            serde_json::from_value(descriptor).map_err(|error| bad(format!("Descriptor: {error}")))?;
        let raw = match read.raw {
            Some(raw) => BASE64.decode(raw).map_err(|error| bad(format!("Raw: {error}")))?.into(),
            None => older_bytes(&payload, descriptor.digest)
                .ok_or_else(|| bad("it has no Raw, and the manifest in it is not the one of its digest".to_owned()))?,
        };
        Ok(Self { reference, descriptor, raw, payload })
    }
}

/// The bytes of a manifest that is only known without its blanks: one of the ways they are written has the digest.
fn older_bytes(payload: &str, digest: BlobDigest) -> Option<Bytes> {
    let plain = payload.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&");
    let forms = [payload.to_owned(), plain.clone(), indent(&plain, "   "), indent(&plain, "  "), indent(&plain, "\t")];
    forms.into_iter().map(Bytes::from).find(|form| BlobDigest::of(form) == digest)
}

/// The directory of lists.
#[derive(Debug, Clone)]
pub struct DockerLists {
    root: PathBuf,
}

impl DockerLists {
    /// The lists below Docker's configuration directory.
    #[must_use]
    pub fn in_config(config_dir: &Path) -> Self {
        Self { root: config_dir.join("manifests") }
    }

    fn dir(&self, list: &Reference) -> PathBuf {
        self.root.join(file_name(list))
    }

    /// The images of a list by file name; none when there is no such list.
    ///
    /// # Errors
    /// When a file cannot be read or understood.
    pub fn get(&self, list: &Reference) -> Result<Option<Vec<ListEntry>>, ListError> {
        match self.files(&file_name(list))? {
            None => Ok(None),
            Some(files) => files.iter().map(|path| ListEntry::read(path)).collect::<Result<_, _>>().map(Some),
        }
    }

    /// Files of a directory of a list, sorted.
    fn files(&self, name: &str) -> Result<Option<Vec<PathBuf>>, ListError> {
        let dir = self.root.join(name);
        let file = |source| ListError::File { action: "read", path: dir.clone(), source };
        let entries = match fs_err::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file(error)),
        };
        let mut files =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(file)?;
        files.sort();
        Ok(Some(files))
    }

    /// Puts an image into a list, in place of one of the same name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, list: &Reference, entry: &ListEntry) -> Result<(), ListError> {
        let dir = self.dir(list);
        let path = dir.join(file_name(&entry.reference));
        let file = |source| ListError::File { action: "write", path: path.clone(), source };
        fs_err::create_dir_all(&dir).map_err(file)?;
        let text = entry.to_json()?;
        // Beside the directory: another CLI reads every file in it.
        let mut part = tempfile::NamedTempFile::new_in(&self.root).map_err(file)?;
        std::io::Write::write_all(&mut part, text.as_bytes()).map_err(file)?;
        set_readable(part.as_file()).map_err(file)?;
        part.persist(&path).map_err(|error| file(error.error))?;
        Ok(())
    }

    /// Takes an image out of a list.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn take(&self, list: &Reference, image: &Reference) -> Result<(), ListError> {
        let path = self.dir(list).join(file_name(image));
        fs_err::remove_file(&path).map_err(|source| ListError::File { action: "remove", path, source })
    }

    /// Removes a list. One that is not there is no error.
    ///
    /// # Errors
    /// When its directory cannot be removed.
    pub fn remove(&self, list: &Reference) -> Result<(), ListError> {
        let path = self.dir(list);
        match fs_err::remove_dir_all(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(ListError::File { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// Every list, by name. The names of directories do not say everything: the images in them help.
    ///
    /// # Errors
    /// When a directory or file cannot be read.
    pub fn all(&self) -> Result<Vec<(Reference, Vec<ListEntry>)>, ListError> {
        let mut lists = Vec::new();
        let Ok(entries) = fs_err::read_dir(&self.root) else { return Ok(lists) };
        for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let images: Vec<ListEntry> = match self.files(&name)? {
                None => continue,
                Some(files) => files.iter().map(|path| ListEntry::read(path)).collect::<Result<_, _>>()?,
            };
            if let Some(list) = list_name(&name, &images) {
                lists.push((list, images));
            }
        }
        lists.sort_by_key(|(list, _)| list.to_string());
        Ok(lists)
    }
}

fn set_readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

/// Docker's name for the file of a reference.
pub(crate) fn file_name(reference: &Reference) -> String {
    reference.to_string().replace(':', "-").replace('/', "_")
}

/// The list a directory is for: in the repository of one of its images, else the first name that is written this way.
fn list_name(dir: &str, images: &[ListEntry]) -> Option<Reference> {
    let written = |text: &str| text.parse::<Reference>().ok().filter(|name| file_name(name) == dir);
    for image in images {
        let prefix = format!("{}-", file_name(&image.reference.name_only()));
        if let Some(tag) = dir.strip_prefix(&prefix)
            && let Some(name) = written(&format!("{}:{tag}", image.reference.name()))
        {
            return Some(name);
        }
    }
    let (domain, path) = dir.split_once('_')?;
    let port = domain.rsplit_once('-').filter(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let domain = port.map_or_else(|| domain.to_owned(), |(host, port)| format!("{host}:{port}"));
    // The last `-` that leaves a tag: `app-1.0-rc` reads as `app:1.0-rc` before `app-1.0:rc`.
    path.match_indices('-')
        .find_map(|(at, _)| written(&format!("{domain}/{}:{}", path[..at].replace('_', "/"), &path[at + 1..])))
}
