//! In: an empty /dev. Out: the devices and links every container has. Never: a device of the host beyond those.

use std::io;
use std::path::Path;

use crossdock_llb::Security;
use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat};
use rustix::io::Errno;
use rustix::mount::mount_bind;

/// Character devices: name, major, minor.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
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
    let mut may_make_nodes = true;
    for (name, major, minor) in NODES {
        node(target, name, major, minor, &mut may_make_nodes).map_err(|error| fail(name, error))?;
    }
    for (name, link) in LINKS {
        rustix::fs::symlinkat(link, CWD, target.join(name)).map_err(|error| fail(name, error))?;
    }
    for name in DIRECTORIES {
        rustix::fs::mkdirat(CWD, target.join(name), Mode::from_raw_mode(0o755)).map_err(|error| fail(name, error))?;
    }
    if security == Security::Insecure && may_make_nodes {
        let mode = Mode::from_raw_mode(0o660);
        for number in 0..LOOP_DEVICES {
            let _ = mknodat(CWD, target.join(format!("loop{number}")), FileType::BlockDevice, mode, makedev(7, number));
        }
        let _ = mknodat(CWD, target.join("loop-control"), FileType::CharacterDevice, mode, makedev(10, 237));
    }
    Ok(())
}

/// Makes a device, or where that is not allowed (user namespaces, device groups) shows the host's.
fn node(target: &Path, name: &str, major: u32, minor: u32, may_make: &mut bool) -> Result<(), Errno> {
    let place = target.join(name);
    if *may_make {
        match mknodat(CWD, &place, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(major, minor)) {
            Err(Errno::PERM) => *may_make = false,
            other => return other,
        }
    }
    drop(rustix::fs::open(&place, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o666))?);
    mount_bind(Path::new("/dev").join(name), &place)
}
