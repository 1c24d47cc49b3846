//! In: the images of a list. Out: the list as Docker's CLI shows and pushes it. Never: an image left out.

use bytes::Bytes;
use crossdock_oci::{BlobDigest, Descriptor, Platform, media_type};
use serde::Serialize;

use crate::json_text::{compact, indent};
use crate::{ListEntry, ListError};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Image>,
}

/// Key order of the distribution library.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    media_type: String,
    size: u64,
    digest: BlobDigest,
    platform: Platform,
}

/// A list of images: its bytes and what they are.
pub(crate) struct ListDocument {
    pub descriptor: Descriptor,
    pub raw: Bytes,
}

/// The list, with three blanks of indentation. It is an OCI index when its first image is an OCI manifest.
pub(crate) fn list_document(descriptors: &[&Descriptor]) -> ListDocument {
    let is_oci = descriptors.first().is_some_and(|first| first.media_type == media_type::OCI_MANIFEST);
    let kind = if is_oci { media_type::OCI_INDEX } else { media_type::DOCKER_INDEX };
    let image = |one: &&'_ Descriptor| Image {
        media_type: one.media_type.clone(),
        size: one.size,
        digest: one.digest,
        platform: one.platform.clone().unwrap_or_else(|| Platform::new("", "", "")),
    };
    let manifests = descriptors.iter().map(image).collect();
    let list = List { schema_version: 2, media_type: kind, manifests };
    let text = serde_json::to_string(&list).expect("a list has only string keys");
    let raw = Bytes::from(indent(&compact(&text, true), "   "));
    ListDocument { descriptor: Descriptor::of(kind, &raw), raw }
}

/// `inspect -v` of one image.
///
/// # Errors
/// When the manifest is no JSON.
pub(crate) fn verbose(entry: &ListEntry) -> Result<String, ListError> {
    Ok(indent(&entry.to_json()?, "\t"))
}

/// `inspect -v` of a list.
///
/// # Errors
/// When a manifest is no JSON.
pub(crate) fn verbose_list(entries: &[ListEntry]) -> Result<String, ListError> {
    let entries = entries.iter().map(ListEntry::to_json).collect::<Result<Vec<_>, _>>()?;
    Ok(indent(&format!("[{}]", entries.join(",")), "\t"))
}
