//! In: a kept image and an engine. Out: which of its platforms goes there, and by which IDs the engine will know it. Never: a byte moved.

use crossdock_build::Engine;
use crossdock_docker::EngineApi;
use crossdock_docker::engine::EngineImage;
use crossdock_image::local::LocalManifest;
use crossdock_image::{ImageError, LocalImage};
use crossdock_oci::Platform;

use crate::error::CliError;

/// The platform that is loaded.
pub struct Chosen {
    pub manifest: LocalManifest,
    /// The IDs the engine may know the image by, the best first.
    pub ids: Vec<String>,
    /// Platforms of the image that stay here.
    others: Vec<String>,
    platform: Option<Platform>,
}

impl Chosen {
    /// The engine's own platform where the image has it, else the first.
    pub fn of(engine: &Engine, api: &EngineApi, image: &LocalImage) -> Result<Self, CliError> {
        let images = engine.images();
        let version = api.version()?;
        let wanted = Platform::new(&version.os, &version.arch, "").normalized();
        let all = images.manifests(image)?;
        let manifest = match images.choose(image, &wanted) {
            Ok(manifest) => manifest,
            Err(error @ ImageError::NoPlatform { .. }) => all.first().cloned().ok_or(error)?,
            Err(error) => return Err(error.into()),
        };
        let others = all
            .iter()
            .filter(|other| other.descriptor.digest != manifest.descriptor.digest)
            .map(|other| other.platform.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string))
            .collect();
        let ids = if counts_by_manifest(api)? {
            // With containerd's image store an ID is the digest of what the name leads to: index or manifest.
            let mut ids = vec![image.row.target.digest.to_string()];
            let own = manifest.descriptor.digest.to_string();
            if ids[0] != own {
                ids.push(own);
            }
            ids
        } else {
            vec![manifest.manifest.view.config.digest.to_string()]
        };
        let platform = manifest.platform.clone();
        Ok(Self { manifest, ids, others, platform })
    }

    /// Whether this is the image, with the content of the platform that is meant: an index may be there without it.
    pub fn is(&self, there: &EngineImage) -> bool {
        let same_platform = self.platform.as_ref().is_none_or(|platform| {
            Platform::new(&there.os, &there.architecture, "").normalized().architecture == platform.architecture
        });
        same_platform && self.ids.contains(&there.id)
    }

    /// `os/arch[/variant]`, when the image says what it is for.
    pub fn platform(&self) -> Option<String> {
        self.platform.as_ref().map(ToString::to_string)
    }

    /// Where the other platforms are.
    pub fn note(&self, api: &EngineApi) -> Option<String> {
        if self.others.is_empty() {
            return None;
        }
        Some(format!(
            "loaded {} into {}; {} stay in the local store (push them, or run them with crossdock run --platform)",
            self.platform().unwrap_or_else(|| "one platform".to_owned()),
            api.endpoint().host,
            self.others.join(", ")
        ))
    }
}

/// Whether the engine keeps images in containerd's store.
fn counts_by_manifest(api: &EngineApi) -> Result<bool, CliError> {
    let info = api.document("/info")?;
    let status = info.get("DriverStatus").and_then(serde_json::Value::as_array);
    Ok(status.into_iter().flatten().any(|pair| {
        let word = |at: usize| pair.get(at).and_then(serde_json::Value::as_str).unwrap_or_default();
        word(0) == "driver-type" && word(1).contains("containerd")
    }))
}
