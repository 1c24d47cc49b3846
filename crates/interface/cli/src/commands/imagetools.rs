//! In: `imagetools create|inspect`. Out: an index in a registry, or what a registry holds, in buildx's words. Never: a layer moved through this machine when the registry can mount it.

use crossdock_build::{BuildError, Engine};
use crossdock_exporter::push::{PushFrom, PushImage, document, push};
use crossdock_oci::media_type::{self, Family};
use crossdock_oci::{Descriptor, ImageConfig, Index, IndexView, Manifest, Platform, Reference};

use super::engine;
use super::transfer::shown;
use crate::args::lists::{CreateArgs, RegistryInspectArgs};
use crate::error::{CliError, result};

/// One manifest of the index to be made, and where it is.
struct Entry {
    descriptor: Descriptor,
    manifest: Manifest,
    from: Reference,
}

/// `imagetools create`
pub fn create(args: &CreateArgs) -> Result<(), CliError> {
    if args.sources.is_empty() && !args.append {
        return Err(CliError::Usage("no sources specified: name the images to join".to_owned()));
    }
    let tags = args
        .tags
        .iter()
        .map(|tag| tag.parse::<Reference>().map(|name| name.tagged_or_latest()))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(first) = tags.first().cloned() else {
        return Err(CliError::Usage("can't push with no tags specified, please set --tag or --dry-run".to_owned()));
    };
    let engine = engine()?;
    let mut sources = Vec::new();
    if args.append {
        sources.push(first);
    }
    for source in &args.sources {
        sources.push(source.parse::<Reference>()?.tagged_or_latest());
    }
    let mut entries: Vec<Entry> = Vec::new();
    for source in &sources {
        for entry in entries_of(&engine, source)? {
            if !entries.iter().any(|known| known.descriptor.digest == entry.descriptor.digest) {
                entries.push(entry);
            }
        }
    }
    let index = join(&entries);
    if args.dry_run {
        result(&String::from_utf8_lossy(&index.raw));
        return Ok(());
    }
    publish(&engine, &tags, &entries, &index)
}

/// The manifests a source stands for: those of an index, or itself with its config's platform.
fn entries_of(engine: &Engine, source: &Reference) -> Result<Vec<Entry>, CliError> {
    let client = engine.client();
    let resolved = client.resolve(source)?;
    let bad = |error| CliError::from(BuildError::document(source, error));
    if !media_type::is_index(&resolved.descriptor.media_type) {
        let manifest = Manifest::parse(resolved.bytes).map_err(bad)?;
        let platform = config_platform(engine, source, &manifest)?;
        let descriptor = Descriptor { platform, ..resolved.descriptor };
        return Ok(vec![Entry { descriptor, manifest, from: source.clone() }]);
    }
    let index = Index::parse(resolved.bytes).map_err(bad)?;
    let mut entries = Vec::new();
    for descriptor in &index.view.manifests {
        let raw = client.fetch_manifest(&source.name_only(), descriptor)?;
        let manifest = Manifest::parse(raw).map_err(bad)?;
        entries.push(Entry { descriptor: descriptor.clone(), manifest, from: source.clone() });
    }
    Ok(entries)
}

fn config_platform(engine: &Engine, source: &Reference, manifest: &Manifest) -> Result<Option<Platform>, CliError> {
    let mut raw = Vec::new();
    engine.client().fetch_blob(&source.name_only(), &manifest.view.config, &mut raw, &mut |_, _| {})?;
    Ok(ImageConfig::parse(raw.into()).ok().and_then(|config| config.view.platform()))
}

/// Docker's list type only when every entry is a Docker manifest (spec/engine.md §11).
fn join(entries: &[Entry]) -> Index {
    let all_docker =
        entries.iter().all(|entry| media_type::family(&entry.descriptor.media_type) == Some(Family::Docker));
    let family = if all_docker && !entries.is_empty() { Family::Docker } else { Family::Oci };
    Index::write(IndexView {
        schema_version: 2,
        media_type: Some(family.index().to_owned()),
        artifact_type: None,
        manifests: entries
            .iter()
            .map(|entry| Descriptor { urls: Vec::new(), data: None, ..entry.descriptor.clone() })
            .collect(),
        subject: None,
        annotations: std::collections::BTreeMap::new(),
    })
}

fn publish(engine: &Engine, tags: &[Reference], entries: &[Entry], index: &Index) -> Result<(), CliError> {
    let lease = engine.store().lease()?;
    shown(false, |progress| {
        let mut names: Vec<Reference> = tags.iter().map(Reference::name_only).collect();
        names.dedup();
        for name in names {
            let step = progress.step(&format!("[internal] pushing {}", name.familiar()));
            let mut image =
                PushImage { target: Some(document(index.descriptor(), index.raw.clone())), ..PushImage::default() };
            for entry in entries {
                // Within one repository everything is there already.
                if entry.from.name() != name.name() {
                    step.log(
                        1,
                        format!(
                            "copying {} from {} to {}\n",
                            entry.descriptor.digest,
                            entry.from.familiar(),
                            name.familiar()
                        )
                        .as_bytes(),
                    );
                    image.add_manifest(&entry.manifest, &|_| vec![entry.from.name()]);
                    image.manifests.push(document(
                        Descriptor { platform: None, ..entry.descriptor.clone() },
                        entry.manifest.raw.clone(),
                    ));
                }
            }
            let of_name: Vec<Reference> = tags.iter().filter(|tag| tag.name() == name.name()).cloned().collect();
            for tag in &of_name {
                step.log(1, format!("pushing {} to {}\n", index.digest(), tag.familiar()).as_bytes());
            }
            let from = PushFrom { store: engine.store(), lease: &lease };
            let outcome = push(engine.client(), from, &image, &of_name, false, &step).map_err(BuildError::from);
            match &outcome {
                Ok(_) => step.done(),
                Err(error) => step.failed(&error.to_string()),
            }
            outcome?;
        }
        Ok::<(), BuildError>(())
    })?;
    Ok(())
}

/// `imagetools inspect`
pub fn inspect(args: &RegistryInspectArgs) -> Result<(), CliError> {
    if args.format.is_some() {
        return Err(CliError::NotYet {
            flag: "imagetools inspect --format".to_owned(),
            why: "use --raw and a JSON tool",
        });
    }
    let name: Reference = args.name.parse::<Reference>()?.tagged_or_latest();
    let engine = engine()?;
    let (descriptor, raw) = find(&engine, &name)?;
    if args.raw {
        use std::io::Write;
        let write = std::io::stdout().write_all(&raw);
        return write.map_err(|source| CliError::File { action: "write", path: "standard output".to_owned(), source });
    }
    show(&name, &descriptor, &raw)
}

/// What the registry has; names built here that no registry knows are shown from the local store.
fn find(engine: &Engine, name: &Reference) -> Result<(Descriptor, bytes::Bytes), CliError> {
    let images = engine.images();
    let local = images.get(name)?;
    match engine.client().resolve(name) {
        Ok(resolved) => Ok((resolved.descriptor, resolved.bytes)),
        Err(error) => match local {
            Some(image) => {
                let raw = images.document("image", &image.row.target, &name.familiar())?;
                Ok((image.row.target, raw))
            }
            None => Err(error.into()),
        },
    }
}

fn show(name: &Reference, descriptor: &Descriptor, raw: &bytes::Bytes) -> Result<(), CliError> {
    result(&format!("Name:      {name}"));
    result(&format!("MediaType: {}", descriptor.media_type));
    result(&format!("Digest:    {}", descriptor.digest));
    if !media_type::is_index(&descriptor.media_type) {
        return Ok(());
    }
    let index = Index::parse(raw.clone()).map_err(|error| CliError::from(BuildError::document(name, error)))?;
    result("           ");
    result("Manifests: ");
    for (at, entry) in index.view.manifests.iter().enumerate() {
        if at > 0 {
            result("               ");
        }
        result(&format!("  Name:        {}", name.with_digest(entry.digest)));
        result(&format!("  MediaType:   {}", entry.media_type));
        if let Some(platform) = &entry.platform {
            result(&format!("  Platform:    {platform}"));
        }
        if !entry.annotations.is_empty() {
            result("  Annotations: ");
            let width = entry.annotations.keys().map(String::len).max().unwrap_or(0) + 1;
            for (key, value) in &entry.annotations {
                result(&format!("    {:<width$} {value}", format!("{key}:")));
            }
        }
    }
    Ok(())
}
