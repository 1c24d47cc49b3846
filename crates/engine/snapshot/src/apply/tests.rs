//! In: layers, many of them hostile. Out: proof of what lands where. Never: a mount.

mod hostile;
mod layers;
mod properties;

use std::path::{Path, PathBuf};

use super::*;
use crate::entry::{Entry, EntryKind};
use crate::snapshotter::testsuite::{Facts, differences, merged_facts};
use crate::tar::{TarEntry, Writer};

const OVERLAY: Format = Format::Overlay { userxattr: false };

/// Whether this process can make whiteouts, owners and attributes; says so when not.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// One member of a layer and its bytes.
type Item = (TarEntry, &'static [u8]);

fn path(text: &str) -> RootedPath {
    RootedPath::parse(text).unwrap()
}

/// A layer of entries with their bytes.
fn layer(items: &[(TarEntry, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, data) in items {
        match entry {
            TarEntry::Entry(entry) => writer.append(entry, &mut &data[..]).unwrap(),
            TarEntry::Whiteout { path } => writer.whiteout(path).unwrap(),
            TarEntry::Opaque { dir } => writer.opaque(dir).unwrap(),
        }
    }
    writer.finish().unwrap()
}

fn file(name: &str, data: &'static [u8]) -> Item {
    (TarEntry::Entry(Entry::file(path(name), data.len() as u64, 0o644)), data)
}

fn dir(name: &str) -> Item {
    (TarEntry::Entry(Entry::dir(path(name), 0o755)), b"")
}

fn symlink(name: &str, target: &str) -> Item {
    (TarEntry::Entry(Entry::symlink(path(name), target)), b"")
}

fn link(name: &str, target: &str) -> Item {
    (TarEntry::Entry(Entry::new(path(name), EntryKind::HardLink { target: path(target) }, 0o644)), b"")
}

fn whiteout(name: &str) -> Item {
    (TarEntry::Whiteout { path: path(name) }, b"")
}

fn opaque(name: &str) -> Item {
    (TarEntry::Opaque { dir: path(name) }, b"")
}

fn changed(mut item: Item, change: impl FnOnce(&mut Entry)) -> Item {
    if let TarEntry::Entry(entry) = &mut item.0 {
        change(entry);
    }
    item
}

/// The same layers in both formats.
struct Both {
    scratch: tempfile::TempDir,
    /// Topmost first.
    diffs: Vec<PathBuf>,
    reports: Vec<ApplyReport>,
}

impl Both {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs_err::create_dir(scratch.path().join("plain")).unwrap();
        Self { scratch, diffs: Vec::new(), reports: Vec::new() }
    }

    fn of(layers: &[&[(TarEntry, &[u8])]]) -> Self {
        let mut both = Self::new();
        for items in layers {
            both.apply(&layer(items)).unwrap();
        }
        both
    }

    fn plain(&self) -> PathBuf {
        self.scratch.path().join("plain")
    }

    fn apply(&mut self, layer: &[u8]) -> Result<(), ApplyError> {
        let dest = self.scratch.path().join(self.diffs.len().to_string());
        fs_err::create_dir(&dest).unwrap();
        let overlay = apply(layer, &dest, &self.diffs, OVERLAY);
        let plain = apply(layer, &self.plain(), &[], Format::Plain);
        match (overlay, plain) {
            (Ok(overlay), Ok(plain)) => {
                assert_eq!(overlay, plain, "reports");
                self.reports.push(overlay);
                self.diffs.insert(0, dest);
                Ok(())
            }
            (Err(overlay), Err(plain)) => {
                assert_eq!(overlay.to_string(), plain.to_string());
                Err(overlay)
            }
            (overlay, plain) => panic!("overlay format: {overlay:?}\nplain format: {plain:?}"),
        }
    }

    /// What both show; they must agree.
    fn facts(&self) -> BTreeMap<RootedPath, Facts> {
        let overlay = merged_facts(&Layers::open(&self.diffs, OVERLAY).unwrap());
        let plain = merged_facts(&Layers::open(&[self.plain()], Format::Plain).unwrap());
        assert_eq!(differences(&overlay, &plain), [""; 0], "overlay format and plain tree");
        overlay
    }

    /// Paths, directories with a slash, symlinks with their text, files with their size.
    fn names(&self) -> Vec<String> {
        let names = self.facts().into_iter().map(|(path, facts)| match facts.kind {
            crate::disk::ObjectKind::Dir => format!("{}/", path.to_string_lossy()),
            crate::disk::ObjectKind::Symlink => {
                format!("{} -> {}", path.to_string_lossy(), String::from_utf8_lossy(&facts.target))
            }
            _ => format!("{} {}", path.to_string_lossy(), facts.content.0),
        });
        names.collect()
    }
}

fn apply(layer: &[u8], dest: &Path, lowers: &[PathBuf], format: Format) -> Result<ApplyReport, ApplyError> {
    apply_tar(&mut Reader::new(layer), dest, lowers, ApplyOptions { format, ids: IdPolicy::Keep })
}
