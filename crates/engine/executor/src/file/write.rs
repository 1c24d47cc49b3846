//! In: a layer plan. Out: the layer's tar, its diffID and its listing, in one pass. Never: bytes that differ from what the plan promised.

use std::io::{self, Write};

use crossdock_oci::DiffId;
use crossdock_snapshot::listing::{ListedWriter, Listing, ListingError};
use crossdock_snapshot::tar::TarError;
use crossdock_snapshot::{Entry, TreeError};

use super::content::Content;
use super::error::FileError;
use super::layer::{Item, LayerPlan};

/// A layer that was written.
#[derive(Debug)]
pub struct Written {
    /// The sha256 of the tar.
    pub diff_id: DiffId,
    /// The length of the tar.
    pub size_bytes: u64,
    /// Everything about the layer but the bytes of its files.
    pub listing: Listing,
}

/// Streams the layer to `out`. Equal plans give equal bytes.
///
/// # Errors
/// `SourceChanged` when a file has no longer the bytes its digest promised: plan again and try again; `Read`, `Layer`.
pub fn write(plan: &LayerPlan, out: &mut dyn Write) -> Result<Written, FileError> {
    let mut layer = ListedWriter::new(out);
    for item in &plan.items {
        match item {
            Item::Whiteout(path) => layer.whiteout(path).map_err(layer_error)?,
            Item::Entry(entry, Some(content), _) => copy(&mut layer, entry, content)?,
            Item::Entry(entry, None, _) => _ = layer.append(entry, &mut io::empty()).map_err(layer_error)?,
        }
    }
    let (_, scan) = layer.finish().map_err(|source| layer_error(source.into()))?;
    Ok(Written { diff_id: scan.diff_id, size_bytes: scan.size_bytes, listing: scan.listing })
}

fn copy<W: Write>(layer: &mut ListedWriter<W>, entry: &Entry, content: &Content) -> Result<(), FileError> {
    let path = content.source_path(&entry.path);
    let mut reader = match content.open() {
        Ok(reader) => reader,
        // The tree promised this file when the plan was made.
        Err(TreeError::NotFound { .. } | TreeError::NotAFile { .. }) => return Err(FileError::SourceChanged { path }),
        Err(error) => return Err(error.into()),
    };
    match layer.append(entry, &mut reader) {
        Ok(Some(sha256)) if sha256 == content.sha256 => Ok(()),
        Ok(_) | Err(ListingError::Tar(TarError::DataSize { .. })) => Err(FileError::SourceChanged { path }),
        Err(ListingError::Tar(TarError::Data { source, .. })) => Err(FileError::Read { path, source }),
        Err(error) => Err(layer_error(error)),
    }
}

fn layer_error(source: ListingError) -> FileError {
    FileError::Layer { source }
}
