//! In: an archive. Out: its files in the store, by their path in the archive. Never: a file written anywhere else, more than one file's buffer in memory.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use crossdock_content::{Lease, Store};
use crossdock_oci::BlobDigest;
use crossdock_snapshot::compression;
use crossdock_snapshot::entry::EntryKind;
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::tar::{Reader, TarEntry};

use super::{LOAD_BYTES_MAX, LOAD_FILES_MAX, LoadError};
use crate::BuildError;

/// Links followed from one name of an archive to another.
const LINKS_MAX: usize = 8;

/// Files of an archive: regular ones by digest and size, links by the path they lead to.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: BTreeMap<String, (BlobDigest, u64)>,
    links: BTreeMap<String, String>,
    bytes: u64,
}

impl Files {
    pub(super) fn has(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    /// Digest and size of a file. Old versions of `docker save` write a layer once and link to it.
    pub(super) fn get(&self, path: &str) -> Option<(BlobDigest, u64)> {
        let clean = RootedPath::parse_lexical(path.as_bytes()).ok()?;
        let mut path = String::from_utf8_lossy(clean.as_bytes()).into_owned();
        for _ in 0..LINKS_MAX {
            if let Some(found) = self.files.get(&path) {
                return Some(*found);
            }
            path = self.links.get(&path)?.clone();
        }
        None
    }

    fn add(&mut self, path: &RootedPath, found: (BlobDigest, u64), archive: &str) -> Result<(), LoadError> {
        let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
        if let Some(claimed) = path.strip_prefix("blobs/sha256/")
            && claimed != found.0.hex()
        {
            return Err(LoadError::Digest { archive: archive.to_owned(), path, got: found.0 });
        }
        self.bytes = self.bytes.saturating_add(found.1);
        self.files.insert(path, found);
        self.check(archive)
    }

    fn add_link(&mut self, path: &RootedPath, target: &RootedPath, archive: &str) -> Result<(), LoadError> {
        let text = |path: &RootedPath| String::from_utf8_lossy(path.as_bytes()).into_owned();
        self.links.insert(text(path), text(target));
        self.check(archive)
    }

    fn check(&self, archive: &str) -> Result<(), LoadError> {
        if self.files.len() + self.links.len() > LOAD_FILES_MAX {
            return Err(LoadError::TooManyFiles { archive: archive.to_owned() });
        }
        if self.bytes > LOAD_BYTES_MAX {
            return Err(LoadError::TooManyBytes { archive: archive.to_owned() });
        }
        Ok(())
    }
}

/// Reads a tar, compressed or not.
pub(super) fn from_stream(
    store: &Store,
    lease: &Lease,
    stream: Box<dyn Read + Send>,
    archive: &str,
) -> Result<Files, BuildError> {
    let not_one = |reason: String| LoadError::NotAnArchive { archive: archive.to_owned(), reason };
    let stream = compression::decoder(stream).map_err(|error| not_one(error.to_string()))?;
    let mut tar = Reader::plain(stream);
    let mut files = Files::default();
    while let Some(item) = tar.next_item().map_err(|error| not_one(error.to_string()))? {
        let TarEntry::Entry(entry) = item.entry else { continue };
        match &entry.kind {
            EntryKind::File { size_bytes } => {
                if *size_bytes > LOAD_BYTES_MAX - files.bytes {
                    return Err(LoadError::TooManyBytes { archive: archive.to_owned() }.into());
                }
                let found = ingest(store, lease, &mut tar, archive)?;
                files.add(&entry.path, found, archive)?;
            }
            EntryKind::Symlink { target } => {
                let parent = entry.path.parent().unwrap_or_default();
                if let Some(target) = beside(&parent, target) {
                    files.add_link(&entry.path, &target, archive)?;
                }
            }
            EntryKind::HardLink { target } => files.add_link(&entry.path, target, archive)?,
            _ => {}
        }
    }
    Ok(files)
}

/// Reads a directory. Links are followed only to files within it, by name.
pub(super) fn from_directory(
    store: &Store,
    lease: &Lease,
    directory: &Path,
    archive: &str,
) -> Result<Files, BuildError> {
    let fail = |source| LoadError::Read { archive: archive.to_owned(), source };
    let mut files = Files::default();
    let mut ahead = vec![RootedPath::root()];
    while let Some(inside) = ahead.pop() {
        for entry in fs_err::read_dir(inside.below(directory)).map_err(fail)? {
            use std::os::unix::ffi::OsStrExt as _;
            let entry = entry.map_err(fail)?;
            let Ok(path) = inside.join(entry.file_name().as_bytes()) else { continue };
            let kind = entry.file_type().map_err(fail)?;
            if kind.is_dir() {
                ahead.push(path);
                if ahead.len() > LOAD_FILES_MAX {
                    return Err(LoadError::TooManyFiles { archive: archive.to_owned() }.into());
                }
            } else if kind.is_symlink() {
                let target = fs_err::read_link(entry.path()).map_err(fail)?;
                if let Some(target) = beside(&inside, target.as_os_str().as_bytes()) {
                    files.add_link(&path, &target, archive)?;
                }
            } else if kind.is_file() {
                let mut file = fs_err::File::open(entry.path()).map_err(fail)?;
                let found = ingest(store, lease, &mut file, archive)?;
                files.add(&path, found, archive)?;
            }
        }
    }
    Ok(files)
}

/// Where a link in a directory leads, by names alone; `None` out of the archive.
fn beside(parent: &RootedPath, target: &[u8]) -> Option<RootedPath> {
    if target.starts_with(b"/") {
        return None;
    }
    let mut at = parent.clone();
    for word in target.split(|byte| *byte == b'/').filter(|word| !word.is_empty() && *word != b".") {
        at = if word == b".." { at.parent()? } else { at.join(word).ok()? };
    }
    Some(at)
}

fn ingest(store: &Store, lease: &Lease, from: &mut dyn Read, archive: &str) -> Result<(BlobDigest, u64), BuildError> {
    let mut ingest = store.ingest(lease)?;
    std::io::copy(from, &mut ingest).map_err(|source| LoadError::Read { archive: archive.to_owned(), source })?;
    Ok(ingest.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_nowhere_outside() {
        let parent = RootedPath::parse("a/b").unwrap();
        let led = |target: &str| beside(&parent, target.as_bytes()).map(|path| path.as_bytes().to_vec());
        assert_eq!(led("../c/layer.tar").as_deref(), Some(&b"a/c/layer.tar"[..]));
        assert_eq!(led("../../../etc/passwd"), None);
        assert_eq!(led("/etc/passwd"), None);
    }

    #[test]
    fn a_circle_of_links_ends() {
        let mut files = Files::default();
        let path = |text: &str| RootedPath::parse(text).unwrap();
        files.add_link(&path("a"), &path("b"), "t").unwrap();
        files.add_link(&path("b"), &path("a"), "t").unwrap();
        assert_eq!(files.get("a"), None);
    }

    #[test]
    fn a_blob_must_be_what_its_name_says() {
        let mut files = Files::default();
        let wrong = RootedPath::parse(format!("blobs/sha256/{}", "0".repeat(64))).unwrap();
        let error = files.add(&wrong, (BlobDigest::of(b"x"), 1), "t").unwrap_err();
        assert!(matches!(error, LoadError::Digest { .. }), "{error}");
    }
}
