//! In: `images`, `tag`, `rmi`, `image inspect`. Out: the local image store, shown or changed. Never: a registry asked.

use crossdock_image::local::LocalManifest;
use crossdock_image::{ImageKind, ImageRow, Images, LocalImage};
use crossdock_oci::{ImageConfig, Platform, Reference, Timestamp};
use serde_json::{Value, json};

use super::engine;
use super::table::{ago, lines, size};
use crate::args::images::{ImagesArgs, InspectArgs, RmiArgs, TagArgs};
use crate::error::{CliError, result};

/// `images`
pub fn list(args: &ImagesArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let images = engine.images();
    let wanted = args.name.as_deref().map(str::parse::<Reference>).transpose()?;
    let mut list = images.list()?;
    list.retain(|image| wanted.as_ref().is_none_or(|wanted| matches(image, wanted)));
    list.sort_by_key(|image| std::cmp::Reverse(image.row.created));
    if args.quiet {
        for image in &list {
            result(&short(&image.row.target.digest.to_string(), args.no_trunc));
        }
        return Ok(());
    }
    let mut rows = vec![header(args.digests)];
    for image in &list {
        rows.push(row(&images, image, args));
    }
    for line in lines(&rows) {
        result(&line);
    }
    Ok(())
}

fn matches(image: &LocalImage, wanted: &Reference) -> bool {
    image
        .reference
        .as_ref()
        .is_some_and(|name| name.name() == wanted.name() && (wanted.tag().is_none() || name.tag() == wanted.tag()))
}

fn header(digests: bool) -> Vec<String> {
    let mut words = vec!["REPOSITORY", "TAG"];
    if digests {
        words.push("DIGEST");
    }
    words.extend(["IMAGE ID", "PLATFORMS", "CREATED", "SIZE"]);
    words.into_iter().map(str::to_owned).collect()
}

fn row(images: &Images, image: &LocalImage, args: &ImagesArgs) -> Vec<String> {
    // An image whose documents are damaged is still listed, so that it can be removed.
    let manifests = images.manifests(image).unwrap_or_default();
    let platforms =
        manifests.iter().filter_map(|m| m.platform.as_ref()).map(ToString::to_string).collect::<Vec<_>>().join(",");
    let bytes: u64 = manifests.iter().flat_map(|m| m.manifest.view.layers.iter().map(|layer| layer.size)).sum();
    let none = || "<none>".to_owned();
    let mut words = vec![
        image.reference.as_ref().map_or_else(none, Reference::familiar_name),
        image.reference.as_ref().and_then(Reference::tag).map_or_else(none, str::to_owned),
    ];
    if args.digests {
        words.push(image.row.target.digest.to_string());
    }
    let age = Timestamp::now().seconds().saturating_sub(image.row.created.seconds());
    words.extend([short(&image.row.target.digest.to_string(), args.no_trunc), platforms, ago(age), size(bytes)]);
    words
}

/// The first twelve digits, as Docker shows IDs.
fn short(digest: &str, whole: bool) -> String {
    if whole { digest.to_owned() } else { digest.trim_start_matches("sha256:").chars().take(12).collect() }
}

/// `tag SOURCE TARGET`
pub fn tag(args: &TagArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let images = engine.images();
    let source = images.find(&args.source)?;
    let target: Reference = args.target.parse::<Reference>()?.tagged_or_latest();
    let blobs: Vec<_> = images.manifests(&source)?.iter().flat_map(blobs_of).collect();
    let row = ImageRow { kind: ImageKind::Built, ..source.row };
    images.put(Some(&target), &row, &blobs)?;
    Ok(())
}

fn blobs_of(manifest: &LocalManifest) -> Vec<crossdock_oci::BlobDigest> {
    let view = &manifest.manifest.view;
    let layers = view.layers.iter().map(|layer| layer.digest);
    [manifest.descriptor.digest, view.config.digest].into_iter().chain(layers).collect()
}

/// `rmi NAME…`
pub fn remove(args: &RmiArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let images = engine.images();
    let mut failure = None;
    for name in &args.names {
        match images.find(name) {
            Ok(image) => {
                images.remove(&image)?;
                let shown =
                    image.reference.as_ref().map_or_else(|| image.row.target.digest.to_string(), Reference::familiar);
                result(&format!("Untagged: {shown}"));
            }
            Err(error) if args.force => crate::error::say(&format!("WARNING: {error}")),
            Err(error) => failure = Some(error),
        }
    }
    // What no other name and no cache record needs goes at once.
    engine.prune(&crossdock_content::GcOptions::default())?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// `image inspect NAME…`
pub fn inspect(args: &InspectArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let images = engine.images();
    let platform = args.platform.as_deref().map(str::parse::<Platform>).transpose()?;
    let mut documents = Vec::new();
    for name in &args.names {
        let image = images.find(name)?;
        documents.push(describe(&images, &image, platform.as_ref())?);
    }
    result(&serde_json::to_string_pretty(&documents).expect("an inspection has only string keys"));
    Ok(())
}

/// Docker's keys for one platform of the image, and the platforms there are.
fn describe(images: &Images, image: &LocalImage, platform: Option<&Platform>) -> Result<Value, CliError> {
    let name = image.reference.as_ref().map_or_else(|| image.row.target.digest.to_string(), Reference::familiar);
    let manifests = images.manifests(image)?;
    let platforms: Vec<String> =
        manifests.iter().filter_map(|m| m.platform.as_ref()).map(ToString::to_string).collect();
    let chosen = match platform {
        Some(platform) => images.choose(image, platform)?,
        None => match images.choose(image, &Platform::host()) {
            Ok(manifest) => manifest,
            Err(error) => manifests.into_iter().next().ok_or(error)?,
        },
    };
    let raw = images.document("image config", &chosen.manifest.view.config, &name)?;
    let config: Value = serde_json::from_slice(&raw).unwrap_or_default();
    let view = ImageConfig::parse(raw).map(|config| config.view).unwrap_or_default();
    let layers: Vec<String> = view.rootfs.diff_ids.iter().map(ToString::to_string).collect();
    let digests: Vec<String> =
        image.reference.iter().map(|name| format!("{}@{}", name.familiar_name(), image.row.target.digest)).collect();
    Ok(json!({
        "Id": image.row.target.digest,
        "RepoTags": image.reference.iter().map(Reference::familiar).collect::<Vec<_>>(),
        "RepoDigests": digests,
        "Created": view.created,
        "Author": view.author,
        "Config": config.get("config").cloned().unwrap_or_default(),
        "Architecture": view.architecture,
        "Variant": view.variant,
        "Os": view.os,
        "Size": chosen.manifest.view.layers.iter().map(|layer| layer.size).sum::<u64>(),
        "RootFS": { "Type": "layers", "Layers": layers },
        "Descriptor": image.row.target,
        "Manifest": chosen.descriptor,
        "Platforms": platforms,
    }))
}
