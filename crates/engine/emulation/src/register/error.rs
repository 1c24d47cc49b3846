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
    // What fs_err says before the cause is said by the caller already.
    let text = error.raw_os_error().map_or(text, |code| io::Error::from_raw_os_error(code).to_string());
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

/// The cause below fs_err's words.
pub(crate) fn bare(error: io::Error) -> io::Error {
    error.raw_os_error().map_or(error, io::Error::from_raw_os_error)
}
