//! In: the name of an image that holds one emulator. Out: an image made from the host's own. Never: an emulator that is not static.

use std::path::PathBuf;

use crossdock_build::Engine;
use crossdock_emulation::SearchPath;
use crossdock_image::assemble::ImageLayer;
use crossdock_image::{Annotations, AssembleOptions, PlatformImage, assemble};
use crossdock_image::{ImageKind, ImageRow, LocalImage};
use crossdock_oci::media_type::{Family, OCI_LAYER};
use crossdock_oci::{Descriptor, History, ImageConfigView, Platform, Reference, Timestamp};
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::tar::Writer;
use crossdock_snapshot::{Entry, Mtime};

use crate::error::CliError;

/// The images' repository.
pub const REPOSITORY: &str = "docker.io/multiarch/qemu-user-static";

/// The CPU whose emulator an image holds: `aarch64` for the tags `x86_64-aarch64`, `x86_64-aarch64-7.2.0-1` and `aarch64`.
pub fn cpu_of(reference: &Reference) -> Option<&'static str> {
    if reference.name() != REPOSITORY {
        return None;
    }
    let tag = reference.tag()?;
    let tag = tag.strip_prefix("x86_64-").unwrap_or(tag);
    let word = tag.split('-').next().unwrap_or_default();
    crossdock_emulation::register::foreign::cpu_named(word)
}

/// Makes the image and keeps it under its name. Gives the emulator it was made from.
pub fn make(engine: &Engine, reference: &Reference, cpu: &'static str) -> Result<(LocalImage, PathBuf), CliError> {
    let Some(emulator) = SearchPath::from_environment().find_cpu(cpu) else {
        return Err(CliError::Usage(format!("no static qemu-{cpu} is here: sudo apt-get install qemu-user-static")));
    };
    let failed = |source| CliError::File { action: "read", path: emulator.display().to_string(), source };
    let store = engine.store();
    let lease = store.lease()?;
    let mut file = fs_err::File::open(&emulator).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut tar = Writer::new(store.ingest(&lease)?);
    for directory in ["usr", "usr/bin"] {
        let path = RootedPath::parse(directory.as_bytes()).expect("these are plain paths");
        write_entry(&mut tar, &Entry::dir(path, 0o755), &mut std::io::empty(), &emulator)?;
    }
    let path = format!("usr/bin/qemu-{cpu}-static");
    let path = RootedPath::parse(path.as_bytes()).expect("CPU names are plain words");
    let mut entry = Entry::file(path, metadata.len(), 0o755);
    entry.mtime = Mtime { seconds: 0, nanoseconds: 0 };
    write_entry(&mut tar, &entry, &mut file, &emulator)?;
    let (digest, size) = tar.finish().map_err(|error| unreadable(&emulator, error))?.commit()?;
    // The layer is not compressed: its digest is its diffID.
    let diff_id = digest.as_uncompressed_diff();
    let created = Timestamp::now();
    let descriptor = Descriptor::new(OCI_LAYER, digest, size);
    let history = History {
        created_by: format!("COPY qemu-{cpu}-static /usr/bin/ # made by crossdock from the host's"),
        ..History::default()
    };
    let mut config = ImageConfigView { history: vec![history], ..ImageConfigView::default() };
    config.config.env = vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    let layers = vec![ImageLayer { descriptor, diff_id, created }];
    let platform = PlatformImage { platform: Platform::host(), config, layers };
    let options =
        AssembleOptions { family: Family::Oci, annotations: Annotations::default(), epoch: None, force_index: false };
    let assembled = assemble(store, &lease, vec![platform], &options)?;
    let row = ImageRow {
        target: assembled.target.clone(),
        // Not built: the next build that names it asks the registry again.
        kind: ImageKind::Pulled,
        created,
        origins: std::collections::BTreeMap::new(),
    };
    let named = reference.tagged_or_latest();
    engine.images().put(Some(&named), &row, &assembled.blobs())?;
    Ok((LocalImage { reference: Some(named), row }, emulator))
}

fn write_entry<W: std::io::Write>(
    tar: &mut Writer<W>,
    entry: &Entry,
    data: &mut dyn std::io::Read,
    emulator: &std::path::Path,
) -> Result<(), CliError> {
    tar.append(entry, data).map_err(|error| unreadable(emulator, error))
}

fn unreadable(emulator: &std::path::Path, error: crossdock_snapshot::tar::TarError) -> CliError {
    CliError::File { action: "pack", path: emulator.display().to_string(), source: std::io::Error::other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_a_cpu() {
        let of = |tag: &str| cpu_of(&format!("multiarch/qemu-user-static:{tag}").parse().unwrap());
        assert_eq!(of("x86_64-aarch64"), Some("aarch64"));
        assert_eq!(of("x86_64-arm-7.2.0-1"), Some("arm"));
        assert_eq!(of("s390x"), Some("s390x"));
        for tag in ["register", "latest", "7.2.0-1", "x86_64-tomato"] {
            assert_eq!(of(tag), None, "{tag}");
        }
        assert_eq!(cpu_of(&"multiarch/other:x86_64-arm".parse().unwrap()), None);
    }
}
