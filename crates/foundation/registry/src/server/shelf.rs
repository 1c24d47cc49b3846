//! In: repositories, tags, digests. Out: rows of the content store that keep them. Never: a blob visible in a repository it was not pushed to or mounted into.
//!
//! A repository is nothing but rows of [`Space::Image`], which are roots of garbage collection. Their keys begin with
//! [`ROW_PREFIX`], so that the local image store passes them over:
//! ```text
//! registry/blob/NAME@DIGEST       {"size":N}                     links to the blob
//! registry/manifest/NAME@DIGEST   {"mediaType":T,"size":N}       links to its bytes and to all blobs it names
//! registry/tag/NAME:TAG           {"digest":D}                   links to the row of the manifest
//! ```

use crossdock_content::{Change, ContentError, Link, Row, Space, Store};
use crossdock_oci::{BlobDigest, Descriptor};
use serde::{Deserialize, Serialize};

/// How the keys of all rows of registries begin.
pub const ROW_PREFIX: &str = "registry/";

/// One repository in a store.
#[derive(Clone, Copy)]
pub struct Shelf<'a> {
    store: &'a Store,
    name: &'a str,
}

#[derive(Serialize, Deserialize)]
struct BlobRow {
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestRow {
    media_type: String,
    size: u64,
}

#[derive(Serialize, Deserialize)]
struct TagRow {
    digest: BlobDigest,
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("rows have only string keys")
}

impl<'a> Shelf<'a> {
    /// The repository of this name; it need not exist yet.
    pub fn new(store: &'a Store, name: &'a str) -> Self {
        Self { store, name }
    }

    fn blob_key(&self, digest: BlobDigest) -> String {
        format!("{ROW_PREFIX}blob/{}@{digest}", self.name)
    }

    fn manifest_key(&self, digest: BlobDigest) -> String {
        format!("{ROW_PREFIX}manifest/{}@{digest}", self.name)
    }

    fn tag_key(&self, tag: &str) -> String {
        format!("{ROW_PREFIX}tag/{}:{tag}", self.name)
    }

    /// Makes a stored blob part of the repository.
    ///
    /// # Errors
    /// Those of the store.
    pub fn link_blob(&self, digest: BlobDigest, size_bytes: u64) -> Result<(), ContentError> {
        let value = encode(&BlobRow { size: size_bytes });
        self.store.put_row(Space::Image, &self.blob_key(digest), &value, &[Link::Blob(digest)])
    }

    /// Whether the repository has the blob, and the blob is there.
    ///
    /// # Errors
    /// Those of the store.
    pub fn blob_size(&self, digest: BlobDigest) -> Result<Option<u64>, ContentError> {
        match self.store.get(Space::Image, &self.blob_key(digest))? {
            Some(_) => self.store.size(digest),
            None => Ok(None),
        }
    }

    /// Takes a blob out of the repository; false when it was not in it.
    ///
    /// # Errors
    /// Those of the store.
    pub fn unlink_blob(&self, digest: BlobDigest) -> Result<bool, ContentError> {
        self.store.remove_row(Space::Image, &self.blob_key(digest))
    }

    /// Makes a stored manifest part of the repository, under a tag or only under its digest, in one step.
    /// `needs` are the blobs and manifests it names.
    ///
    /// # Errors
    /// Those of the store.
    pub fn link_manifest(
        &self,
        manifest: &Descriptor,
        needs: &[BlobDigest],
        tag: Option<&str>,
    ) -> Result<(), ContentError> {
        let key = self.manifest_key(manifest.digest);
        let mut links = vec![Link::Blob(manifest.digest)];
        links.extend(needs.iter().copied().map(Link::Blob));
        let value = encode(&ManifestRow { media_type: manifest.media_type.clone(), size: manifest.size });
        let tag_key = tag.map(|tag| self.tag_key(tag));
        let tag_value = encode(&TagRow { digest: manifest.digest });
        let tag_links = [Link::Row(Space::Image, key.clone())];
        let mut rows = vec![Row { space: Space::Image, key: &key, value: &value, links: &links }];
        if let Some(key) = &tag_key {
            rows.push(Row { space: Space::Image, key, value: &tag_value, links: &tag_links });
        }
        self.store.put_rows(&rows)
    }

    /// The manifest with this digest.
    ///
    /// # Errors
    /// Those of the store.
    pub fn manifest(&self, digest: BlobDigest) -> Result<Option<Descriptor>, ContentError> {
        let Some(value) = self.store.get(Space::Image, &self.manifest_key(digest))? else { return Ok(None) };
        // A row that cannot be read is a miss, like a row that is not there.
        let row: Option<ManifestRow> = serde_json::from_slice(&value).ok();
        Ok(row.map(|row| Descriptor::new(row.media_type, digest, row.size)))
    }

    /// What a tag means.
    ///
    /// # Errors
    /// Those of the store.
    pub fn tagged(&self, tag: &str) -> Result<Option<BlobDigest>, ContentError> {
        let value = self.store.get(Space::Image, &self.tag_key(tag))?;
        Ok(value.and_then(|value| serde_json::from_slice::<TagRow>(&value).ok()).map(|row| row.digest))
    }

    /// Forgets a tag; false when there was none.
    ///
    /// # Errors
    /// Those of the store.
    pub fn untag(&self, tag: &str) -> Result<bool, ContentError> {
        self.store.remove_row(Space::Image, &self.tag_key(tag))
    }

    /// Forgets a manifest and all its tags; false when there was none.
    ///
    /// # Errors
    /// Those of the store.
    pub fn unlink_manifest(&self, digest: BlobDigest) -> Result<bool, ContentError> {
        if self.manifest(digest)?.is_none() {
            return Ok(false);
        }
        let mut keys = vec![self.manifest_key(digest)];
        for tag in self.tags()? {
            if self.tagged(&tag)? == Some(digest) {
                keys.push(self.tag_key(&tag));
            }
        }
        let changes: Vec<Change<'_>> = keys.iter().map(|key| Change::Remove(Space::Image, key)).collect();
        self.store.apply(&changes)?;
        Ok(true)
    }

    /// The tags of the repository, sorted.
    ///
    /// # Errors
    /// Those of the store.
    pub fn tags(&self) -> Result<Vec<String>, ContentError> {
        let prefix = self.tag_key("");
        Ok(sorted(keys_with(self.store, &prefix)?.into_iter()))
    }

    /// Whether anything was ever put into the repository and is still there.
    ///
    /// # Errors
    /// Those of the store.
    pub fn exists(&self) -> Result<bool, ContentError> {
        Ok(repositories(self.store)?.iter().any(|name| name == self.name))
    }
}

/// The names of all repositories with at least one manifest, sorted.
///
/// # Errors
/// Those of the store.
pub fn repositories(store: &Store) -> Result<Vec<String>, ContentError> {
    let keys = keys_with(store, &format!("{ROW_PREFIX}manifest/"))?;
    Ok(sorted(keys.iter().filter_map(|rest| rest.split('@').next()).map(str::to_owned)))
}

/// Takes whole repositories away: every row of those whose name is meant. The blobs stay while anything else needs them.
///
/// # Errors
/// Those of the store.
pub fn forget(store: &Store, is_meant: &dyn Fn(&str) -> bool) -> Result<(), ContentError> {
    let keys = keys_with(store, ROW_PREFIX)?;
    let meant = keys.iter().filter(|rest| {
        let name = rest.split_once('/').map(|(_, named)| named).unwrap_or_default();
        // Digests stand behind `@`, tags behind the last colon; names have neither.
        let name = name.split(['@', ':']).next().unwrap_or_default();
        is_meant(name)
    });
    let keys: Vec<String> = meant.map(|rest| format!("{ROW_PREFIX}{rest}")).collect();
    let changes: Vec<Change<'_>> = keys.iter().map(|key| Change::Remove(Space::Image, key)).collect();
    if changes.is_empty() { Ok(()) } else { store.apply(&changes) }
}

fn keys_with(store: &Store, prefix: &str) -> Result<Vec<String>, ContentError> {
    let rows = store.scan(Space::Image)?;
    Ok(rows.into_iter().filter_map(|(key, _)| key.strip_prefix(prefix).map(str::to_owned)).collect())
}

fn sorted(items: impl Iterator<Item = String>) -> Vec<String> {
    items.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}
