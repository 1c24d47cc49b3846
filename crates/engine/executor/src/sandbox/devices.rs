//! In: an empty /dev. Out: the devices and links every container has. Never: a device of the host beyond those.
//!
//! Devices are the host's own nodes, shown one by one; /dev itself and every other file system of a sandbox are mounted `nodev`. A step of root's may make
//! nodes, and images may hold some, but none of them opens: without a device group this is what keeps a step off the host's disks.

use std::io;
use std::path::Path;

use crossdock_llb::Security;
use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat};
use rustix::io::Errno;
use rustix::mount::mount_bind;

/// Character devices, by name.
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Links: name, target.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];
/// Mount points beneath /dev.
const DIRECTORIES: [&str; 3] = ["pts", "shm", "mqueue"];
/// Loop devices an insecure step gets, as under BuildKit.
const LOOP_DEVICES: u32 = 8;

/// Fills a fresh /dev, given as a path of the outside.
///
/// # Errors
/// What the kernel says, with the name of the device.
pub(super) fn fill(target: &Path, security: Security) -> Result<(), (String, io::Error)> {
    let fail = |name: &str, error: Errno| (name.to_owned(), io::Error::from(error));
    for name in NODES {
        let place = target.join(name);
        let made =
            rustix::fs::open(&place, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o666));
        made.and_then(|_| mount_bind(Path::new("/dev").join(name), &place)).map_err(|error| fail(name, error))?;
    }
    for (name, link) in LINKS {
        rustix::fs::symlinkat(link, CWD, target.join(name)).map_err(|error| fail(name, error))?;
    }
    for name in DIRECTORIES {
        rustix::fs::mkdirat(CWD, target.join(name), Mode::from_raw_mode(0o755)).map_err(|error| fail(name, error))?;
    }
    if security == Security::Insecure {
        // Refused in user namespaces.
        let mode = Mode::from_raw_mode(0o660);
        for number in 0..LOOP_DEVICES {
            let _ = mknodat(CWD, target.join(format!("loop{number}")), FileType::BlockDevice, mode, makedev(7, number));
        }
        let _ = mknodat(CWD, target.join("loop-control"), FileType::CharacterDevice, mode, makedev(10, 237));
    }
    Ok(())
}
