//! In: `pull`, `push`. Out: an image moved between a registry and the local store, Docker's words about it. Never: a build.

use std::sync::{Arc, Mutex, PoisonError};

use crossdock_build::{Engine, PullReport, PullWord, PushWord};
use crossdock_image::LocalImage;
use crossdock_oci::{BlobDigest, Descriptor, Platform, Reference};
use crossdock_progress::{Progress, Sink};
use crossdock_registry::Pushed;

use super::{engine, platforms};
use crate::args::images::{PullArgs, PushArgs};
use crate::error::{CliError, result};
use crate::progress::{Builder, Display, Mode};

/// Shows progress while `work` runs.
pub fn shown<T>(quiet: bool, work: impl FnOnce(&Progress) -> T) -> T {
    let mode = if quiet { Mode::Quiet } else { Mode::parse("auto").unwrap_or(Mode::Plain) };
    let display = Display::start(mode, &Builder { name: "default".to_owned(), driver: "embedded".to_owned() });
    let outcome = work(&Progress::new(Arc::clone(&display) as Arc<dyn Sink>));
    display.finish();
    outcome
}

/// `pull NAME`
pub fn pull(args: &PullArgs) -> Result<(), CliError> {
    let reference: Reference = args.name.parse()?;
    let mut wanted = platforms(&args.platforms)?;
    if wanted.is_empty() && !args.all_platforms {
        let default = std::env::var("DOCKER_DEFAULT_PLATFORM").ok().filter(|text| !text.is_empty());
        wanted = default.map_or_else(|| Ok(vec![Platform::host()]), |text| platforms(&[text]))?;
    }
    let engine = engine()?;
    let explicit = !args.platforms.is_empty();
    if !args.all_tags {
        if !args.quiet && reference.tag().is_none() && reference.digest().is_none() {
            result("Using default tag: latest");
        }
        fetch(&engine, &reference, &wanted, explicit, args.quiet, &result)?;
        result(&reference.tagged_or_latest().to_string());
        return Ok(());
    }
    if reference.tag().is_some() || reference.digest().is_some() {
        return Err(CliError::Usage("tag can't be used with --all-tags/-a".to_owned()));
    }
    for tag in engine.client().tags(&reference)? {
        fetch(&engine, &reference.with_tag(&tag)?, &wanted, explicit, args.quiet, &result)?;
    }
    result(&reference.to_string());
    Ok(())
}

/// Pulls one image and says so in Docker's lines.
pub fn fetch(
    engine: &Engine,
    reference: &Reference,
    wanted: &[Platform],
    explicit: bool,
    quiet: bool,
    line: &(dyn Fn(&str) + Sync),
) -> Result<PullReport, CliError> {
    let name = reference.tagged_or_latest();
    let before = engine.images().get(&name)?.map(|image| image.row.target.digest);
    // As Docker, which leaves the host out.
    let path = name.path();
    let what = name.digest().map_or_else(|| name.tag().unwrap_or("latest").to_owned(), |digest| digest.to_string());
    let told: Mutex<Vec<BlobDigest>> = Mutex::default();
    let tell = |word: PullWord| {
        if quiet {
            return;
        }
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        match word {
            PullWord::Found => line(&format!("{what}: Pulling from {path}")),
            PullWord::Exists(digest) if !told.contains(&digest) => {
                line(&format!("{}: Already exists", short(digest)));
                told.push(digest);
            }
            PullWord::Begins(digest) => line(&format!("{}: Pulling fs layer", short(digest))),
            PullWord::Complete(digest) => {
                line(&format!("{}: Download complete", short(digest)));
                line(&format!("{}: Pull complete", short(digest)));
            }
            PullWord::Exists(_) => {}
        }
    };
    let report = engine.pull_telling(reference, wanted, explicit, &Progress::silent(), &tell)?;
    if !quiet {
        let digest = report.image.row.target.digest;
        let is_new = report.fetched > 0 || before != Some(digest);
        let status = if is_new { "Downloaded newer image for" } else { "Image is up to date for" };
        line(&format!("Digest: {digest}"));
        line(&format!("Status: {status} {}", name.familiar()));
    }
    Ok(report)
}

fn short(digest: BlobDigest) -> String {
    digest.hex().chars().take(12).collect()
}

/// `push NAME [TARGET…]`
pub fn push(args: &PushArgs) -> Result<(), CliError> {
    let engine = engine()?;
    if args.all_tags {
        return push_all(&engine, args);
    }
    if args.name.parse::<Reference>().is_ok_and(|name| name.digest().is_some()) && args.targets.is_empty() {
        return Err(CliError::Usage("cannot push a digest reference".to_owned()));
    }
    let image = engine.images().find(&args.name).map_err(|error| match error {
        crossdock_image::ImageError::NotFound { name } => {
            let name = name.parse::<Reference>().map_or(name, |name| name.tagged_or_latest().to_string());
            CliError::Usage(format!(
                "An image does not exist locally with the tag: {name}; `crossdock images` lists what is there"
            ))
        }
        other => other.into(),
    })?;
    let mut names = args
        .targets
        .iter()
        .map(|name| name.parse::<Reference>().map(|name| name.tagged_or_latest()))
        .collect::<Result<Vec<_>, _>>()?;
    if names.is_empty() {
        // A name that was typed is the one that is meant, not another one of the same image.
        let typed = args.name.parse::<Reference>().ok().map(|name| name.tagged_or_latest());
        names.extend(typed.filter(|typed| Some(typed) == image.reference.as_ref()).or_else(|| image.reference.clone()));
    }
    if names.is_empty() {
        return Err(CliError::Usage(format!("{} has no name to push it under; give one behind it", args.name)));
    }
    push_one(&engine, args, image, &names)
}

/// Every tag of a repository that is kept here.
fn push_all(engine: &Engine, args: &PushArgs) -> Result<(), CliError> {
    let wanted: Reference = args.name.parse()?;
    if wanted.tag().is_some() || !args.targets.is_empty() {
        return Err(CliError::Usage("tag can't be used with --all-tags/-a".to_owned()));
    }
    let mut images = engine.images().list()?;
    images.retain(|image| {
        image.reference.as_ref().is_some_and(|name| name.name() == wanted.name() && name.tag().is_some())
    });
    if images.is_empty() {
        return Err(CliError::Usage(format!("An image does not exist locally with the name: {wanted}")));
    }
    images.sort_by_key(|image| image.reference.as_ref().map(Reference::to_string));
    for image in images {
        let names: Vec<Reference> = image.reference.iter().cloned().collect();
        push_one(engine, args, image, &names)?;
    }
    Ok(())
}

fn push_one(engine: &Engine, args: &PushArgs, mut image: LocalImage, names: &[Reference]) -> Result<(), CliError> {
    if let Some(platform) = &args.platform {
        let platform: Platform = platform.parse()?;
        image.row.target = engine.images().choose(&image, &platform)?.descriptor;
        image.row.target.platform = None;
    }
    let whole = image.row.target.digest;
    let only = if args.platform.is_none() { engine.only_manifest_here(&image)? } else { None };
    if let Some(only) = &only {
        image.row.target = Descriptor { platform: None, ..only.clone() };
    }
    let target = image.row.target.clone();
    for name in names {
        if !args.quiet {
            result(&format!("The push refers to repository [{}]", name.name()));
        }
        let told: Mutex<Vec<BlobDigest>> = Mutex::default();
        let tell = |word: PushWord| {
            let digest = word.descriptor.digest;
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if args.quiet
                || told.contains(&digest)
                || crossdock_oci::media_type::layer_compression(&word.descriptor.media_type).is_none()
            {
                return;
            }
            told.push(digest);
            let outcome = match word.outcome {
                Pushed::Existed => "Layer already exists",
                Pushed::Mounted => "Mounted from another repository",
                Pushed::Uploaded => "Pushed",
            };
            result(&format!("{}: {outcome}", short(digest)));
        };
        engine.push_telling(&image, std::slice::from_ref(name), &Progress::silent(), &tell)?;
        if args.quiet {
            result(&name.to_string());
        } else {
            let tag = name.tag().unwrap_or("latest");
            result(&format!("{tag}: digest: {} size: {}", target.digest, target.size));
        }
        if only.is_some() {
            // In Docker's words: the tag is not what was pulled.
            result(
                "\n Info -> Not all multiplatform-content is present and only the available single-platform image was pushed",
            );
            result(&format!("         {whole} -> {}", target.digest));
        }
    }
    Ok(())
}
