//! In: what the kernel refused. Out: the words of tonistiigi/binfmt for it (spec/binfmt.md §3), and what to do. Never: a bare number.

use std::io;
use std::path::{Path, PathBuf};

/// The table of the kernel cannot be changed at all.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error("cannot mount binfmt_misc filesystem at {}: {}{}", .directory.display(), words(.source), mount_hint(.source))]
    Mount { directory: PathBuf, source: io::Error },
    #[error("ENOENT opening {} is it mounted? Mount it: sudo mount -t binfmt_misc binfmt_misc {}", .path.display(), parent(.path))]
    NotMounted { path: PathBuf },
    #[error("EPERM opening {} check permissions?", .path.display())]
    NotPermitted { path: PathBuf },
    #[error("{} is read-only here, as /proc/sys is in containers: register on the host, or in a privileged container", .path.display())]
    ReadOnly { path: PathBuf },
    #[error("opening {}: {}", .path.display(), words(.source))]
    Open { path: PathBuf, source: io::Error },
    #[error("unmount {}: {}", .directory.display(), words(.source))]
    Unmount { directory: PathBuf, source: io::Error },
}

impl RegisterError {
    /// Whether more rights would help.
    pub fn is_permission(&self) -> bool {
        match self {
            Self::NotPermitted { .. } => true,
            Self::Mount { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }
}

/// Why one entry was not made or not removed.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    #[error("unsupported architecture: {word}")]
    Unsupported { word: String },
    #[error("no static qemu-{cpu} was found ({tried})")]
    NoEmulator { cpu: &'static str, tried: String },
    #[error(
        "{name} already registered, but programs do not run: {reason}. Remove it first: crossdock binfmt --uninstall {name}"
    )]
    RegisteredBroken { name: String, reason: String },
    #[error("{} is longer than the 127 bytes the kernel keeps, or holds a colon: put the emulator elsewhere", .interpreter.display())]
    Interpreter { interpreter: PathBuf },
    #[error("cannot register {interpreter:?} to {}: write {}: {}{}", .register.display(), .register.display(), words(.source), write_hint(.source))]
    Write { interpreter: PathBuf, register: PathBuf, source: io::Error },
    #[error("{name} is registered, but programs do not run: {reason}")]
    Useless { name: String, reason: String },
    #[error("not found")]
    NotFound,
    #[error("remove {}: {}", .path.display(), words(.source))]
    Remove { path: PathBuf, source: io::Error },
    #[error("write {}: {}", .path.display(), words(.source))]
    Persist { path: PathBuf, source: io::Error },
}

/// The words Go has for an error of the kernel: `invalid argument`.
pub(crate) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn parent(path: &Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}

fn mount_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "",
        _ => "; load the kernel's module for it: sudo modprobe binfmt_misc",
    }
}

fn write_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::INVAL.raw_os_error() => {
            "; kernels before 4.8 do not know the flag F, which emulators need to work inside images"
        }
        Some(code) if code == rustix::io::Errno::NOENT.raw_os_error() => "; the interpreter is not there",
        _ => "",
    }
}

/// Without fs_err's words, which the caller says in its own: it keeps no more of the cause than its kind.
pub(crate) fn bare(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() { error } else { error.kind().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_error(errno: rustix::io::Errno) -> String {
        EntryError::Write {
            interpreter: PathBuf::from("/usr/bin/qemu-riscv64"),
            register: PathBuf::from("/proc/sys/fs/binfmt_misc/register"),
            source: errno.into(),
        }
        .to_string()
    }

    #[test]
    fn refusals_read_as_those_of_the_original() {
        let text = write_error(rustix::io::Errno::INVAL);
        assert!(
            text.starts_with(
                "cannot register \"/usr/bin/qemu-riscv64\" to /proc/sys/fs/binfmt_misc/register: \
                 write /proc/sys/fs/binfmt_misc/register: invalid argument; kernels before 4.8"
            ),
            "{text}"
        );
        let text = write_error(rustix::io::Errno::NOENT);
        assert!(text.contains("binfmt_misc/register: no such file or directory; the interpreter"), "{text}");
        assert!(write_error(rustix::io::Errno::EXIST).ends_with("register: file exists"));
        let path = PathBuf::from("/proc/sys/fs/binfmt_misc/register");
        let text = RegisterError::NotMounted { path: path.clone() }.to_string();
        assert!(text.starts_with("ENOENT opening /proc/sys/fs/binfmt_misc/register is it mounted?"), "{text}");
        let text = RegisterError::NotPermitted { path: path.clone() };
        assert_eq!(text.to_string(), "EPERM opening /proc/sys/fs/binfmt_misc/register check permissions?");
        assert!(text.is_permission() && !RegisterError::ReadOnly { path }.is_permission());
    }

    #[test]
    fn causes_are_said_in_short_words() {
        let error = bare(rustix::io::Errno::PERM.into());
        assert_eq!(words(&error), "operation not permitted");
        let directory = tempfile::tempdir().unwrap();
        let error = bare(fs_err::write(directory.path().join("none/file"), "").unwrap_err());
        assert_eq!((error.kind(), words(&error).as_str()), (io::ErrorKind::NotFound, "entity not found"));
    }

    #[test]
    fn a_table_that_cannot_be_mounted_names_the_module() {
        let mount = |errno: rustix::io::Errno| RegisterError::Mount {
            directory: PathBuf::from("/proc/sys/fs/binfmt_misc"),
            source: errno.into(),
        };
        let text = mount(rustix::io::Errno::NODEV).to_string();
        assert!(text.contains("at /proc/sys/fs/binfmt_misc: no such device; load the kernel's module"), "{text}");
        assert!(mount(rustix::io::Errno::PERM).is_permission());
        assert!(!mount(rustix::io::Errno::PERM).to_string().contains("modprobe"));
    }
}
