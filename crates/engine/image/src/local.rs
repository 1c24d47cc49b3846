//! In: images by name. Out: what is kept under each name. Never: a name that is given away silently to another kind of image.
//!
//! The local image store (decision 14): every successful build stays here, under its tags or under its digest.

use std::collections::BTreeMap;

use crossdock_content::{Link, Space, Store};
use crossdock_oci::{BlobDigest, Descriptor, Index, Manifest, Platform, Reference, Timestamp, media_type};
use serde::{Deserialize, Serialize};

use crate::ImageError;

/// Rows of images without a tag begin with this.
const UNTAGGED: &str = "untagged/";
/// Rows of the embedded registry share the space and begin with this; they are no images of ours.
const REGISTRY: &str = "registry/";

/// How an image came to be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageKind {
    /// Built or tagged here: such a name wins in FROM.
    Built,
    /// Pulled: the name is resolved anew at each build.
    Pulled,
}

/// What is kept under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRow {
    pub target: Descriptor,
    pub kind: ImageKind,
    pub created: Timestamp,
    /// Repositories that hold blobs which are not in the store.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub origins: BTreeMap<String, Vec<String>>,
}

/// A kept image with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// `None` for an image kept under its digest alone.
    pub reference: Option<Reference>,
    pub row: ImageRow,
}

/// One platform of a kept image.
#[derive(Debug, Clone)]
pub struct LocalManifest {
    pub descriptor: Descriptor,
    pub platform: Option<Platform>,
    pub manifest: Manifest,
}

impl LocalManifest {
    /// All that this platform needs to live.
    #[must_use]
    pub fn blobs(&self) -> Vec<BlobDigest> {
        let view = &self.manifest.view;
        let layers = view.layers.iter().map(|layer| layer.digest);
        [self.descriptor.digest, view.config.digest].into_iter().chain(layers).collect()
    }
}

/// The images of a store.
#[derive(Clone)]
pub struct Images {
    store: Store,
}

impl Images {
    /// The images kept in this store.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// Keeps an image under a name, or under its digest when there is none. `blobs` are all it needs to live.
    ///
    /// # Errors
    /// Those of the store.
    pub fn put(&self, reference: Option<&Reference>, row: &ImageRow, blobs: &[BlobDigest]) -> Result<(), ImageError> {
        let links: Vec<Link> =
            std::iter::once(row.target.digest).chain(blobs.iter().copied()).map(Link::Blob).collect();
        let value = serde_json::to_vec(row).expect("an image row has only string keys");
        self.store.put_row(Space::Image, &row_key(reference, row.target.digest), &value, &links)?;
        if reference.is_some() {
            self.store.remove_row(Space::Image, &row_key(None, row.target.digest))?;
        }
        Ok(())
    }

    /// The image of exactly this name (tag `latest` when none is given).
    ///
    /// # Errors
    /// Those of the store.
    pub fn get(&self, reference: &Reference) -> Result<Option<LocalImage>, ImageError> {
        let named = reference.tagged_or_latest();
        if let Some(digest) = reference.digest() {
            let same_name =
                |image: &LocalImage| image.reference.as_ref().is_some_and(|known| known.name() == reference.name());
            let mut found: Vec<LocalImage> =
                self.list()?.into_iter().filter(|image| image.row.target.digest == digest).collect();
            found.sort_by_key(|image| !same_name(image));
            return Ok(found.into_iter().next());
        }
        let Some(bytes) = self.store.get(Space::Image, &row_key(Some(&named), BlobDigest::of(b"")))? else {
            return Ok(None);
        };
        Ok(Some(LocalImage { row: read_row(&named.to_string(), &bytes)?, reference: Some(named) }))
    }

    /// The image a person means: a name, a digest, or the first digits of one (of the index, a manifest or a config).
    ///
    /// # Errors
    /// When nothing or more than one image is meant.
    pub fn find(&self, text: &str) -> Result<LocalImage, ImageError> {
        if let Ok(reference) = text.parse::<Reference>()
            && let Some(image) = self.get(&reference)?
        {
            return Ok(image);
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let is_hex = digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let mut found: Vec<LocalImage> = Vec::new();
        if is_hex {
            found = self.list()?;
            let mut seen = std::collections::BTreeSet::new();
            found.retain(|image| seen.insert(image.row.target.digest));
            // What has this digest itself is meant, not what contains it.
            if found.iter().any(|image| image.row.target.digest.hex().starts_with(digits)) {
                found.retain(|image| image.row.target.digest.hex().starts_with(digits));
            } else {
                found.retain(|image| self.contains_digest(image, digits));
            }
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(ImageError::NotFound { name: text.to_owned() }),
            count => {
                let candidates =
                    found.iter().map(|image| image.row.target.digest.to_string()).collect::<Vec<_>>().join(", ");
                Err(ImageError::Ambiguous { name: text.to_owned(), count, candidates })
            }
        }
    }

    fn contains_digest(&self, image: &LocalImage, digits: &str) -> bool {
        self.manifests(image).unwrap_or_default().iter().any(|manifest| {
            manifest.descriptor.digest.hex().starts_with(digits)
                || manifest.manifest.view.config.digest.hex().starts_with(digits)
        })
    }

    /// Every image, by name.
    ///
    /// # Errors
    /// Those of the store.
    pub fn list(&self) -> Result<Vec<LocalImage>, ImageError> {
        let mut images = Vec::new();
        for (key, bytes) in self.store.scan(Space::Image)? {
            if key.starts_with(REGISTRY) {
                continue;
            }
            let reference = if key.starts_with(UNTAGGED) { None } else { key.parse().ok() };
            images.push(LocalImage { row: read_row(&key, &bytes)?, reference });
        }
        Ok(images)
    }

    /// Takes a name away; what nothing else names goes with the next collection.
    ///
    /// # Errors
    /// Those of the store.
    pub fn remove(&self, image: &LocalImage) -> Result<(), ImageError> {
        self.store.remove_row(Space::Image, &row_key(image.reference.as_ref(), image.row.target.digest))?;
        Ok(())
    }

    /// The manifests of an image: of each platform of an index, or the one.
    ///
    /// # Errors
    /// When a manifest is missing or unreadable.
    pub fn manifests(&self, image: &LocalImage) -> Result<Vec<LocalManifest>, ImageError> {
        let name = image.reference.as_ref().map_or_else(|| image.row.target.digest.to_string(), Reference::familiar);
        let target = &image.row.target;
        let raw = self.document("image", target, &name)?;
        if !media_type::is_index(&target.media_type) {
            let manifest = Manifest::parse(raw).map_err(|source| ImageError::Document {
                subject: "manifest",
                digest: target.digest,
                source,
            })?;
            let platform = self.config_platform(&manifest, &name)?;
            return Ok(vec![LocalManifest { descriptor: target.clone(), platform, manifest }]);
        }
        let index = Index::parse(raw).map_err(|source| ImageError::Document {
            subject: "index",
            digest: target.digest,
            source,
        })?;
        let mut manifests = Vec::new();
        for entry in index.images() {
            // A pulled index may be kept with the manifests of some platforms only.
            let Some(raw) = self.store.read(entry.digest, crossdock_oci::MANIFEST_SIZE_MAX)? else { continue };
            let manifest = Manifest::parse(raw).map_err(|source| ImageError::Document {
                subject: "manifest",
                digest: entry.digest,
                source,
            })?;
            let platform = match &entry.platform {
                Some(platform) => Some(platform.clone().normalized()),
                None => self.config_platform(&manifest, &name)?,
            };
            manifests.push(LocalManifest { descriptor: entry.clone(), platform, manifest });
        }
        Ok(manifests)
    }

    /// The best manifest of an image for a platform.
    ///
    /// # Errors
    /// When the image has none that serves, naming those it has.
    pub fn choose(&self, image: &LocalImage, platform: &Platform) -> Result<LocalManifest, ImageError> {
        let matcher = platform.matcher();
        let manifests = self.manifests(image)?;
        let available = manifests
            .iter()
            .filter_map(|m| m.platform.as_ref())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        manifests
            .into_iter()
            .filter_map(|manifest| Some((matcher.rank(manifest.platform.as_ref()?)?, manifest)))
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, manifest)| manifest)
            .ok_or_else(|| ImageError::NoPlatform {
                name: image.reference.as_ref().map_or_else(|| image.row.target.digest.to_string(), Reference::familiar),
                platform: platform.clone(),
                available,
            })
    }

    fn config_platform(&self, manifest: &Manifest, name: &str) -> Result<Option<Platform>, ImageError> {
        let descriptor = &manifest.view.config;
        let raw = self.document("image config", descriptor, name)?;
        let config = crossdock_oci::ImageConfig::parse(raw).map_err(|source| ImageError::Document {
            subject: "image config",
            digest: descriptor.digest,
            source,
        })?;
        Ok(config.view.platform())
    }

    /// A manifest, index or config of a kept image.
    ///
    /// # Errors
    /// When it is not in the store.
    pub fn document(
        &self,
        subject: &'static str,
        descriptor: &Descriptor,
        name: &str,
    ) -> Result<bytes::Bytes, ImageError> {
        self.store.read(descriptor.digest, crossdock_oci::MANIFEST_SIZE_MAX)?.ok_or_else(|| ImageError::Missing {
            subject,
            digest: descriptor.digest,
            name: name.to_owned(),
        })
    }
}

fn row_key(reference: Option<&Reference>, digest: BlobDigest) -> String {
    reference.map_or_else(|| format!("{UNTAGGED}{digest}"), |reference| reference.tagged_or_latest().to_string())
}

fn read_row(name: &str, bytes: &[u8]) -> Result<ImageRow, ImageError> {
    serde_json::from_slice(bytes).map_err(|source| ImageError::Row { subject: name.to_owned(), source })
}
