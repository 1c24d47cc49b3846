//! In: a mounted tree. Out: the same tree, read-only. Never: a change of the file system itself; only of this mount of it.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;

use super::checked;

/// `struct mount_attr` of the kernel.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Adds flags to a mount (and to all beneath it), keeping the ones it has, which a user namespace demands.
/// Flags are those of `mount(2)`: MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC.
///
/// # Errors
/// ENOSYS before Linux 5.12.
pub(crate) fn add_flags(path: &CStr, flags: u64, recursive: bool) -> io::Result<()> {
    // MOUNT_ATTR_RDONLY, NOSUID, NODEV and NOEXEC have the values of MS_RDONLY, MS_NOSUID, MS_NODEV and MS_NOEXEC.
    let attributes = MountAttributes { set: flags, clear: 0, propagation: 0, user_namespace: 0 };
    let how = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: path is NUL-terminated; the structure is the kernel's first version of mount_attr, and its size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            how,
            &raw const attributes,
            std::mem::size_of::<MountAttributes>(),
        )
    };
    checked(result).map(drop)
}
