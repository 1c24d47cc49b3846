//! In: the name of an image like tonistiigi/binfmt. Out: its static QEMU programs in a directory. Never: a program that does not run here.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crossdock_build::Engine;
use crossdock_content::Store;
use crossdock_oci::{Platform, Reference};
use crossdock_snapshot::compression;
use crossdock_snapshot::entry::EntryKind;
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::tar::{Chunk, Reader, TarEntry};
use tempfile::NamedTempFile;

use super::transfer::shown;
use crate::error::CliError;

/// Where such images have their emulators.
const PLACE: &str = "usr/bin";
const PREFIX: &str = "qemu-";

/// Takes `/usr/bin/qemu-*` of the host's platform out of an image, which is pulled when it is not here. Gives the files made.
pub fn take(engine: &Engine, name: &str, directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let image = match engine.images().find(name) {
        Ok(image) if engine.images().choose(&image, &Platform::host()).is_ok() => image,
        _ => {
            let reference: Reference = name.parse()?;
            // Without a terminal only the result counts.
            let quiet = !std::io::stderr().is_terminal();
            shown(quiet, |progress| engine.pull(&reference, &[Platform::host()], false, progress))?.image
        }
    };
    let local = engine.images().choose(&image, &Platform::host())?;
    let failed = |action, path: &Path| {
        let path = path.display().to_string();
        move |source| CliError::File { action, path, source }
    };
    fs_err::create_dir_all(directory).map_err(failed("make directory", directory))?;
    let mut found = BTreeMap::new();
    for layer in &local.manifest.view.layers {
        let read = read_layer(engine.store(), layer.digest, directory, &mut found);
        read.map_err(failed("read layer", Path::new(&layer.digest.to_string())))?;
    }
    let mut taken = Vec::new();
    for (file_name, file) in found {
        let path = directory.join(file_name);
        fs_err::set_permissions(file.path(), std::fs::Permissions::from_mode(0o755))
            .map_err(failed("change", &path))?;
        if matches!(crossdock_emulation::judge(file.path()), Some(Ok(()))) {
            file.persist(&path).map_err(|error| failed("write", &path)(error.error))?;
            taken.push(path);
        }
    }
    if taken.is_empty() {
        return Err(CliError::Usage(format!(
            "{name} holds no static QEMU for {} in /{PLACE}: name an image like tonistiigi/binfmt",
            Platform::host()
        )));
    }
    Ok(taken)
}

/// Lays one layer's emulators over those of the layers below.
fn read_layer(
    store: &Store,
    digest: crossdock_oci::BlobDigest,
    directory: &Path,
    found: &mut BTreeMap<String, NamedTempFile>,
) -> std::io::Result<()> {
    let Some(blob) = store.open_verified(digest).map_err(std::io::Error::other)? else {
        return Err(std::io::Error::other("it is not kept here: pull the image"));
    };
    let mut tar = Reader::new(compression::decoder(Box::new(blob))?);
    while let Some(item) = tar.next_item().map_err(std::io::Error::other)? {
        match item.entry {
            TarEntry::Entry(entry) => {
                let Some(name) = emulator_name(&entry.path) else { continue };
                found.remove(&name);
                if !matches!(entry.kind, EntryKind::File { .. }) {
                    continue;
                }
                let mut file = NamedTempFile::new_in(directory)?;
                while let Some(chunk) = tar.next_chunk().map_err(std::io::Error::other)? {
                    match chunk {
                        Chunk::Bytes(bytes) => file.write_all(bytes)?,
                        Chunk::Hole(length) => {
                            std::io::copy(&mut std::io::repeat(0).take(length), &mut file)?;
                        }
                    }
                }
                found.insert(name, file);
            }
            TarEntry::Whiteout { path } => {
                if let Some(name) = emulator_name(&path) {
                    found.remove(&name);
                }
                if ["usr", PLACE].iter().any(|place| path.as_bytes() == place.as_bytes()) {
                    found.clear();
                }
            }
            TarEntry::Opaque { dir } => {
                if ["", "usr", PLACE].iter().any(|place| dir.as_bytes() == place.as_bytes()) {
                    found.clear();
                }
            }
        }
    }
    // The last byte proves the digest.
    let mut rest = tar.finish().map_err(std::io::Error::other)?;
    std::io::copy(&mut rest, &mut std::io::sink()).map(drop)
}

/// The file name of `usr/bin/qemu-*`.
fn emulator_name(path: &RootedPath) -> Option<String> {
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    let name = text.strip_prefix(PLACE)?.strip_prefix('/')?;
    (name.starts_with(PREFIX) && !name.contains('/')).then(|| name.to_owned())
}
