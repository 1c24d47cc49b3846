//! In: `images`, `tag`, `rmi`. Out: the local image store, shown or changed. Never: a registry asked.

mod inspect;

use std::collections::{BTreeMap, BTreeSet};

use crossdock_build::Engine;
use crossdock_containers::Containers;
use crossdock_image::local::LocalManifest;
use crossdock_image::{ImageKind, ImageRow, Images, LocalImage};
use crossdock_oci::{BlobDigest, ImageConfig, Platform, Reference, Timestamp};
use serde_json::{Value, json};

use super::engine;
use super::table::{ago, date, formatted, lines, size, size_of};
use crate::args::images::{ImagesArgs, RmiArgs, TagArgs};
use crate::error::{CliError, all, result};
use crate::face::{Face, Session};
use crossdock_gotemplate::docker_table;

pub use inspect::{Document, document, inspect, show};

const HEADINGS: [(&str, &str); 12] = [
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Platforms", "PLATFORMS"),
    ("Containers", "CONTAINERS"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];

/// `images`
pub fn list(session: &Session, args: &ImagesArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let images = engine.images();
    let wanted = args.name.as_deref().map(str::parse::<Reference>).transpose();
    let filters = Filters::parse(&args.filters)?;
    let mut list = images.list()?;
    match &wanted {
        Ok(wanted) => list.retain(|image| wanted.as_ref().is_none_or(|wanted| matches(image, wanted))),
        // What is no name may be a pattern, as with Docker.
        Err(_) => {
            let pattern = args.name.as_deref().unwrap_or_default();
            list.retain(|image| image.reference.as_ref().is_some_and(|name| name_matches(name, pattern)));
        }
    }
    list.retain(|image| filters.match_image(&images, image));
    let list = without_doubles(list);
    let mut list: Vec<(LocalImage, Timestamp)> =
        list.into_iter().map(|image| (image.clone(), created(&images, &image))).collect();
    list.sort_by_key(|(_, created)| std::cmp::Reverse(*created));
    if args.quiet {
        for (image, _) in &list {
            result(&short(&image.row.target.digest.to_string(), args.no_trunc));
        }
        return Ok(());
    }
    let rows: Vec<Value> = list.iter().map(|(image, created)| row(&images, image, *created, args.no_trunc)).collect();
    if let Some(format) = args.format.as_deref().filter(|format| *format != "table") {
        formatted(format, &HEADINGS, &rows)?.iter().for_each(|line| result(line));
        return Ok(());
    }
    // Docker's table has no platforms, and scripts count its columns.
    let fields: Vec<(&str, &str)> = [
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("ID", "IMAGE ID"),
        ("Platforms", "PLATFORMS"),
        ("CreatedSince", "CREATED"),
        ("Size", "SIZE"),
    ]
    .into_iter()
    .filter(|(field, _)| args.digests || *field != "Digest")
    .filter(|(field, _)| session.face != Face::Docker || *field != "Platforms")
    .collect();
    let mut table = vec![fields.iter().map(|(_, heading)| (*heading).to_owned()).collect::<Vec<_>>()];
    for row in &rows {
        table.push(fields.iter().map(|(field, _)| row[*field].as_str().unwrap_or_default().to_owned()).collect());
    }
    let table = if session.face == Face::Docker { docker_table(&table) } else { lines(&table) };
    table.iter().for_each(|line| result(line));
    Ok(())
}

/// A name with a digest has a row of its own only where no tag of that repository stands for the same.
fn without_doubles(mut list: Vec<LocalImage>) -> Vec<LocalImage> {
    let tagged: BTreeSet<(String, BlobDigest)> = list
        .iter()
        .filter_map(|image| Some((image.reference.as_ref().filter(|name| name.tag().is_some())?, image)))
        .map(|(name, image)| (name.name(), image.row.target.digest))
        .collect();
    list.retain(|image| {
        let with_digest = image.reference.as_ref().filter(|name| name.digest().is_some());
        with_digest.is_none_or(|name| !tagged.contains(&(name.name(), image.row.target.digest)))
    });
    list
}

fn matches(image: &LocalImage, wanted: &Reference) -> bool {
    image
        .reference
        .as_ref()
        .is_some_and(|name| name.name() == wanted.name() && (wanted.tag().is_none() || name.tag() == wanted.tag()))
}

/// What `-f` asks for.
#[derive(Debug, Default)]
struct Filters {
    references: Vec<String>,
    dangling: Option<bool>,
    labels: Vec<String>,
}

impl Filters {
    fn parse(words: &[String]) -> Result<Self, CliError> {
        let mut filters = Self::default();
        for word in words {
            match word.split_once('=') {
                Some(("reference", pattern)) => filters.references.push(pattern.to_owned()),
                Some(("dangling", value)) => {
                    let value = match value {
                        "true" | "1" => true,
                        "false" | "0" => false,
                        _ => return Err(CliError::Usage(format!("invalid filter 'dangling=[{value}]'"))),
                    };
                    filters.dangling = Some(value);
                }
                Some(("label", label)) => filters.labels.push(label.to_owned()),
                Some((name, _)) => {
                    return Err(CliError::Usage(format!(
                        "invalid filter {name:?}: reference, dangling and label are supported"
                    )));
                }
                None => return Err(CliError::Usage(format!("invalid filter {word:?}: write NAME=VALUE"))),
            }
        }
        Ok(filters)
    }

    fn match_image(&self, images: &Images, image: &LocalImage) -> bool {
        let by_name = self.references.is_empty()
            || image
                .reference
                .as_ref()
                .is_some_and(|name| self.references.iter().any(|pattern| name_matches(name, pattern)));
        let dangling = self.dangling.is_none_or(|wanted| image.reference.is_none() == wanted);
        by_name && dangling && (self.labels.is_empty() || self.match_labels(images, image))
    }

    fn match_labels(&self, images: &Images, image: &LocalImage) -> bool {
        let labels = labels_of(images, image);
        self.labels.iter().all(|wanted| match wanted.split_once('=') {
            Some((name, value)) => labels.get(name).is_some_and(|known| known == value),
            None => labels.contains_key(wanted),
        })
    }
}

/// The labels of the platform that is shown; none when its documents are damaged.
pub fn labels_of(images: &Images, image: &LocalImage) -> BTreeMap<String, String> {
    let Ok(manifest) = platform_of(images, image, None) else { return BTreeMap::new() };
    let raw = images.document("image config", &manifest.manifest.view.config, "");
    let labels = raw.ok().and_then(|raw| ImageConfig::parse(raw).ok()).map(|config| config.view.config.labels);
    labels.unwrap_or_default()
}

/// Docker's patterns: with a tag against name and tag, without one against the name.
fn name_matches(name: &Reference, pattern: &str) -> bool {
    let familiar = name.familiar_name();
    let tagged = name.tag().map(|tag| format!("{familiar}:{tag}"));
    glob(pattern, &familiar) || tagged.is_some_and(|tagged| glob(pattern, &tagged))
}

/// What stands behind a `[`: whether a byte fits, and the pattern behind its `]`.
fn class(pattern: &[u8]) -> Option<(impl Fn(u8) -> bool, &[u8])> {
    let (negated, pattern) = pattern.strip_prefix(b"^").map_or((false, pattern), |rest| (true, rest));
    let end = pattern.iter().skip(1).position(|byte| *byte == b']')? + 1;
    let (members, rest) = (&pattern[..end], &pattern[end + 1..]);
    let fits = move |byte: u8| {
        let mut left = members;
        let mut found = false;
        while let [first, tail @ ..] = left {
            let (last, tail) = if let [b'-', last, tail @ ..] = tail { (last, tail) } else { (first, tail) };
            found |= (*first..=*last).contains(&byte);
            left = tail;
        }
        found != negated
    };
    Some((fits, rest))
}

/// `*`, `?` and `[a-z]` within one part of a path.
fn glob(pattern: &str, text: &str) -> bool {
    fn from(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some(b'*') => (0..=text.len())
                .take_while(|at| !text[..*at].contains(&b'/'))
                .any(|at| from(&pattern[1..], &text[at..])),
            Some(b'?') => text.first().is_some_and(|byte| *byte != b'/') && from(&pattern[1..], &text[1..]),
            Some(b'[') => match (class(&pattern[1..]), text.first()) {
                (Some((fits, rest)), Some(byte)) => *byte != b'/' && fits(*byte) && from(rest, &text[1..]),
                _ => false,
            },
            Some(b'\\') if pattern.len() > 1 => text.first() == pattern.get(1) && from(&pattern[2..], &text[1..]),
            Some(byte) => text.first() == Some(byte) && from(&pattern[1..], &text[1..]),
        }
    }
    // A pattern of stars alone would take for ever on long names; names have at most 255 bytes.
    pattern.len() <= 255 && from(pattern.as_bytes(), text.as_bytes())
}

/// When the image was made, as its config says; for damaged ones when they came here.
fn created(images: &Images, image: &LocalImage) -> Timestamp {
    let config = platform_of(images, image, None)
        .ok()
        .and_then(|manifest| images.document("image config", &manifest.manifest.view.config, "").ok())
        .and_then(|raw| ImageConfig::parse(raw).ok());
    config.map_or(image.row.created, |config| config.view.created.unwrap_or(Timestamp::from_seconds(0)))
}

/// Docker's fields of one image, as its templates know them, and `Platforms`.
fn row(images: &Images, image: &LocalImage, created: Timestamp, whole: bool) -> Value {
    // An image whose documents are damaged is still listed, so that it can be removed.
    let manifests = images.manifests(image).unwrap_or_default();
    let platforms =
        manifests.iter().filter_map(|m| m.platform.as_ref()).map(ToString::to_string).collect::<Vec<_>>().join(",");
    let bytes: u64 = manifests.iter().flat_map(|m| m.manifest.view.layers.iter().map(|layer| layer.size)).sum();
    let none = || "<none>".to_owned();
    let age = Timestamp::now().seconds().saturating_sub(created.seconds());
    json!({
        "Repository": image.reference.as_ref().map_or_else(none, Reference::familiar_name),
        "Tag": image.reference.as_ref().and_then(Reference::tag).map_or_else(none, str::to_owned),
        "Digest": image.row.target.digest.to_string(),
        "ID": short(&image.row.target.digest.to_string(), whole),
        "Platforms": platforms,
        "CreatedSince": ago(age),
        "CreatedAt": date(created),
        "Size": size(bytes),
        "Containers": "N/A",
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
        "VirtualSize": size_of(bytes, 4),
    })
}

/// The first twelve digits, as Docker shows IDs.
pub fn short(digest: &str, whole: bool) -> String {
    if whole { digest.to_owned() } else { digest.trim_start_matches("sha256:").chars().take(12).collect() }
}

/// `tag SOURCE TARGET`
pub fn tag(args: &TagArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let images = engine.images();
    let source = images.find(&args.source)?;
    let target: Reference = args.target.parse::<Reference>()?.tagged_or_latest();
    if target.digest().is_some() {
        return Err(CliError::Usage(format!("{}: refusing to create a tag with a digest reference", args.target)));
    }
    let blobs: Vec<_> = images.manifests(&source)?.iter().flat_map(LocalManifest::blobs).collect();
    let row = ImageRow { kind: ImageKind::Built, created: Timestamp::now(), ..source.row };
    images.put(Some(&target), &row, &blobs)?;
    Ok(())
}

/// `rmi NAME…`
pub fn remove(args: &RmiArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let images = engine.images();
    let mut failures = Vec::new();
    for name in &args.names {
        let outcome =
            images.find(name).map_err(CliError::from).and_then(|image| remove_one(&engine, name, image, args.force));
        match outcome {
            Ok(()) => {}
            Err(CliError::Image(error @ crossdock_image::ImageError::NotFound { .. })) if args.force => {
                crate::error::say(&format!("WARNING: {error}"));
            }
            Err(error) => failures.push(error),
        }
    }
    // What no other name and no cache record needs goes at once.
    engine.prune(&crossdock_content::GcOptions::default())?;
    all(failures)
}

fn remove_one(engine: &Engine, typed: &str, image: LocalImage, force: bool) -> Result<(), CliError> {
    let images = engine.images();
    let target = image.row.target.digest;
    let mut same: Vec<LocalImage> =
        images.list()?.into_iter().filter(|other| other.row.target.digest == target).collect();
    let by_name = typed.parse::<Reference>().is_ok_and(|typed| {
        image.reference.as_ref().is_some_and(|name| {
            *name == typed.tagged_or_latest() || (typed.digest().is_some() && name.name() == typed.name())
        })
    });
    let going = if by_name {
        vec![image]
    } else if same.len() > 1 && !force {
        let repositories: BTreeSet<String> =
            same.iter().filter_map(|image| image.reference.as_ref().map(Reference::name)).collect();
        if repositories.len() > 1 {
            return Err(CliError::Usage(format!(
                "conflict: unable to delete {typed} (must be forced) - image is referenced in multiple repositories"
            )));
        }
        std::mem::take(&mut same)
    } else {
        std::mem::take(&mut same)
    };
    let is_last = !by_name || same.len() <= 1;
    if is_last {
        in_use(engine, typed, by_name, target, force)?;
    }
    for image in &going {
        images.remove(image)?;
        if let Some(name) = &image.reference {
            result(&format!("Untagged: {}", name.familiar()));
            if image.row.kind == ImageKind::Pulled && name.digest().is_none() {
                result(&format!("Untagged: {}@{target}", name.familiar_name()));
            }
        } else {
            result(&format!("Untagged: {target}"));
        }
    }
    if is_last {
        result(&format!("Deleted: {target}"));
    }
    Ok(())
}

/// Refuses when a container needs the image; one that does not run can be overruled.
fn in_use(engine: &Engine, typed: &str, by_name: bool, target: BlobDigest, force: bool) -> Result<(), CliError> {
    for container in Containers::new(engine).list()? {
        if container.config.image.target.digest != target && container.config.image.manifest.digest != target {
            continue;
        }
        let (id, running) = (container.config.short_id(), container.is_running());
        let what = if by_name { format!("remove repository reference {typed:?}") } else { format!("delete {typed}") };
        if running {
            return Err(CliError::Usage(format!(
                "conflict: unable to {what} (cannot be forced) - container {id} is using its referenced image {}",
                short(&target.to_string(), false)
            )));
        }
        if !force {
            return Err(CliError::Usage(format!(
                "conflict: unable to {what} (must force) - container {id} is using its referenced image {}",
                short(&target.to_string(), false)
            )));
        }
    }
    Ok(())
}

/// The asked platform of an image; else the host's; else the first.
pub fn platform_of(
    images: &Images,
    image: &LocalImage,
    platform: Option<&Platform>,
) -> Result<LocalManifest, CliError> {
    if let Some(platform) = platform {
        return Ok(images.choose(image, platform)?);
    }
    match images.choose(image, &Platform::host()) {
        Ok(manifest) => Ok(manifest),
        Err(error) => Ok(images.manifests(image)?.into_iter().next().ok_or(error)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_within_a_part() {
        for (pattern, text, wanted) in [
            ("busy*", "busybox", true),
            ("*", "busybox", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("busybox:lat*", "busybox:latest", true),
            ("b?sybox", "busybox", true),
            ("busy", "busybox", false),
            ("a:[12]", "a:1", true),
            ("a:[12]", "a:3", false),
            ("a:[^12]", "a:3", true),
            ("a:[0-9]*", "a:25", true),
            ("a:[0-9", "a:2", false),
            ("a[/]b", "a/b", false),
            ("a:\\[1]", "a:[1]", true),
        ] {
            assert_eq!(glob(pattern, text), wanted, "{pattern} {text}");
        }
    }
}
