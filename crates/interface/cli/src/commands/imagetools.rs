//! In: `imagetools create|inspect`. Out: an index in registries, or what a registry holds, in buildx's words. Never: a layer moved through this machine when the registry can mount it.

use std::sync::Arc;

use crossdock_build::Engine;
use crossdock_exporter::push::{PushFrom, PushImage, document, push};
use crossdock_gotemplate::{JsonStyle, Options, Template};
use crossdock_lists::combine::{Annotation, Combined, Wish, combine, find};
use crossdock_lists::details::{Needs, value};
use crossdock_lists::{Found, Library, ListError, Place, Source, bring, show};
use crossdock_oci::Reference;
use crossdock_progress::{Progress, Sink, Step};

use super::{engine, platforms};
use crate::args::lists::{CreateArgs, RegistryInspectArgs};
use crate::error::{CliError, result, say};
use crate::progress::{Builder, Display, Mode};

/// `imagetools create`
pub fn create(args: &CreateArgs) -> Result<(), CliError> {
    if args.sources.is_empty() && args.files.is_empty() {
        return Err(CliError::Usage("no sources specified: name the images to join".to_owned()));
    }
    if args.tags.is_empty() && !args.dry_run {
        return Err(CliError::Usage("can't push with no tags specified, please set --tag or --dry-run".to_owned()));
    }
    let mode = Mode::parse(&args.progress).ok_or_else(|| {
        CliError::Usage(format!("invalid progress mode {:?}: auto, none, plain, rawjson or tty", args.progress))
    })?;
    let tags = args
        .tags
        .iter()
        .map(|tag| tag.parse::<Reference>().map(|name| name.tagged_or_latest()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut annotations = Vec::new();
    for text in &args.annotations {
        annotations.extend(Annotation::parse(text)?);
    }
    let wish = Wish { annotations, prefer_index: args.prefer_index, platforms: platforms(&args.platforms)? };
    let sources = sources(args, &tags)?;
    let engine = engine()?;
    let lease = engine.store().lease()?;
    let library = Library { client: engine.client(), store: engine.store(), lease: &lease };
    let combined = combine(&find(&library, &sources, &tags)?, &wish)?;
    if combined.annotations_ignored {
        say(
            "WARNING: annotations are left out: every image is of Docker's media types, and Docker's manifest lists have none",
        );
    }
    if args.dry_run {
        result(&String::from_utf8_lossy(&combined.raw));
        return Ok(());
    }
    publish(&engine, &library, &tags, &combined, mode)?;
    match &args.metadata_file {
        Some(path) => write_metadata(path, &combined, &args.tags),
        None => Ok(()),
    }
}

/// Sources in their order: what is there already, those of files, those of the command line.
fn sources(args: &CreateArgs, tags: &[Reference]) -> Result<Vec<Source>, CliError> {
    let mut sources = Vec::new();
    if args.append {
        sources.extend(tags.first().cloned().map(Source::Name));
    }
    for path in &args.files {
        let text = fs_err::read_to_string(path).map_err(|source| CliError::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        sources.push(Source::parse(text.trim())?);
    }
    for text in &args.sources {
        sources.push(Source::parse(text)?);
    }
    Ok(sources)
}

fn publish(
    engine: &Engine,
    library: &Library<'_>,
    tags: &[Reference],
    combined: &Combined,
    mode: Mode,
) -> Result<(), CliError> {
    let display = Display::start(mode, &Builder { name: "default".to_owned(), driver: "embedded".to_owned() });
    let progress = Progress::new(Arc::clone(&display) as Arc<dyn Sink>);
    let mut repositories: Vec<Reference> = Vec::new();
    for name in tags.iter().map(Reference::name_only) {
        if !repositories.contains(&name) {
            repositories.push(name);
        }
    }
    let mut outcome = Ok(());
    for repository in &repositories {
        let step = progress.step(&format!("[internal] pushing {repository}"));
        outcome = publish_to(engine, library, repository, tags, combined, &step);
        match &outcome {
            Ok(()) => step.done(),
            Err(error) => step.failed(&error.to_string()),
        }
        if outcome.is_err() {
            break;
        }
    }
    display.finish();
    Ok(outcome?)
}

fn publish_to(
    engine: &Engine,
    library: &Library<'_>,
    repository: &Reference,
    tags: &[Reference],
    combined: &Combined,
    step: &Step,
) -> Result<(), ListError> {
    let mut documents = Vec::new();
    for (entry, place) in &combined.entries {
        step.log(1, format!("copying {} from {} to {repository}\n", entry.digest, place.shown()).as_bytes());
        // Within one repository everything is there already.
        if !matches!(place, Place::Registry(name) if name.name() == repository.name()) {
            library.gather(place, entry, &mut documents)?;
        }
    }
    bring(library, &documents, repository, step)?;
    let names: Vec<Reference> = tags.iter().filter(|tag| tag.name() == repository.name()).cloned().collect();
    for tag in &names {
        step.log(1, format!("pushing {} to {tag}\n", combined.descriptor.digest).as_bytes());
    }
    let image =
        PushImage { target: Some(document(combined.descriptor.clone(), combined.raw.clone())), ..PushImage::default() };
    let from = PushFrom { store: library.store, lease: library.lease };
    push(engine.client(), from, &image, &names, false, step).map_err(ListError::from)?;
    Ok(())
}

/// The keys of build's metadata file that an index has (spec/cli.md §1.5).
fn write_metadata(path: &str, combined: &Combined, names: &[String]) -> Result<(), CliError> {
    let metadata = serde_json::json!({
        "containerimage.descriptor": combined.descriptor,
        "containerimage.digest": combined.descriptor.digest,
        "image.name": names.join(","),
    });
    let text = serde_json::to_vec_pretty(&metadata).expect("metadata has only string keys");
    fs_err::write(path, text).map_err(|source| CliError::File { action: "write", path: path.to_owned(), source })
}

/// `imagetools inspect`
pub fn inspect(args: &RegistryInspectArgs) -> Result<(), CliError> {
    if args.raw && args.format.is_some() {
        return Err(CliError::Usage("format and raw cannot be used together".to_owned()));
    }
    let template = args.format.as_deref().filter(|text| !text.is_empty()).map(Template::parse).transpose();
    let template = template.map_err(ListError::from)?;
    let source = Source::parse(&args.name)?;
    let name = match &source {
        Source::Name(name) => name.clone(),
        Source::Layout { .. } => Reference::repository("layout", "image")?,
        _ => return Err(CliError::Usage(format!("{}: name the repository, too: NAME@DIGEST", args.name))),
    };
    let engine = engine()?;
    let lease = engine.store().lease()?;
    let library = Library { client: engine.client(), store: engine.store(), lease: &lease };
    let found = library.find(&source).map_err(|error| match error {
        ListError::Registry(error) if error.is_not_found() => ListError::NotThere(name.to_string()),
        other => other,
    })?;
    if args.raw {
        return write(&found.raw);
    }
    let text = match &template {
        Some(template) if !template.begins_with_field("Manifest") => rendered(&library, &args.name, &found, template)?,
        _ => show::text(&name, &found)?,
    };
    write(text.as_bytes())
}

fn rendered(library: &Library<'_>, name: &str, found: &Found, template: &Template) -> Result<String, CliError> {
    // What a template does not speak of is not fetched.
    let attestations = template.names_field("SBOM") || template.names_field("Provenance");
    let images = template.names_field("Image") || template.uses_whole();
    let data = value(library, name, found, Needs { images, attestations })?;
    let options = Options { missing_key_is_error: false, json: JsonStyle::INDENTED };
    Ok(template.render(&data, &options).map_err(ListError::from)?)
}

/// The bytes and nothing behind them. A reader that went away ends nothing.
fn write(bytes: &[u8]) -> Result<(), CliError> {
    use std::io::Write;
    match std::io::stdout().write_all(bytes) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::File { action: "write", path: "standard output".to_owned(), source })
        }
        _ => Ok(()),
    }
}
