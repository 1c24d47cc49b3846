//! In: sources and wishes of `imagetools create`. Out: the index they give, as buildx 0.29 writes it. Never: anything sent.

use std::collections::BTreeMap;

use bytes::Bytes;
use crossdock_oci::media_type::{self, Family};
use crossdock_oci::{BlobDigest, Descriptor, Index, IndexView, Manifest, Platform, Reference};

use crate::json_text::{compact, indent};
use crate::library::{Library, Place};
use crate::{ListError, Source};

/// A source that was found.
#[derive(Debug, Clone)]
pub struct Part {
    /// What goes into the index when it is a manifest.
    pub descriptor: Descriptor,
    pub raw: Bytes,
    pub place: Place,
}

/// What is wished of the index.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    pub annotations: Vec<Annotation>,
    /// Is a single manifest put into an index?
    pub prefer_index: bool,
    /// Only these; empty: all.
    pub platforms: Vec<Platform>,
}

/// An annotation and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    pub target: Target,
    pub key: String,
    pub value: String,
}

/// What an annotation stands at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Index,
    /// The entries of a platform, or all.
    Descriptor(Option<Platform>),
}

/// What is to be pushed.
#[derive(Debug, Clone)]
pub struct Combined {
    pub descriptor: Descriptor,
    pub raw: Bytes,
    /// What it names, with where each is. A document that was copied as it is stands here itself.
    pub entries: Vec<(Descriptor, Place)>,
    /// Annotations had no place, because Docker's lists have none.
    pub annotations_ignored: bool,
}

impl Annotation {
    /// Reads `[type[platform],…:]key=value`.
    ///
    /// # Errors
    /// When it is not of the form, or of a type that has no place in an index.
    pub fn parse(text: &str) -> Result<Vec<Self>, ListError> {
        let (name, value) =
            text.split_once('=').ok_or_else(|| ListError::AnnotationText(format!("{text:?}: expected key=value")))?;
        let (types, key) = name.split_once(':').unwrap_or(("manifest", name));
        if key.is_empty() {
            return Err(ListError::AnnotationText(format!("{text:?}: the key is empty")));
        }
        types
            .split(',')
            .map(|kind| Ok(Self { target: target(kind)?, key: key.to_owned(), value: value.to_owned() }))
            .collect()
    }
}

fn target(kind: &str) -> Result<Target, ListError> {
    let (word, platform) = match kind.split_once('[') {
        None => (kind, None),
        Some((word, rest)) => {
            let text =
                rest.strip_suffix(']').ok_or_else(|| ListError::AnnotationText(format!("{kind:?}: ] is missing")))?;
            let platform: Result<Platform, _> = text.parse();
            (word, Some(platform.map_err(|error| ListError::AnnotationText(error.to_string()))?))
        }
    };
    match word {
        "index" => Ok(Target::Index),
        "manifest-descriptor" => Ok(Target::Descriptor(platform)),
        "manifest" => Err(ListError::AnnotationLater(word.to_owned())),
        "index-descriptor" => Err(ListError::AnnotationNever(word.to_owned())),
        other => Err(ListError::AnnotationText(format!("unknown annotation type {other:?}"))),
    }
}

/// Finds the sources. Digests and descriptors belong to the one repository that tags and names speak of.
///
/// # Errors
/// When a source is nowhere, or there is no such repository.
pub fn find(library: &Library<'_>, sources: &[Source], tags: &[Reference]) -> Result<Vec<Part>, ListError> {
    let mut repositories: Vec<Reference> = tags.iter().map(Reference::name_only).collect();
    repositories.extend(sources.iter().filter_map(|source| match source {
        Source::Name(name) => Some(name.name_only()),
        _ => None,
    }));
    repositories.sort();
    repositories.dedup();
    let only = |digest: BlobDigest| match repositories.as_slice() {
        [only] => Ok(only.with_digest(digest)),
        [] => Err(ListError::NoRepositories),
        _ => Err(ListError::NoRepository {
            source_name: digest.to_string(),
            why: "several repositories are used, so its own must be written: NAME@DIGEST",
        }),
    };
    let mut parts = Vec::new();
    for source in sources {
        let (source, given) = match source {
            Source::Digest(digest) => (Source::Name(only(*digest)?), None),
            Source::Descriptor(given) => (Source::Name(only(given.digest)?), Some(given)),
            other => (other.clone(), None),
        };
        let found = library.find(&source).map_err(|error| match (&source, error) {
            (Source::Name(name), ListError::Registry(error)) if error.is_not_found() => {
                ListError::NotThere(name.to_string())
            }
            (_, other) => other,
        })?;
        let mut descriptor = found.descriptor;
        if let Some(given) = given {
            descriptor = given.over(descriptor)?;
        }
        if media_type::is_manifest(&descriptor.media_type) {
            let complete = |known: &Platform| !known.os.is_empty() && !known.architecture.is_empty();
            if !descriptor.platform.as_ref().is_some_and(complete) {
                let bad = |source| ListError::Document { name: found.place.shown(), source };
                let manifest = Manifest::parse(found.raw.clone()).map_err(bad)?;
                let said = library.config_platform(&found.place, &manifest)?;
                descriptor.platform = Some(said.map_or_else(|| Platform::new("", "", ""), Platform::normalized));
            }
        }
        parts.push(Part { descriptor, raw: found.raw, place: found.place });
    }
    Ok(parts)
}

/// Makes the index. One source that needs no change stays as it is, byte for byte.
///
/// # Errors
/// When a source cannot be read, or a wished platform is in none.
pub fn combine(parts: &[Part], wish: &Wish) -> Result<Combined, ListError> {
    let whole = entries(parts)?;
    let kept = filtered(&whole, &wish.platforms)?;
    if let ([only], true, true) = (parts, wish.annotations.is_empty(), kept.len() == whole.len())
        && (media_type::is_index(&only.descriptor.media_type) || !wish.prefer_index)
    {
        let plain = Descriptor::new(only.descriptor.media_type.clone(), only.descriptor.digest, only.raw.len() as u64);
        let entries =
            if media_type::is_index(&plain.media_type) { kept } else { vec![(plain.clone(), only.place.clone())] };
        return Ok(Combined { descriptor: plain, raw: only.raw.clone(), entries, annotations_ignored: false });
    }
    let mut entries = kept;
    let is_docker = |entry: &Descriptor| media_type::family(&entry.media_type) == Some(Family::Docker);
    let family = if entries.iter().all(|(entry, _)| is_docker(entry)) { Family::Docker } else { Family::Oci };
    let mut annotations = BTreeMap::new();
    if family == Family::Oci {
        for wished in &wish.annotations {
            match &wished.target {
                Target::Index => drop(annotations.insert(wished.key.clone(), wished.value.clone())),
                Target::Descriptor(platform) => {
                    let fits = |entry: &Descriptor| {
                        platform.as_ref().is_none_or(|wanted| {
                            entry.platform.as_ref().is_some_and(|known| known.clone().normalized() == *wanted)
                        })
                    };
                    for (entry, _) in entries.iter_mut().filter(|(entry, _)| fits(entry)) {
                        entry.annotations.insert(wished.key.clone(), wished.value.clone());
                    }
                }
            }
        }
    }
    let view = IndexView {
        schema_version: 2,
        media_type: Some(family.index().to_owned()),
        artifact_type: None,
        manifests: entries.iter().map(|(entry, _)| entry.clone()).collect(),
        subject: None,
        annotations,
    };
    let text = serde_json::to_string(&view).expect("an index view has only string keys");
    let raw = Bytes::from(indent(&compact(&text, true), "  "));
    let annotations_ignored = family == Family::Docker && !wish.annotations.is_empty();
    Ok(Combined { descriptor: Descriptor::of(family.index(), &raw), raw, entries, annotations_ignored })
}

/// What the sources name, each digest once; a later one adds annotations and a platform to an earlier one.
fn entries(parts: &[Part]) -> Result<Vec<(Descriptor, Place)>, ListError> {
    let mut entries: Vec<(Descriptor, Place)> = Vec::new();
    let mut add = |new: &Descriptor, place: &Place| match entries.iter_mut().find(|(old, _)| old.digest == new.digest) {
        None => entries.push((new.clone(), place.clone())),
        Some((old, _)) => {
            old.platform = new.platform.clone().or_else(|| old.platform.take());
            old.annotations.extend(new.annotations.clone());
        }
    };
    for part in parts {
        if !media_type::is_index(&part.descriptor.media_type) {
            add(&part.descriptor, &part.place);
            continue;
        }
        let index = Index::parse(part.raw.clone())
            .map_err(|source| ListError::Document { name: part.place.shown(), source })?;
        for entry in &index.view.manifests {
            add(entry, &part.place);
        }
    }
    Ok(entries)
}

/// The entries of the platforms, and the attestations of these.
fn filtered(entries: &[(Descriptor, Place)], wanted: &[Platform]) -> Result<Vec<(Descriptor, Place)>, ListError> {
    if wanted.is_empty() {
        return Ok(entries.to_vec());
    }
    let platform = |entry: &Descriptor| entry.platform.clone().map(Platform::normalized);
    for one in wanted {
        if !entries.iter().any(|(entry, _)| platform(entry).as_ref() == Some(one)) {
            let images = entries.iter().filter(|(entry, _)| !entry.is_attestation());
            let available: Vec<String> =
                images.filter_map(|(entry, _)| platform(entry)).map(|p| p.to_string()).collect();
            let name = entries.first().map_or_else(String::new, |(_, place)| place.shown());
            return Err(ListError::NoSuchPlatform { name, wanted: one.to_string(), available: available.join(", ") });
        }
    }
    let is_wanted = |entry: &Descriptor| platform(entry).is_some_and(|platform| wanted.contains(&platform));
    let kept: Vec<String> =
        entries.iter().filter(|(entry, _)| is_wanted(entry)).map(|(entry, _)| entry.digest.to_string()).collect();
    let of_kept = |entry: &Descriptor| {
        entry.is_attestation()
            && entry.annotations.get("vnd.docker.reference.digest").is_some_and(|of| kept.contains(of))
    };
    Ok(entries.iter().filter(|(entry, _)| is_wanted(entry) || of_kept(entry)).cloned().collect())
}
