//! In: the step's security mode. Out: this process with exactly the capabilities of that mode. Never: ambient or inheritable ones.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets};

/// The 14 capabilities Docker gives.
const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// The highest capability number any kernel could have.
const CAPABILITIES: u32 = 64;

/// Limits what this process and all it executes can ever have. The filter for system calls can still be put in force afterwards.
///
/// # Errors
/// What the kernel says.
pub(super) fn bound() -> io::Result<()> {
    for number in 0..CAPABILITIES {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if DEFAULT.contains(one) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // The kernel knows no more capabilities.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    // Kernels before 4.3 have none.
    let _ = rustix::thread::clear_ambient_capability_set();
    Ok(())
}

/// Gives up everything beyond the default. For a process that is root; leaving root drops all by itself.
///
/// # Errors
/// What the kernel says.
pub(super) fn keep_default() -> io::Result<()> {
    let held = rustix::thread::capabilities(None)?;
    let kept = held.permitted & DEFAULT;
    Ok(rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?)
}

/// Gives up everything but the right to end others: all that the first process of a sandbox needs.
///
/// # Errors
/// What the kernel says.
pub(super) fn keep_kill() -> io::Result<()> {
    let held = rustix::thread::capabilities(None)?;
    let kept = held.permitted & CapabilitySet::KILL;
    Ok(rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_dockers_fourteen() {
        assert_eq!(DEFAULT.bits(), 0xa804_25fb);
    }
}
