//! In: a static emulator. Out: programs of its architecture run in this user namespace and nowhere else. Never: a write to the host's table.
//!
//! Every user namespace can have its own binfmt_misc since Linux 6.7 (spec/binfmt.md §1). The emulator is opened here, by a path of the host,
//! while the entry is made (flag F), so the step need not see it. A fresh table starts empty and hides the host's.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use crossdock_emulation::table;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::spec::EmulatorSpec;
use super::target::descriptor_path;
use crate::error::ExecutorError;

/// What is being done when the kernel turns out to have no private tables.
pub(crate) const MOUNT_PRIVATE: &str = "mount a private binfmt_misc (Linux 6.7) for";

/// Registers the emulator in this process's user namespace, which must be a fresh one. `place` is a mount point that the step will not see.
/// The table lives as long as what is given back is open.
pub(super) fn register(emulator: &EmulatorSpec, place: &Path) -> Result<OwnedFd, ExecutorError> {
    let unknown = || ExecutorError::BadStep { what: format!("no emulator is known for {}", emulator.architecture) };
    let architecture = table::by_go_name(&emulator.architecture).ok_or_else(unknown)?;
    let fail = |action: &str, error: io::Error| ExecutorError::io(action, &emulator.qemu, &error);
    let qemu = rustix::fs::open(emulator.qemu.as_path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let qemu = qemu.map_err(|error| fail("open emulator", error.into()))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("binfmt_misc", place, "binfmt_misc", flags, None).map_err(|error| fail(MOUNT_PRIVATE, error.into()))?;
    // The path would have to fit 127 bytes and hold no colon; a descriptor's always does.
    let line = architecture.registration_line(&descriptor_path(&qemu));
    fs_err::write(place.join("register"), line).map_err(|error| fail("register emulator", error))?;
    let table = rustix::fs::open(place, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let table = table.map_err(|error| fail("hold the table of", error.into()))?;
    unmount(place, UnmountFlags::DETACH).map_err(|error| fail("hide the table of", error.into()))?;
    Ok(table)
}
