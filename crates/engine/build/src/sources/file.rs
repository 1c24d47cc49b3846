//! In: bytes of one file whose length nobody knows beforehand. Out: a layer that holds this one file. Never: the bytes in memory, a second layer of the same file.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use crossdock_image::LayerId;
use crossdock_oci::{BlobDigest, Hasher, Timestamp};
use crossdock_snapshot::entry::{Entry, Mtime};
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::tar::Writer;

use crate::BuildError;
use crate::perform::Steps;

/// Bytes written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// A file without a name that takes bytes and hashes them.
pub(crate) struct Spool {
    file: fs_err::File,
    hasher: Hasher,
    size_bytes: u64,
}

/// The same, complete.
#[derive(Debug)]
pub(crate) struct Spooled {
    pub file: fs_err::File,
    pub digest: BlobDigest,
    pub size_bytes: u64,
}

/// What a file of a layer is to be called, and how it looks.
#[derive(Debug, Clone)]
pub(crate) struct FileFacts {
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// In seconds since 1970.
    pub modified: i64,
}

impl Spool {
    /// In this directory: the state directory, because a temporary one may be memory.
    pub fn new(directory: &std::path::Path) -> Result<Self, BuildError> {
        let file = tempfile::tempfile_in(directory)
            .map_err(|source| BuildError::Io { path: directory.display().to_string(), source })?;
        let file = fs_err::File::from_parts(file, "the file being fetched");
        Ok(Self { file, hasher: Hasher::new(), size_bytes: 0 })
    }

    /// Begins anew.
    pub fn clear(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Hasher::new();
        self.size_bytes = 0;
        Ok(())
    }

    pub fn take(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }

    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub fn finish(self) -> Spooled {
        Spooled {
            file: self.file,
            digest: BlobDigest::from_raw_verified(self.hasher.finish_raw()),
            size_bytes: self.size_bytes,
        }
    }
}

impl Steps {
    /// The layer with this file, by its digest when it was made before.
    pub(crate) fn layer_of_file(&self, spooled: &Spooled, facts: &FileFacts) -> Result<LayerId, BuildError> {
        let recipe = file_recipe(&spooled.digest, facts);
        self.recipes.alone(&recipe, || {
            if let Some(known) = self.known_recipe(&recipe)? {
                return Ok(known);
            }
            let failed = |source| BuildError::Io { path: facts.name.clone(), source };
            let path = RootedPath::parse(&facts.name)
                .map_err(|_| failed(std::io::Error::other("no layer can hold a file of this name")))?;
            let entry = Entry {
                mtime: Mtime::from_seconds(facts.modified),
                ..Entry::file(path, spooled.size_bytes, facts.mode)
            };
            let mut ingest = self.store.ingest(&self.lease)?;
            let mut writer = Writer::new(std::io::BufWriter::with_capacity(BUFFER_BYTES, &mut ingest));
            let mut file = &spooled.file;
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            let written = writer.append(&entry, &mut file.take(spooled.size_bytes));
            let buffered = written.and_then(|()| writer.finish());
            buffered
                .map_err(|error| failed(std::io::Error::other(error)))
                .and_then(|mut buffered| buffered.flush().map_err(failed))?;
            let (digest, size) = ingest.commit()?;
            let layer = self.keep_tar(digest.as_uncompressed_diff(), size, Timestamp::now())?;
            self.keep_recipe(&recipe, &layer)?;
            Ok(layer)
        })
    }

    /// The layer with these bytes as this file, if it was made before.
    pub(crate) fn known_file(&self, digest: &BlobDigest, facts: &FileFacts) -> Result<Option<LayerId>, BuildError> {
        self.known_recipe(&file_recipe(digest, facts))
    }
}

fn file_recipe(digest: &BlobDigest, facts: &FileFacts) -> String {
    format!("file/{digest}/{:04o}/{}/{}", facts.mode, facts.modified, facts.name)
}
