//! In: the name fields of a header and its records. Out: the member's name and owner, and whether the name is a mark of a layer. Never: data.

use super::header::Header;
use super::pax::Overrides;
use super::{OPAQUE_NAME, TarEntry, TarError, WHITEOUT_PREFIX};
use crate::path::RootedPath;

/// Other names that begin so are aufs bookkeeping and mean nothing in a layer.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

/// The text of a GNU long name.
pub(super) fn until_nul(mut payload: Vec<u8>) -> Vec<u8> {
    if let Some(end) = payload.iter().position(|&byte| byte == 0) {
        payload.truncate(end);
    }
    payload
}

pub(super) fn member_name(header: &Header<'_>, overrides: &mut Overrides) -> Vec<u8> {
    if let Some(name) = overrides.sparse.name.take().or_else(|| overrides.path.take()) {
        return name;
    }
    let (prefix, name) = (header.prefix(), header.name());
    if prefix.is_empty() {
        return name.to_vec();
    }
    let mut full = Vec::with_capacity(prefix.len() + 1 + name.len());
    full.extend_from_slice(prefix);
    full.push(b'/');
    full.extend_from_slice(name);
    full
}

/// An owner from the extended header or, when it has none, from the header itself.
pub(super) fn owner(
    header: &Header<'_>,
    from_records: Option<u64>,
    from_header: Result<u64, TarError>,
) -> Result<u32, TarError> {
    let id = match from_records {
        Some(id) => id,
        None => from_header?,
    };
    // The last id means "leave as it is" in chown(2) and cannot own anything.
    u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(|| header.error("owner or group exceeds 32 bits"))
}

/// What a name says about lower layers. `None`: nothing, it is an ordinary name. `Some(None)`: it is bookkeeping to skip.
pub(super) fn marker(path: &RootedPath) -> Result<Option<Option<TarEntry>>, &'static str> {
    if path.components().rev().skip(1).any(|name| name.starts_with(AUFS_PREFIX)) {
        return Ok(Some(None));
    }
    let Some((parent, name)) = path.split() else {
        return Ok(None);
    };
    let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) else {
        return Ok(None);
    };
    if name == OPAQUE_NAME {
        return Ok(Some(Some(TarEntry::Opaque { dir: RootedPath::new_unchecked(parent.to_vec()) })));
    }
    if name.starts_with(AUFS_PREFIX) {
        return Ok(Some(None));
    }
    if matches!(hidden, b"" | b"." | b"..") {
        return Err("whiteout does not name anything");
    }
    let mut full = parent.to_vec();
    if !full.is_empty() {
        full.push(b'/');
    }
    full.extend_from_slice(hidden);
    Ok(Some(Some(TarEntry::Whiteout { path: RootedPath::new_unchecked(full) })))
}
