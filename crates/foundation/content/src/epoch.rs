//! In: the boot id of the kernel and the device of the state directory. Out: a name for "since the last power cut". Never: a clock.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use fs_err as fs;

use crate::{ContentError, Result};

/// The time in which what was written without a sync can still be trusted: it ends with the boot, and with the mount
/// (a disk image that was copied or remounted shows up under another device).
pub(crate) fn current(root: &Path) -> Result<String> {
    let metadata = fs::metadata(root).map_err(|source| ContentError::io("examine", root, source))?;
    Ok(format!("{}/{:x}", boot_id(), metadata.dev()))
}

fn boot_id() -> String {
    match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) => id.trim().to_owned(),
        // Masked /proc: an epoch of this process alone is safe. Others will unpack our unsynced snapshots anew.
        Err(_) => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            format!("process-{}-{}", std::process::id(), now.as_nanos())
        }
    }
}
