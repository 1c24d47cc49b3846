//! In: an image name, a platform, a mode. Out: the digest it has now, its config, its manifest's layers. Never: a layer downloaded.
//!
//! Rules of decision 14: names built or tagged here win; other names are resolved anew in their registry; when that
//! cannot be reached, the last digest is used with a warning. A name with a digest needs no registry once its
//! documents are stored.

use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;
use crossdock_content::{Lease, Link, Space, Store};
use crossdock_frontend::bridge::{BridgeError, ResolveMode, ResolvedImage};
use crossdock_image::{ImageKind, Images};
use crossdock_oci::{Descriptor, ImageConfig, Index, MANIFEST_SIZE_MAX, Manifest, Platform, Reference, media_type};
use crossdock_registry::{Client, RegistryError};
use serde::{Deserialize, Serialize};

use crate::flight::Flights;
use crate::{BuildError, Engine};

/// What a name means during this build.
#[derive(Debug, Clone)]
pub struct Target {
    pub descriptor: Descriptor,
    pub raw: Bytes,
    /// Why a registry's answer could not be had, when the last one known is used instead.
    pub stale: Option<String>,
    /// Blobs of a local image that are not stored, and who holds them.
    pub local: bool,
}

/// An image chosen for a platform.
#[derive(Debug, Clone)]
pub struct ChosenImage {
    pub manifest: Manifest,
    pub config: ImageConfig,
    pub platform: Platform,
}

/// Resolves names, each once in a build.
pub struct Resolver {
    store: Store,
    client: Client,
    lease: Lease,
    known: Mutex<HashMap<Reference, Target>>,
    flights: Flights,
    /// Asked last for base images.
    elsewhere: Option<Engine>,
}

#[derive(Serialize, Deserialize)]
struct Pin {
    target: Descriptor,
}

impl Resolver {
    /// A resolver over a store and registries.
    pub fn new(store: &Store, client: &Client, lease: &Lease) -> Self {
        let (store, client, lease) = (store.clone(), client.clone(), lease.clone());
        Self { store, client, lease, known: Mutex::default(), flights: Flights::default(), elsewhere: None }
    }

    /// The same, which asks whoever [`Engine::ask_also`] named when nobody else has an image.
    #[must_use]
    pub fn asking_elsewhere(self, engine: &Engine) -> Self {
        Self { elsewhere: Some(engine.clone()), ..self }
    }

    /// What the name means; asked once, remembered for the build.
    ///
    /// # Errors
    /// When neither store nor registry knows the name.
    pub fn target(&self, reference: &Reference, mode: ResolveMode) -> Result<Target, BuildError> {
        let reference = reference.tagged_or_latest();
        self.flights.alone(&reference.to_string(), || {
            if let Some(target) = self.known().get(&reference) {
                return Ok(target.clone());
            }
            let target = self.find(&reference, mode)?;
            self.known().insert(reference.clone(), target.clone());
            Ok(target)
        })
    }

    /// Whether a name was resolved to an image built here.
    pub fn is_local(&self, reference: &Reference) -> bool {
        let tag_alone = reference.tag().and_then(|tag| reference.name_only().with_tag(tag).ok());
        let known = self.known();
        [Some(reference.clone()), tag_alone]
            .into_iter()
            .flatten()
            .any(|name| known.get(&name).is_some_and(|target| target.local))
    }

    /// From now on a name means this, in this build.
    pub fn admit(&self, reference: &Reference, target: Target) {
        self.known().insert(reference.tagged_or_latest(), target);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Reference, Target>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn find(&self, reference: &Reference, mode: ResolveMode) -> Result<Target, BuildError> {
        let local = Images::new(&self.store).get(reference)?;
        if let Some(image) = &local
            && (mode == ResolveMode::Local || (mode == ResolveMode::Default && image.row.kind == ImageKind::Built))
            && let Some(raw) = self.store.read(image.row.target.digest, MANIFEST_SIZE_MAX)?
        {
            return Ok(Target { descriptor: image.row.target.clone(), raw, stale: None, local: true });
        }
        if mode == ResolveMode::Local {
            return Err(BuildError::NotLocal { reference: reference.clone() });
        }
        if let Some(target) = self.stored_by_digest(reference)? {
            return Ok(target);
        }
        match self.ask_registry(reference) {
            Ok(target) => Ok(target),
            Err(_) if mode == ResolveMode::Default && self.is_elsewhere(reference)? => {
                self.kept(reference)?.ok_or_else(|| BuildError::NotLocal { reference: reference.clone() })
            }
            Err(error) if mode == ResolveMode::Default && is_unreachable(&error) => {
                self.last_known(reference, &error)?.ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn is_elsewhere(&self, reference: &Reference) -> Result<bool, BuildError> {
        self.elsewhere.as_ref().map_or(Ok(false), |engine| engine.found_elsewhere(reference))
    }

    /// The image of the local store, however it came there.
    fn kept(&self, reference: &Reference) -> Result<Option<Target>, BuildError> {
        let Some(image) = Images::new(&self.store).get(reference)? else { return Ok(None) };
        let raw = self.store.read(image.row.target.digest, MANIFEST_SIZE_MAX)?;
        Ok(raw.map(|raw| Target { descriptor: image.row.target, raw, stale: None, local: true }))
    }

    /// A name with a digest whose document is stored needs nobody.
    fn stored_by_digest(&self, reference: &Reference) -> Result<Option<Target>, BuildError> {
        let Some(digest) = reference.digest() else { return Ok(None) };
        let Some(raw) = self.store.read(digest, MANIFEST_SIZE_MAX)? else { return Ok(None) };
        Ok(media_type_of(&raw).map(|kind| Target {
            descriptor: Descriptor::of(kind, &raw),
            raw,
            stale: None,
            local: false,
        }))
    }

    fn ask_registry(&self, reference: &Reference) -> Result<Target, RegistryError> {
        let head = self.client.resolve_digest(reference)?;
        let stored = self.store.read(head.descriptor.digest, MANIFEST_SIZE_MAX).ok().flatten();
        let raw = match head.bytes.or(stored) {
            Some(raw) => raw,
            None => self.client.fetch_manifest(&reference.name_only(), &head.descriptor)?,
        };
        let descriptor = head.descriptor;
        // A pin that cannot be written costs the off-line fallback, not this build.
        let _ = self.store.put(&self.lease, &raw);
        let pin = serde_json::to_vec(&Pin { target: descriptor.clone() }).unwrap_or_default();
        let _ = self.store.put_row(Space::Pin, &pin_key(reference), &pin, &[Link::Blob(descriptor.digest)]);
        Ok(Target { descriptor, raw, stale: None, local: false })
    }

    fn last_known(&self, reference: &Reference, error: &RegistryError) -> Result<Option<Target>, BuildError> {
        let Some(row) = self.store.get(Space::Pin, &pin_key(reference))? else { return Ok(None) };
        let Ok(pin) = serde_json::from_slice::<Pin>(&row) else { return Ok(None) };
        let Some(raw) = self.store.read(pin.target.digest, MANIFEST_SIZE_MAX)? else { return Ok(None) };
        Ok(Some(Target { descriptor: pin.target, raw, stale: Some(error.to_string()), local: false }))
    }

    /// The image of a platform: the best manifest of an index, or the only one there is.
    ///
    /// # Errors
    /// When the index has none that serves, or a document cannot be had.
    pub fn choose(
        &self,
        reference: &Reference,
        target: &Target,
        platform: &Platform,
    ) -> Result<ChosenImage, BuildError> {
        let (manifest, said) = if media_type::is_index(&target.descriptor.media_type) {
            let index = Index::parse(target.raw.clone()).map_err(|source| BuildError::document(reference, source))?;
            let Some(entry) = index.choose(&platform.matcher()) else {
                let available = index.images().filter_map(|entry| entry.platform.clone()).collect();
                return Err(BridgeError::NoSuchPlatform {
                    reference: Box::new(reference.clone()),
                    wanted: Box::new(platform.clone()),
                    available,
                }
                .into());
            };
            (self.document(reference, entry)?, entry.platform.clone())
        } else {
            (target.raw.clone(), None)
        };
        let manifest = Manifest::parse(manifest).map_err(|source| BuildError::document(reference, source))?;
        let config = ImageConfig::parse(self.document(reference, &manifest.view.config)?)
            .map_err(|source| BuildError::document(reference, source))?;
        let platform =
            said.map(Platform::normalized).or_else(|| config.view.platform()).unwrap_or_else(|| platform.clone());
        Ok(ChosenImage { manifest, config, platform })
    }

    /// A manifest or config, from the store or the registry.
    fn document(&self, reference: &Reference, descriptor: &Descriptor) -> Result<Bytes, BuildError> {
        if let Some(raw) = self.store.read(descriptor.digest, MANIFEST_SIZE_MAX)? {
            return Ok(raw);
        }
        let name = reference.name_only();
        let raw = if media_type::is_manifest(&descriptor.media_type) {
            self.client.fetch_manifest(&name, descriptor)?
        } else {
            let mut raw = Vec::new();
            self.client.fetch_blob(&name, descriptor, &mut raw, &mut |_, _| {})?;
            Bytes::from(raw)
        };
        self.store.put(&self.lease, &raw)?;
        Ok(raw)
    }

    /// What the frontend wants to know of an image.
    ///
    /// # Errors
    /// As [`Resolver::target`] and [`Resolver::choose`].
    pub fn resolve(
        &self,
        reference: &Reference,
        platform: &Platform,
        mode: ResolveMode,
    ) -> Result<(ResolvedImage, Option<String>), BuildError> {
        let target = self.target(reference, mode)?;
        let chosen = self.choose(reference, &target, platform)?;
        let digest = target.descriptor.digest;
        let reference = reference.tagged_or_latest().with_digest(digest);
        Ok((ResolvedImage { reference, digest, config: chosen.config, platform: chosen.platform }, target.stale))
    }
}

fn pin_key(reference: &Reference) -> String {
    format!("image/{reference}")
}

/// The media type of a stored document: what it says, else by its shape.
pub fn media_type_of(raw: &[u8]) -> Option<&'static str> {
    let view: serde_json::Value = serde_json::from_slice(raw).ok()?;
    let said = view.get("mediaType").and_then(serde_json::Value::as_str);
    let known = media_type::MANIFESTS.into_iter().find(|kind| Some(*kind) == said);
    known.or_else(|| match (view.get("manifests"), view.get("config")) {
        (Some(_), _) => Some(media_type::OCI_INDEX),
        (None, Some(_)) => Some(media_type::OCI_MANIFEST),
        _ => None,
    })
}

/// Whether the registry gave no answer, as opposed to a refusal.
fn is_unreachable(error: &RegistryError) -> bool {
    match error {
        RegistryError::UnknownHost { .. }
        | RegistryError::ConnectionRefused { .. }
        | RegistryError::Timeout { .. }
        | RegistryError::Connection { .. }
        | RegistryError::TooManyRequests { .. } => true,
        RegistryError::Status { status, .. } => *status >= 500,
        RegistryError::AllHostsFailed { failures, .. } => failures.iter().all(|failure| is_unreachable(&failure.error)),
        _ => false,
    }
}
