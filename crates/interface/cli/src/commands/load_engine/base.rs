//! In: the name of a base image neither our store nor a registry gives. Out: the engine's image of that name, kept here. Never: an image of ours replaced, a registry's answer passed over.
//!
//! Beside an engine `docker load`, `docker tag`, `docker commit` make images that only the engine has, and people build
//! on them. They are asked for last, and anew in each build: the engine may have another one tomorrow.

use crossdock_build::{BuildError, Engine};
use crossdock_docker::{Answer, CancelCheck, DockerError, EngineApi};
use crossdock_image::{ImageKind, ImageRow};
use crossdock_oci::Reference;
use crossdock_progress::Progress;

use super::Wish;

/// Lets the build ask the engine its result is for.
pub fn offer_bases(engine: &Engine, wish: Option<&Wish>, progress: &Progress) {
    let Some(wish) = wish else { return };
    let (endpoint, progress) = (wish.endpoint.clone(), progress.clone());
    engine.ask_also(Box::new(move |engine, reference| {
        let stop = engine.clone();
        let Ok(Answer::Engine(api)) = EngineApi::find(&endpoint, CancelCheck::new(move || stop.is_cancelled())) else {
            return Ok(false);
        };
        bring(engine, &api, reference, &progress)
    }));
}

fn bring(engine: &Engine, api: &EngineApi, reference: &Reference, progress: &Progress) -> Result<bool, BuildError> {
    // By a digest the engine gives an archive without names.
    if reference.digest().is_some() {
        return Ok(false);
    }
    let name = reference.tagged_or_latest();
    let failed =
        |error: DockerError| BuildError::Io { path: api.endpoint().host.clone(), source: std::io::Error::other(error) };
    let Some(there) = api.image(&name.to_string()).map_err(failed)? else { return Ok(false) };
    let images = engine.images();
    if let Some(image) = images.get(&name)?
        && (image.row.target.digest.to_string() == there.id
            || images.manifests(&image)?.iter().any(|one| one.manifest.view.config.digest.to_string() == there.id))
    {
        return Ok(true);
    }
    let step = progress.step(&format!("[internal] taking {} out of docker", name.familiar()));
    let archive = api.save(&name.to_string()).map_err(failed)?;
    engine.load(archive, &format!("{} of the engine at {}", name.familiar(), api.endpoint().host), None)?;
    step.done();
    let Some(image) = images.get(&name)? else { return Ok(false) };
    // Kept like a pulled image: the next build asks again.
    let manifests = images.manifests(&image)?;
    let blobs: Vec<_> = manifests
        .iter()
        .flat_map(|one| {
            let view = &one.manifest.view;
            let layers = view.layers.iter().map(|layer| layer.digest);
            [one.descriptor.digest, view.config.digest].into_iter().chain(layers)
        })
        .collect();
    images.put(Some(&name), &ImageRow { kind: ImageKind::Pulled, ..image.row }, &blobs)?;
    Ok(true)
}
