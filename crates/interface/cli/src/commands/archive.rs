//! In: `save`, `load`. Out: images in archives that Docker and OCI tools read. Never: a terminal filled with an archive, a half-written file left behind.

use std::io::{BufWriter, IsTerminal, Read, Write};
use std::path::Path;

use crossdock_build::{LoadedImage, SaveWish};
use crossdock_exporter::Dest;
use crossdock_exporter::files::open_archive;
use crossdock_oci::{Platform, Reference};

use super::engine;
use crate::args::images::{LoadArgs, SaveArgs};
use crate::error::{CliError, result, say};

/// Bytes collected before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// `save`
pub fn save(args: &SaveArgs) -> Result<(), CliError> {
    if args.output.is_none() && std::io::stdout().is_terminal() {
        return Err(CliError::Usage("cowardly refusing to save to a terminal. Use the -o flag or redirect".to_owned()));
    }
    let platform = one_platform(&args.platforms)?;
    let engine = engine()?;
    let images = engine.images();
    let mut wishes = Vec::new();
    for name in &args.names {
        // A repository without a tag means all its tags, as with Docker.
        let reference = name.parse::<Reference>().ok();
        if let Some(reference) = reference.as_ref().filter(|name| name.tag().is_none() && name.digest().is_none()) {
            let mut all = images.list()?;
            all.retain(|image| image.reference.as_ref().is_some_and(|known| known.name() == reference.name()));
            if !all.is_empty() {
                all.sort_by_key(|image| image.reference.as_ref().map(Reference::to_string));
                wishes.extend(all.into_iter().map(|image| SaveWish { image, named: true }));
                continue;
            }
        }
        let image = images.find(name)?;
        let named = reference
            .as_ref()
            .is_some_and(|typed| image.reference.as_ref().is_some_and(|known| known.name() == typed.name()));
        wishes.push(SaveWish { image, named });
    }
    let dest = args.output.as_ref().filter(|path| *path != "-").map_or(Dest::Stdout, |path| Dest::Path(path.into()));
    let mut archive = open_archive("docker", &dest).map_err(crossdock_build::BuildError::from)?;
    let report = {
        let mut buffered = BufWriter::with_capacity(WRITE_BYTES, &mut archive);
        let report = engine.save(&wishes, platform.as_ref(), &mut buffered)?;
        let path = args.output.clone().unwrap_or_else(|| "standard output".to_owned());
        buffered.flush().map_err(|source| CliError::File { action: "write", path, source })?;
        report
    };
    archive.finish().map_err(crossdock_build::BuildError::from)?;
    for (name, platforms) in &report.left_out {
        say(&format!(
            "WARNING: {name}: {} not in the local store and so not in the archive; `crossdock pull --all-platforms {name}` fetches them",
            platforms.join(", ")
        ));
    }
    Ok(())
}

/// `load`
pub fn load(args: &LoadArgs) -> Result<(), CliError> {
    let platform = one_platform(&args.platforms)?;
    let engine = engine()?;
    let loaded = match &args.input {
        Some(path) if Path::new(path).is_dir() => engine.load_directory(Path::new(path), platform.as_ref())?,
        Some(path) if path != "-" => {
            let file = fs_err::File::open(path).map_err(|source| CliError::File {
                action: "read",
                path: path.clone(),
                source,
            })?;
            engine.load(Box::new(file), path, platform.as_ref())?
        }
        _ => {
            if std::io::stdin().is_terminal() {
                return Err(CliError::Usage("requested load from stdin, but stdin is empty: give -i FILE".to_owned()));
            }
            let stream: Box<dyn Read + Send> = Box::new(std::io::stdin());
            engine.load(stream, "standard input", platform.as_ref())?
        }
    };
    for LoadedImage { reference, target } in loaded {
        match reference {
            Some(name) => result(&format!("Loaded image: {}", name.familiar())),
            None => result(&format!("Loaded image ID: {}", target.digest)),
        }
    }
    Ok(())
}

fn one_platform(words: &[String]) -> Result<Option<Platform>, CliError> {
    let mut platforms = super::platforms(words)?;
    match platforms.len() {
        0 => Ok(None),
        1 => Ok(platforms.pop()),
        _ => Err(CliError::Usage("--platform takes one platform here; without it all platforms are taken".to_owned())),
    }
}
