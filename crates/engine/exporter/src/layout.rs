//! In: an assembled image whose blobs are in the store. Out: an OCI layout, as a tar or a directory; with `manifest.json` it is a `docker load` archive too. Never: bytes that depend on when it was written.
//!
//! Shapes: spec/engine.md §4. Entries stand in sorted order, all times are 0, so equal images give equal archives.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use crossdock_content::Store;
use crossdock_image::AssembledImage;
use crossdock_oci::{BlobDigest, Descriptor, Reference, Timestamp};
use crossdock_snapshot::entry::{Entry, EntryKind, Mtime};
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::tar::Writer;
use serde::Serialize;

use crate::ExportError;

/// What a layout says of itself.
/// The bytes of `oci-layout`.
pub const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Which archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutKind {
    /// An OCI layout.
    Oci,
    /// One that `docker load` reads, too: with `manifest.json`.
    Docker,
}

/// An image and the names it gets in the layout.
#[derive(Debug)]
pub struct LayoutImage<'a> {
    pub image: &'a AssembledImage,
    pub names: &'a [Reference],
    pub created: Option<Timestamp>,
}

/// `index.json` of an OCI layout.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayoutIndex {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

impl LayoutIndex {
    /// An index of these entries, in order.
    pub const fn new(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: crossdock_oci::media_type::OCI_INDEX, manifests }
    }
}

/// An entry of Docker's `manifest.json`: paths within the archive.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DockerManifest {
    pub config: String,
    pub repo_tags: Vec<String>,
    pub layers: Vec<String>,
}

/// A file of the layout: bytes made here, or a blob of the store.
enum Content {
    Bytes(Vec<u8>),
    Blob(BlobDigest, u64),
}

/// The files of the layout by path, in order.
fn files(kind: LayoutKind, layout: &LayoutImage<'_>) -> Result<BTreeMap<String, Content>, ExportError> {
    let image = layout.image;
    if kind == LayoutKind::Docker && image.manifests.len() != 1 {
        return Err(ExportError::DockerManifestList);
    }
    let mut files = BTreeMap::new();
    files.insert("oci-layout".to_owned(), Content::Bytes(OCI_LAYOUT.to_vec()));
    files.insert("index.json".to_owned(), Content::Bytes(to_json(&layout_index(layout))));
    if let Some(index) = &image.index {
        files.insert(blob_path(index.digest()), Content::Bytes(index.raw.to_vec()));
    }
    for manifest in &image.manifests {
        files.insert(blob_path(manifest.descriptor.digest), Content::Bytes(manifest.manifest.raw.to_vec()));
        files.insert(blob_path(manifest.config.digest()), Content::Bytes(manifest.config.raw.to_vec()));
        for layer in &manifest.layers {
            files.insert(
                blob_path(layer.descriptor.digest),
                Content::Blob(layer.descriptor.digest, layer.descriptor.size),
            );
        }
    }
    if kind == LayoutKind::Docker {
        let manifest = &image.manifests[0];
        let docker = DockerManifest {
            config: blob_path(manifest.config.digest()),
            repo_tags: layout.names.iter().map(Reference::familiar).collect(),
            layers: manifest.layers.iter().map(|layer| blob_path(layer.descriptor.digest)).collect(),
        };
        files.insert("manifest.json".to_owned(), Content::Bytes(to_json(&[docker])));
    }
    Ok(files)
}

/// One entry for each name (or one without), annotated as BuildKit and containerd do.
fn layout_index(layout: &LayoutImage<'_>) -> LayoutIndex {
    let annotated = |name: Option<&Reference>| {
        let mut descriptor = layout.image.target.clone();
        // A manifest does not say what it is for; the entry of a single one does.
        if let (None, [manifest]) = (&layout.image.index, layout.image.manifests.as_slice()) {
            descriptor.platform = manifest.config.view.platform();
        }
        descriptor.annotations.clone_from(&layout.image.index_descriptor_annotations);
        if let Some(name) = name {
            descriptor.annotations.insert("io.containerd.image.name".to_owned(), name.to_string());
            descriptor
                .annotations
                .insert("org.opencontainers.image.ref.name".to_owned(), name.tag().unwrap_or("latest").to_owned());
        }
        if let Some(created) = layout.created {
            descriptor.annotations.insert(
                "org.opencontainers.image.created".to_owned(),
                Timestamp::from_seconds(created.seconds()).to_string(),
            );
        }
        descriptor
    };
    let manifests = if layout.names.is_empty() {
        vec![annotated(None)]
    } else {
        layout.names.iter().map(|name| annotated(Some(name))).collect()
    };
    LayoutIndex::new(manifests)
}

/// A document of a layout as it is written.
pub fn to_json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).expect("layout documents have only string keys")
}

/// Writes the layout as a tar.
///
/// # Errors
/// When a layer is not in the store, or the sink fails.
pub fn write_tar(
    store: &Store,
    kind: LayoutKind,
    layout: &LayoutImage<'_>,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let files = files(kind, layout)?;
    let mut tar = Writer::new(out);
    for dir in ["blobs", "blobs/sha256"] {
        tar.append(&entry(dir, EntryKind::Dir, 0o755), &mut std::io::empty())?;
    }
    for (path, content) in &files {
        match content {
            Content::Bytes(bytes) => {
                let kind = EntryKind::File { size_bytes: bytes.len() as u64 };
                tar.append(&entry(path, kind, 0o444), &mut &bytes[..])?;
            }
            Content::Blob(digest, size) => {
                let mut file = open(store, *digest)?;
                tar.append(&entry(path, EntryKind::File { size_bytes: *size }, 0o444), &mut file)?;
            }
        }
    }
    tar.finish()?;
    Ok(())
}

/// Writes the layout into a directory.
///
/// # Errors
/// When a layer is not in the store, or the directory cannot be written.
pub fn write_dir(store: &Store, kind: LayoutKind, layout: &LayoutImage<'_>, dir: &Path) -> Result<(), ExportError> {
    let error = |path: &Path, source| ExportError::Write { dest: path.display().to_string(), source };
    let blobs = dir.join("blobs/sha256");
    fs_err::create_dir_all(&blobs).map_err(|source| error(&blobs, source))?;
    for (path, content) in &files(kind, layout)? {
        let path = dir.join(path);
        match content {
            Content::Bytes(bytes) => fs_err::write(&path, bytes).map_err(|source| error(&path, source))?,
            Content::Blob(digest, _) => {
                let mut source = open(store, *digest)?;
                let mut file = fs_err::File::create(&path).map_err(|source| error(&path, source))?;
                std::io::copy(&mut source, &mut file).map_err(|source| error(&path, source))?;
            }
        }
    }
    Ok(())
}

fn open(store: &Store, digest: BlobDigest) -> Result<Box<dyn Read>, ExportError> {
    let blob = store.open_blob(digest)?.ok_or(ExportError::BlobMissing { digest })?;
    Ok(Box::new(blob.file))
}

/// A file or directory of a layout in a tar.
pub fn entry(path: &str, kind: EntryKind, mode: u32) -> Entry {
    let path = RootedPath::parse(path.as_bytes()).expect("paths of a layout are plain");
    Entry { path, kind, mode, uid: 0, gid: 0, mtime: Mtime::EPOCH, xattrs: BTreeMap::new() }
}

/// Where a layout keeps a blob.
pub fn blob_path(digest: BlobDigest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
