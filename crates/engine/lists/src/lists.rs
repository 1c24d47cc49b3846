//! In: `manifest create|annotate|inspect|push|rm|ls|prune`. Out: local lists changed, shown, pushed. Never: an image whose platform nobody could run.

use std::path::Path;

use crossdock_exporter::push::PushDocument;
use crossdock_oci::{BlobDigest, Descriptor, Index, Manifest, Platform, Reference, media_type};
use crossdock_progress::Step;

use crate::docker_dir::file_name;
use crate::docker_view::{self, list_document};
use crate::json_text::indent;
use crate::library::{Found, Library, Place};
use crate::memory::{Elsewhere, Memory};
use crate::push::{bring, put};
use crate::source::named;
use crate::{DockerLists, ListEntry, ListError, Source, platform};

/// The lists of a user.
pub struct Lists<'a> {
    library: Library<'a>,
    dir: DockerLists,
    memory: Memory,
}

/// What `annotate` says of an image; empty means: as it is.
#[derive(Debug, Clone, Default)]
pub struct Annotation {
    pub os: String,
    pub architecture: String,
    pub variant: String,
    pub os_version: String,
    /// Added to those there are.
    pub os_features: Vec<String>,
}

/// Whether a registry has a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushState {
    /// Nothing is known of a push.
    NotPushed,
    /// As it stands.
    Pushed,
    /// An older one.
    ChangedSince(BlobDigest),
}

/// A list as `manifest ls` shows it.
#[derive(Debug, Clone)]
pub struct KnownList {
    pub list: Reference,
    pub platforms: Vec<String>,
    pub state: PushState,
}

/// An image on its way into a list.
struct Chosen {
    entry: ListEntry,
    place: Place,
}

impl<'a> Lists<'a> {
    /// The lists below Docker's configuration directory.
    #[must_use]
    pub fn new(library: Library<'a>, config_dir: &Path) -> Self {
        Self { library, dir: DockerLists::in_config(config_dir), memory: Memory::in_config(config_dir) }
    }

    /// Makes a list, or with `amend` adds to one. Every image is looked up anew. Answers the list's name, and the images
    /// that only the local store has.
    ///
    /// # Errors
    /// When the list is there already, or an image is nowhere.
    pub fn create(
        &self,
        list: &str,
        sources: &[String],
        amend: bool,
    ) -> Result<(Reference, Vec<Reference>), ListError> {
        let list = named(list).map_err(|error| name_of_list(list, error))?;
        let there = self.dir.get(&list)?;
        if there.is_some() && !amend {
            return Err(ListError::ListThere);
        }
        let mut chosen = Vec::new();
        let mut replaced: Vec<Reference> = Vec::new();
        for text in sources {
            let source = Source::parse(text)?;
            if let Source::Name(name) = &source {
                replaced.push(name.clone());
            }
            chosen.extend(self.images_of(&list, source)?);
        }
        let mut remembered = self.memory.get(&list);
        for old in there.iter().flatten() {
            let same_tag = |name: &Reference| {
                name.name() == old.reference.name() && name.tag() == old.reference.tag() && name.tag().is_some()
            };
            let still = chosen.iter().any(|new| new.entry.reference == old.reference);
            // What an index stood for before it moved.
            if !still && replaced.iter().any(same_tag) {
                self.dir.take(&list, &old.reference)?;
                remembered.elsewhere.remove(&file_name(&old.reference));
            }
        }
        for Chosen { entry, place } in &chosen {
            self.dir.save(&list, entry)?;
            let file = file_name(&entry.reference);
            match place {
                Place::Registry(_) => remembered.elsewhere.remove(&file),
                Place::Kept(_) => remembered.elsewhere.insert(file, Elsewhere::Kept(entry.reference.clone())),
                Place::Layout(dir) => remembered.elsewhere.insert(file, Elsewhere::Layout(dir.clone())),
            };
        }
        self.memory.put(&list, &remembered)?;
        let only_here = chosen.into_iter().filter(|new| matches!(new.place, Place::Kept(_)));
        Ok((list, only_here.map(|new| new.entry.reference).collect()))
    }

    /// The images a source stands for: one, or those of an index.
    fn images_of(&self, list: &Reference, source: Source) -> Result<Vec<Chosen>, ListError> {
        let in_repository = |digest| list.name_only().with_digest(digest);
        let (source, given) = match source {
            Source::Digest(digest) => (Source::Name(in_repository(digest)), None),
            Source::Descriptor(given) => (Source::Name(in_repository(given.digest)), Some(given)),
            other => (other, None),
        };
        let found = self.library.find(&source).map_err(|error| missing(&source, error))?;
        let name = match &source {
            Source::Name(name) => Some(name.clone()),
            _ => None,
        };
        let reference = |digest: BlobDigest, only: bool| match &name {
            Some(name) if only => name.clone(),
            Some(name) => name.with_digest(digest),
            None => in_repository(digest),
        };
        if media_type::is_index(&found.descriptor.media_type) {
            return self.images_of_index(&found, &reference);
        }
        let mut descriptor = found.descriptor.clone();
        if let Some(given) = given {
            descriptor = given.over(descriptor)?;
        }
        let reference = reference(descriptor.digest, true);
        Ok(vec![self.image(reference, descriptor, found.raw.clone(), &found.place)?])
    }

    fn images_of_index(
        &self,
        found: &Found,
        reference: &dyn Fn(BlobDigest, bool) -> Reference,
    ) -> Result<Vec<Chosen>, ListError> {
        let name = found.place.shown();
        let index =
            Index::parse(found.raw.clone()).map_err(|source| ListError::Document { name: name.clone(), source })?;
        // An index that was pulled is kept here with some of its images only.
        let is_kept = matches!(found.place, Place::Kept(_));
        let mut images: Vec<&Descriptor> = Vec::new();
        for image in index.images().filter(|image| media_type::is_manifest(&image.media_type)) {
            if !is_kept || self.library.store.has(image.digest)? {
                images.push(image);
            }
        }
        if images.is_empty() {
            return Err(ListError::NoImages { name });
        }
        let mut chosen = Vec::new();
        for image in &images {
            let raw = self.library.document(&found.place, image)?;
            let mut descriptor = Descriptor::new(image.media_type.clone(), image.digest, image.size);
            descriptor.platform.clone_from(&image.platform);
            chosen.push(self.image(reference(image.digest, images.len() == 1), descriptor, raw, &found.place)?);
        }
        Ok(chosen)
    }

    fn image(
        &self,
        reference: Reference,
        mut descriptor: Descriptor,
        raw: bytes::Bytes,
        place: &Place,
    ) -> Result<Chosen, ListError> {
        let name = reference.to_string();
        if !media_type::is_manifest(&descriptor.media_type) {
            return Err(ListError::NotAnImage { name, media_type: descriptor.media_type });
        }
        let complete =
            descriptor.platform.as_ref().is_some_and(|known| !known.os.is_empty() && !known.architecture.is_empty());
        if !complete {
            let manifest = Manifest::parse(raw.clone()).map_err(|source| ListError::Document { name, source })?;
            let from_config = self.library.config_platform(place, &manifest)?;
            descriptor.platform = Some(from_config.unwrap_or_else(|| Platform::new("", "", "")));
        }
        descriptor.platform = descriptor.platform.map(platform::normalized);
        Ok(Chosen { entry: ListEntry::new(reference, descriptor, raw), place: place.clone() })
    }

    /// Says for which platform an image of a list is.
    ///
    /// # Errors
    /// When the image is not in the list, or nothing runs on such a platform.
    pub fn annotate(&self, list: &str, image: &str, wish: &Annotation) -> Result<Reference, ListError> {
        let target = named(list).map_err(|error| name_of_list(list, error))?;
        let not_there = || ListError::NotInList { image: image.to_owned(), list: list.to_owned() };
        let entries = self.dir.get(&target)?.ok_or_else(not_there)?;
        let mut entry = self.meant(&target, entries, image)?.ok_or_else(not_there)?;
        let old = entry.descriptor.platform.take().unwrap_or_else(|| Platform::new("", "", ""));
        // `armv7l` says a variant, too: it replaces the old one, and gives way to one that was written.
        let given = platform::normalized(Platform::new(&wish.os, &wish.architecture, &wish.variant));
        let pick = |new: &str, old: String| if new.is_empty() { old } else { new.to_owned() };
        let mut merged = Platform {
            os: pick(&given.os, old.os),
            architecture: pick(&given.architecture, old.architecture),
            variant: pick(&given.variant, old.variant),
            os_version: pick(&wish.os_version, old.os_version),
            os_features: old.os_features,
        };
        for feature in &wish.os_features {
            if !merged.os_features.contains(feature) {
                merged.os_features.push(feature.clone());
            }
        }
        entry.descriptor.platform = Some(platform::checked(merged)?);
        self.dir.save(&target, &entry)?;
        Ok(target)
    }

    /// The entry a word means: by its name, by the name of the index it came in, or by its layout.
    fn meant(&self, list: &Reference, entries: Vec<ListEntry>, text: &str) -> Result<Option<ListEntry>, ListError> {
        let remembered = self.memory.get(list);
        let fits = |entry: &ListEntry| match Source::parse(text) {
            Ok(Source::Name(name)) => {
                entry.reference == name
                    || (name.digest().is_none()
                        && name.name() == entry.reference.name()
                        && name.tag() == entry.reference.tag())
                    || (name.digest().is_some()
                        && name.digest() == entry.reference.digest()
                        && name.name() == entry.reference.name())
            }
            Ok(Source::Digest(digest)) => entry.descriptor.digest == digest,
            Ok(Source::Layout { dir, .. }) => {
                let known = remembered.elsewhere.get(&file_name(&entry.reference));
                fs_err::canonicalize(dir).is_ok_and(|dir| known == Some(&Elsewhere::Layout(dir)))
            }
            _ => false,
        };
        let exact = named(text).ok().and_then(|name| entries.iter().find(|entry| entry.reference == name).cloned());
        if exact.is_some() {
            return Ok(exact);
        }
        let mut meant: Vec<ListEntry> = entries.into_iter().filter(fits).collect();
        if meant.len() > 1 {
            let names = meant.iter().map(|entry| entry.reference.to_string()).collect();
            return Err(ListError::Several { image: text.to_owned(), list: list.to_string(), names });
        }
        Ok(meant.pop())
    }

    /// What to say of a list that changed after it was pushed; none when the registry's copy is this one, or there is none.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn stale(&self, list: &Reference) -> Result<Option<BlobDigest>, ListError> {
        Ok(match self.state(list, &self.dir.get(list)?.unwrap_or_default()) {
            PushState::ChangedSince(pushed) => Some(pushed),
            _ => None,
        })
    }

    fn state(&self, list: &Reference, entries: &[ListEntry]) -> PushState {
        let now = document_of(entries).descriptor.digest;
        match self.memory.get(list).pushed {
            None => PushState::NotPushed,
            Some(pushed) if pushed == now => PushState::Pushed,
            Some(pushed) => PushState::ChangedSince(pushed),
        }
    }

    /// `manifest inspect [LIST] IMAGE`: the text Docker's CLI prints.
    ///
    /// # Errors
    /// When nothing has the name.
    pub fn inspect(&self, list: Option<&str>, name: &str, verbose: bool) -> Result<String, ListError> {
        let reference = named(name)?;
        if let Some(list) = list {
            let target = named(list)?;
            let entries = self.dir.get(&target)?.unwrap_or_default();
            let meant = self.meant(&target, entries, name)?.ok_or_else(|| ListError::NoList(reference.to_string()))?;
            return if verbose { docker_view::verbose(&meant) } else { Ok(indent(&meant.payload, "\t")) };
        }
        if let Some(entries) = self.dir.get(&reference)? {
            let text = || String::from_utf8_lossy(&document_of(&entries).raw).into_owned();
            return if verbose { docker_view::verbose_list(&entries) } else { Ok(text()) };
        }
        let found = self.library.find(&Source::Name(reference.clone()));
        let found = found.map_err(|error| not_found(&reference, error))?;
        if media_type::is_index(&found.descriptor.media_type) {
            return self.inspect_index(&reference, &found, verbose);
        }
        if !verbose {
            return Ok(indent(&String::from_utf8_lossy(&found.raw), "\t"));
        }
        let chosen = self.image(reference, found.descriptor.clone(), found.raw.clone(), &found.place)?;
        docker_view::verbose(&chosen.entry)
    }

    fn inspect_index(&self, reference: &Reference, found: &Found, verbose: bool) -> Result<String, ListError> {
        let index = Index::parse(found.raw.clone())
            .map_err(|source| ListError::Document { name: reference.to_string(), source })?;
        if !verbose {
            let all: Vec<&Descriptor> = index.view.manifests.iter().collect();
            return Ok(String::from_utf8_lossy(&list_document(&all).raw).into_owned());
        }
        let mut entries = Vec::new();
        for image in &index.view.manifests {
            let raw = self.library.document(&found.place, image)?;
            let mut plain = Descriptor::new(image.media_type.clone(), image.digest, image.size);
            plain.platform = Some(image.platform.clone().unwrap_or_else(|| Platform::new("", "", "")));
            entries.push(ListEntry::new(reference.with_digest(image.digest), plain, raw));
        }
        docker_view::verbose_list(&entries)
    }

    /// Pushes a list with what its repository does not have yet. `tell` gets the line of each image that had to move.
    ///
    /// # Errors
    /// When an image has no platform, or is nowhere; those of the registry.
    pub fn push(&self, list: &str, step: &Step, tell: &dyn Fn(&str)) -> Result<(Reference, BlobDigest), ListError> {
        let target = named(list)?;
        let entries = self.dir.get(&target)?.ok_or_else(|| ListError::NoList(target.to_string()))?;
        if entries.is_empty() {
            return Err(ListError::EmptyList { list: target.to_string() });
        }
        for entry in &entries {
            let platform = entry.descriptor.platform.as_ref();
            if platform.is_none_or(|platform| platform.os.is_empty() || platform.architecture.is_empty()) {
                return Err(ListError::NoPlatform(entry.reference.to_string()));
            }
        }
        let mut remembered = self.memory.get(&target);
        let repository = target.name_only();
        for entry in &entries {
            let place = self.place(remembered.elsewhere.get(&file_name(&entry.reference)), entry)?;
            if matches!(&place, Place::Registry(name) if name.name() == repository.name()) {
                continue;
            }
            let mut documents = Vec::new();
            self.library.gather(&place, &entry.descriptor, &mut documents)?;
            bring(&self.library, &documents, &repository, step)?;
            let digest = entry.descriptor.digest;
            tell(&format!("Pushed ref {} with digest: {digest}", repository.with_digest(digest)));
        }
        let document = document_of(&entries);
        let digest = document.descriptor.digest;
        put(
            &self.library,
            PushDocument { descriptor: document.descriptor, raw: document.raw },
            std::slice::from_ref(&target),
            step,
        )?;
        remembered.pushed = Some(digest);
        self.memory.put(&target, &remembered)?;
        Ok((target, digest))
    }

    /// Where an image of a list is now.
    fn place(&self, elsewhere: Option<&Elsewhere>, entry: &ListEntry) -> Result<Place, ListError> {
        Ok(match elsewhere {
            None => Place::Registry(entry.reference.clone()),
            Some(Elsewhere::Layout(dir)) => Place::Layout(dir.clone()),
            Some(Elsewhere::Kept(name)) => {
                let by_digest = name.name_only().with_digest(entry.descriptor.digest);
                // By its own digest, else as part of the index that has the name.
                let found = match self.library.kept(&by_digest)? {
                    None => self.library.kept(&untagged_digest(name))?,
                    found => found,
                };
                match found {
                    Some(found) => found.place,
                    // Somebody may have pushed it since, and removed it here.
                    None => Place::Registry(entry.reference.clone()),
                }
            }
        })
    }

    /// Removes a list.
    ///
    /// # Errors
    /// When there is none of the name.
    pub fn remove(&self, list: &str) -> Result<Reference, ListError> {
        let target = named(list)?;
        if self.dir.get(&target).is_ok_and(|entries| entries.is_none()) {
            return Err(ListError::NoList(target.to_string()));
        }
        self.dir.remove(&target)?;
        self.memory.forget(&target);
        Ok(target)
    }

    /// Every list.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn all(&self) -> Result<Vec<KnownList>, ListError> {
        let known = |(list, entries): (Reference, Vec<ListEntry>)| {
            let platforms = entries.iter().map(|entry| {
                entry.descriptor.platform.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string)
            });
            KnownList { platforms: platforms.collect(), state: self.state(&list, &entries), list }
        };
        Ok(self.dir.all()?.into_iter().map(known).collect())
    }
}

fn document_of(entries: &[ListEntry]) -> docker_view::ListDocument {
    list_document(&entries.iter().map(|entry| &entry.descriptor).collect::<Vec<_>>())
}

/// The name without the digest an index's image got.
fn untagged_digest(name: &Reference) -> Reference {
    match name.tag() {
        Some(tag) => name.with_tag(tag).unwrap_or_else(|_| name.clone()),
        None => name.clone(),
    }
}

fn name_of_list(text: &str, error: ListError) -> ListError {
    match error {
        ListError::Name(source) => ListError::ListName { text: text.to_owned(), source },
        other => other,
    }
}

/// A source that is nowhere: in Docker's words, with what brings it there.
fn missing(source: &Source, error: ListError) -> ListError {
    match (source, error) {
        (Source::Name(name), ListError::Registry(error)) => ListError::no_manifest(name, &error),
        (_, other) => other,
    }
}

/// A name that nothing has is said as Docker says it; a registry that does not answer says so itself.
fn not_found(name: &Reference, error: ListError) -> ListError {
    match error {
        ListError::Registry(error) if error.is_not_found() => ListError::NotFound(name.to_string()),
        other => other,
    }
}
