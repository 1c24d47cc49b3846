//! In: this host. Out: what a privileged container sees of it besides its own: devices, the table of binary formats. Never: terminals, anything a container of its own has.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crossdock_executor::HostPath;
use crossdock_executor::sandbox::{MountSource, SandboxMount};

/// The kernel's table of interpreters for binary formats.
const BINFMT_MISC: &str = "/proc/sys/fs/binfmt_misc";
/// Directories of /dev that every container has for itself.
const OWN: [&str; 4] = ["pts", "shm", "mqueue", "hugepages"];
/// Devices every container has already.
const GIVEN: [&str; 10] = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "log", "core"];
/// Directories below /dev that are looked into.
const DEPTH_MAX: usize = 3;
/// Devices shown at most.
const DEVICES_MAX: usize = 2000;

/// Mounts that show the host's devices and its table of binary formats. Only root of the host can use most of them.
pub fn host_mounts() -> Vec<SandboxMount> {
    let mut mounts = Vec::new();
    if Path::new(BINFMT_MISC).join("status").exists() {
        mounts.push(shown(Path::new(BINFMT_MISC)));
    }
    devices(Path::new("/dev"), 0, &mut mounts);
    mounts
}

fn devices(directory: &Path, depth: usize, mounts: &mut Vec<SandboxMount>) {
    let Ok(entries) = fs_err::read_dir(directory) else { return };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(status) = fs_err::symlink_metadata(&path) else { continue };
        let kind = status.file_type();
        if depth == 0 && (OWN.contains(&name.as_str()) || GIVEN.contains(&name.as_str())) {
            continue;
        }
        if kind.is_dir() && depth < DEPTH_MAX {
            devices(&path, depth + 1, mounts);
        } else if (kind.is_char_device() || kind.is_block_device()) && mounts.len() < DEVICES_MAX {
            mounts.push(shown(&path));
        }
    }
}

fn shown(path: &Path) -> SandboxMount {
    SandboxMount { dest: path.display().to_string(), readonly: false, source: MountSource::Host(HostPath::from(path)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_containers_have_themselves_is_not_shown() {
        let mounts = host_mounts();
        for own in ["/dev/null", "/dev/tty", "/dev/pts/0", "/dev/shm"] {
            assert!(mounts.iter().all(|mount| mount.dest != own), "{own}");
        }
    }
}
