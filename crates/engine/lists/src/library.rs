//! In: sources. Out: their documents, from a registry, the local store or a layout. Never: a layer.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use crossdock_content::{Lease, Store};
use crossdock_image::{Images, LocalImage};
use crossdock_oci::{
    BlobDigest, Descriptor, ImageConfig, Index, MANIFEST_SIZE_MAX, Manifest, Platform, Reference, media_type,
};
use crossdock_registry::Client;

use crate::{ListError, Source};

/// Largest attestation that is read (an SBOM of a large image has some tens of megabytes).
pub(crate) const ATTESTATION_BYTES_MAX: u64 = 128 << 20;

const NAME_ANNOTATION: &str = "io.containerd.image.name";
const REF_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// Where documents are looked up.
#[derive(Clone, Copy)]
pub struct Library<'a> {
    pub client: &'a Client,
    pub store: &'a Store,
    pub lease: &'a Lease,
}

/// Where a document was found, and its blobs are.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// A repository.
    Registry(Reference),
    /// An image of the local store.
    Kept(Box<LocalImage>),
    /// A directory.
    Layout(PathBuf),
}

impl Place {
    /// The place, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Registry(name) => name.to_string(),
            Self::Kept(image) => {
                image.reference.as_ref().map_or_else(|| image.row.target.digest.to_string(), ToString::to_string)
            }
            Self::Layout(dir) => format!("oci-layout://{}", dir.display()),
        }
    }
}

/// A document and where it is from.
#[derive(Debug, Clone)]
pub struct Found {
    pub descriptor: Descriptor,
    pub raw: Bytes,
    pub place: Place,
}

impl Library<'_> {
    /// The manifest or index a source names. Names are looked up in their registry first, then in the local store.
    ///
    /// # Errors
    /// When nobody has it.
    pub fn find(&self, source: &Source) -> Result<Found, ListError> {
        match source {
            Source::Name(name) => self.named(name),
            Source::Layout { dir, tag, digest } => layout_image(dir, tag.as_deref(), *digest),
            Source::Digest(digest) => Err(ListError::NoRepository {
                source_name: digest.to_string(),
                why: "a digest alone names no repository",
            }),
            Source::Descriptor(given) => Err(ListError::NoRepository {
                source_name: given.digest.to_string(),
                why: "a descriptor names no repository",
            }),
        }
    }

    fn named(&self, name: &Reference) -> Result<Found, ListError> {
        let place = || Place::Registry(name.clone());
        match self.client.resolve(name) {
            Ok(found) => Ok(Found { descriptor: found.descriptor, raw: found.bytes, place: place() }),
            Err(error) => self.kept(name)?.ok_or_else(|| error.into()),
        }
    }

    /// What the local store has under a name.
    ///
    /// # Errors
    /// Those of the store.
    pub fn kept(&self, name: &Reference) -> Result<Option<Found>, ListError> {
        let images = Images::new(self.store);
        let Some(image) = images.get(name)? else { return Ok(None) };
        let raw = images.document("image", &image.row.target, &name.to_string())?;
        Ok(Some(Found { descriptor: image.row.target.clone(), raw, place: Place::Kept(Box::new(image)) }))
    }

    /// A manifest or index of a place.
    ///
    /// # Errors
    /// When it is not there, or not what its digest says.
    pub fn document(&self, place: &Place, descriptor: &Descriptor) -> Result<Bytes, ListError> {
        match place {
            Place::Registry(name) => Ok(self.client.fetch_manifest(&name.name_only(), descriptor)?),
            other => self.blob(other, descriptor, "document", MANIFEST_SIZE_MAX),
        }
    }

    /// A blob of a place, checked.
    ///
    /// # Errors
    /// When it is not there, larger than the limit, or not what its digest says.
    pub fn blob(
        &self,
        place: &Place,
        descriptor: &Descriptor,
        what: &'static str,
        limit_bytes: u64,
    ) -> Result<Bytes, ListError> {
        if descriptor.size > limit_bytes {
            let (digest, size_bytes) = (descriptor.digest, descriptor.size);
            return Err(ListError::TooLarge { what, digest, name: place.shown(), size_bytes, limit_bytes });
        }
        match place {
            Place::Layout(dir) => layout_blob(dir, descriptor.digest, limit_bytes),
            Place::Registry(name) => self.fetched(&name.name_only(), descriptor),
            Place::Kept(image) => match self.store.read(descriptor.digest, limit_bytes)? {
                Some(raw) => Ok(raw),
                None => {
                    let origins = image.row.origins.get(&descriptor.digest.to_string());
                    let missing = || crossdock_image::ImageError::Missing {
                        subject: what,
                        digest: descriptor.digest,
                        name: place.shown(),
                    };
                    let name = origins.and_then(|all| all.iter().find_map(|name| name.parse::<Reference>().ok()));
                    self.fetched(&name.ok_or_else(missing)?, descriptor)
                }
            },
        }
    }

    fn fetched(&self, name: &Reference, descriptor: &Descriptor) -> Result<Bytes, ListError> {
        let mut raw = Vec::new();
        self.client.fetch_blob(name, descriptor, &mut raw, &mut |_, _| {})?;
        Ok(raw.into())
    }

    /// The platform a manifest's config says, as it stands there; none for what is no image.
    ///
    /// # Errors
    /// When the config cannot be had.
    pub fn config_platform(&self, place: &Place, manifest: &Manifest) -> Result<Option<Platform>, ListError> {
        let raw = self.blob(place, &manifest.view.config, "image config", MANIFEST_SIZE_MAX)?;
        let Ok(config) = ImageConfig::parse(raw) else { return Ok(None) };
        let view = config.view;
        if view.architecture.is_empty() && view.os.is_empty() {
            return Ok(None);
        }
        let mut platform = Platform::new(&view.os, &view.architecture, &view.variant);
        platform.os_version = view.os_version;
        platform.os_features = view.os_features;
        Ok(Some(platform))
    }
}

/// The image of a layout: by digest, by tag, or the only one.
fn layout_image(dir: &Path, tag: Option<&str>, digest: Option<BlobDigest>) -> Result<Found, ListError> {
    // Relative paths would mean something else when the list is pushed from elsewhere.
    let dir = &fs_err::canonicalize(dir).map_err(|source| ListError::File {
        action: "open layout",
        path: dir.to_owned(),
        source,
    })?;
    let wrong = |reason: String| ListError::Layout { path: dir.clone(), reason };
    let raw = read_file(&dir.join("index.json"), MANIFEST_SIZE_MAX)?;
    let index = Index::parse(raw).map_err(|source| ListError::Document { name: dir.display().to_string(), source })?;
    let entries = &index.view.manifests;
    let descriptor = if let Some(digest) = digest {
        let known = entries.iter().find(|entry| entry.digest == digest).cloned();
        // Below an index of the layout, too.
        let raw = layout_blob(dir, digest, MANIFEST_SIZE_MAX)?;
        known.unwrap_or_else(|| Descriptor::of(media_type_of(&raw), &raw))
    } else if let Some(tag) = tag {
        let names = |entry: &Descriptor| {
            let values = [NAME_ANNOTATION, REF_ANNOTATION].map(|key| entry.annotations.get(key).map(String::as_str));
            values.into_iter().flatten().any(|name| name == tag || name.ends_with(&format!(":{tag}")))
        };
        let known = entries.iter().find(|entry| names(entry)).cloned();
        known.ok_or_else(|| wrong(format!("no image has the tag {tag:?}; there are: {}", names_of(entries))))?
    } else {
        match entries.as_slice() {
            [only] => only.clone(),
            [] => return Err(wrong("the layout holds no image".to_owned())),
            several => {
                return Err(wrong(format!(
                    "the layout holds {} images; say which with oci-layout://{}:TAG; there are: {}",
                    several.len(),
                    dir.display(),
                    names_of(several)
                )));
            }
        }
    };
    let raw = layout_blob(dir, descriptor.digest, MANIFEST_SIZE_MAX)?;
    let mut plain = Descriptor::new(descriptor.media_type, descriptor.digest, raw.len() as u64);
    plain.platform = descriptor.platform;
    Ok(Found { descriptor: plain, raw, place: Place::Layout(dir.clone()) })
}

fn names_of(entries: &[Descriptor]) -> String {
    let name = |entry: &Descriptor| {
        let tag = [REF_ANNOTATION, NAME_ANNOTATION].iter().find_map(|key| entry.annotations.get(*key));
        tag.cloned().unwrap_or_else(|| format!("@{}", entry.digest))
    };
    entries.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What the document calls itself; old OCI documents say nothing.
fn media_type_of(raw: &[u8]) -> String {
    let document: serde_json::Value = serde_json::from_slice(raw).unwrap_or_default();
    let said = document.get("mediaType").and_then(|value| value.as_str()).map(str::to_owned);
    let implied = if document.get("manifests").is_some() { media_type::OCI_INDEX } else { media_type::OCI_MANIFEST };
    said.unwrap_or_else(|| implied.to_owned())
}

/// The path of a blob in a layout.
pub(crate) fn layout_path(dir: &Path, digest: BlobDigest) -> PathBuf {
    dir.join("blobs/sha256").join(digest.hex())
}

fn layout_blob(dir: &Path, digest: BlobDigest, limit_bytes: u64) -> Result<Bytes, ListError> {
    let path = layout_path(dir, digest);
    let raw = read_file(&path, limit_bytes)?;
    let got = BlobDigest::of(&raw);
    if got != digest {
        return Err(ListError::Layout { path, reason: format!("its bytes have the digest {got}") });
    }
    Ok(raw)
}

fn read_file(path: &Path, limit_bytes: u64) -> Result<Bytes, ListError> {
    let file = |source| ListError::File { action: "read", path: path.to_owned(), source };
    let size = fs_err::metadata(path).map_err(file)?.len();
    if size > limit_bytes {
        let reason = format!("it is {size} bytes, more than the limit of {limit_bytes}");
        return Err(ListError::Layout { path: path.to_owned(), reason });
    }
    Ok(fs_err::read(path).map_err(file)?.into())
}
