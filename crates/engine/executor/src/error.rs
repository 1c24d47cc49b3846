//! In: what went wrong in the keeper, in a sandbox or on the way there. Out: one error that survives the way between processes. Never: a backtrace as the user's message.

use std::io;

use serde::{Deserialize, Serialize};

use crate::keeper::Blocked;

/// What can go wrong when the keeper is asked for something. Serialisable: most of these are born in another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ExecutorError {
    /// This host does not let us make the namespaces we need.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// This host does not let us follow a step's executions (docs/design/trace.md).
    #[error("emulation by trace does not work here: {reason}. {fix}")]
    CannotFollow { reason: String, fix: String },
    /// The keeper process could not be started.
    #[error("cannot start the keeper process: {action}: {}", errno_text(*.errno))]
    StartKeeper { action: String, errno: i32 },
    /// The keeper process ended while it was needed.
    #[error("the keeper process is gone ({how}); run the command again")]
    KeeperGone { how: String },
    /// The process that served one request ended without an answer.
    #[error("the process that served {request} died; if memory is short, the kernel's log (dmesg) names it")]
    WorkerDied { request: String },
    /// Two versions of the program talked to each other, or a message was damaged.
    #[error("message between crossdock and its keeper is not understood: {what}")]
    Protocol { what: String },
    /// [`crate::Cancel::cancel`] was called.
    #[error("cancelled")]
    Cancelled,
    /// A file operation on the host or in a snapshot failed.
    #[error("{action} {subject}: {}", errno_text(*.errno))]
    Io { action: String, subject: String, errno: i32 },
    /// A layer could not be unpacked, compared or read; the text is the snapshot room's.
    #[error("{action}: {message}")]
    Layer { action: String, message: String, errno: Option<i32> },
    /// The step's program did not start.
    #[error("{}", program_text(.program, .reason))]
    ExecFailed { program: String, reason: ExecFailure },
    /// The step's user or group is not in the image.
    #[error("unable to find {kind} {name}: no matching entries in {file} file")]
    NoSuchId { kind: String, name: String, file: String },
    /// The step's user or group has a number the kernel or the user namespace cannot hold.
    #[error("{why}: {kind} {id} cannot be used here")]
    IdOutOfRange { kind: String, id: u64, why: String },
    /// The step asks for something that makes no sense.
    #[error("step cannot run: {what}")]
    BadStep { what: String },
}

/// Why a program did not start. The texts are those runc gives, because users search for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecFailure {
    /// A bare name that no directory of PATH holds.
    NotInPath,
    /// The file is missing or cannot be looked at: the errno of `stat`.
    Stat { errno: i32 },
    /// The file is there but is a directory.
    IsDirectory,
    /// The file is there but has no executable bit.
    NotExecutable,
    /// The kernel refused: the errno of `execve`. ENOEXEC is the foreign architecture, ENOENT a missing interpreter.
    /// `interpreter` is what the script's first line names when that is missing.
    Exec { errno: i32, interpreter: Option<String> },
}

impl ExecutorError {
    /// An I/O error with what was being done to what.
    pub(crate) fn io(action: &str, subject: impl std::fmt::Display, error: &io::Error) -> Self {
        Self::Io {
            action: action.to_owned(),
            subject: subject.to_string(),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        }
    }

    /// The errno behind the error, when there is one: `ENOSPC` tells a full disk.
    pub const fn errno(&self) -> Option<i32> {
        match self {
            Self::StartKeeper { errno, .. } | Self::Io { errno, .. } => Some(*errno),
            Self::Layer { errno, .. } => *errno,
            Self::ExecFailed { reason: ExecFailure::Stat { errno } | ExecFailure::Exec { errno, .. }, .. } => {
                Some(*errno)
            }
            _ => None,
        }
    }

    /// Whether a step could not get a user namespace and binfmt_misc of its own.
    pub(crate) fn denies_private(&self) -> bool {
        match self {
            Self::Blocked(_) => true,
            Self::Io { action, .. } => action == crate::sandbox::MOUNT_PRIVATE,
            _ => false,
        }
    }

    /// Whether a disk is full (ENOSPC) or a quota used up (EDQUOT).
    pub const fn is_disk_full(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOSPC | libc::EDQUOT))
    }
}

/// The kernel's text of an error number as Go writes it: lower case, without the number.
pub(crate) fn errno_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

fn program_text(program: &str, reason: &ExecFailure) -> String {
    match reason {
        ExecFailure::NotInPath => format!("exec: {program:?}: executable file not found in $PATH"),
        ExecFailure::Stat { errno } => format!("exec: {program:?}: stat {program}: {}", errno_text(*errno)),
        ExecFailure::IsDirectory => format!("exec: {program:?}: is a directory"),
        ExecFailure::NotExecutable => format!("exec: {program:?}: permission denied"),
        ExecFailure::Exec { errno, interpreter: None } => format!("exec {program}: {}", errno_text(*errno)),
        ExecFailure::Exec { errno, interpreter: Some(interpreter) } => {
            format!("exec {program}: {} (its interpreter {interpreter} is missing)", errno_text(*errno))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_failures_read_like_runc() {
        let failed =
            |program: &str, reason| ExecutorError::ExecFailed { program: program.to_owned(), reason }.to_string();
        assert_eq!(
            failed("/bin/sh", ExecFailure::Exec { errno: libc::ENOEXEC, interpreter: None }),
            "exec /bin/sh: exec format error"
        );
        assert_eq!(
            failed("/bin/sh", ExecFailure::Exec { errno: libc::ENOENT, interpreter: None }),
            "exec /bin/sh: no such file or directory"
        );
        assert_eq!(
            failed("/x", ExecFailure::Stat { errno: libc::ENOENT }),
            "exec: \"/x\": stat /x: no such file or directory"
        );
        assert_eq!(failed("foo", ExecFailure::NotInPath), "exec: \"foo\": executable file not found in $PATH");
    }

    #[test]
    fn a_full_disk_is_recognised_after_the_way_between_processes() {
        let error = ExecutorError::io("write", "/x", &io::Error::from_raw_os_error(libc::ENOSPC));
        let json = serde_json::to_string(&error).unwrap();
        assert!(serde_json::from_str::<ExecutorError>(&json).unwrap().is_disk_full());
    }
}
