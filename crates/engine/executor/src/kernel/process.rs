//! In: processes. Out: forks, executions, ends and waits. Never: a fork of a program with several threads.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use super::checked;

/// Set once the process has been found to have one thread.
static SINGLE_THREADED: AtomicBool = AtomicBool::new(false);

/// Which side of a fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fork {
    Parent(Pid),
    Child,
}

/// Checks that this process has one thread, which [`fork`] demands. Call it before anything could start a thread.
///
/// # Errors
/// When there are more threads.
pub(crate) fn assert_single_threaded() -> io::Result<()> {
    let threads = fs_err::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("{threads} threads run where one is allowed")));
    }
    SINGLE_THREADED.store(true, Ordering::Relaxed);
    Ok(())
}

/// Splits this process in two.
///
/// # Errors
/// When the kernel cannot, or when [`assert_single_threaded`] was not called.
pub(crate) fn fork() -> io::Result<Fork> {
    if !SINGLE_THREADED.load(Ordering::Relaxed) {
        return Err(io::Error::other("fork of a process that may have several threads"));
    }
    // SAFETY: fork is sound for a process with one thread, and the flag says that this is one: the keeper sets it first thing in main, and
    // neither it nor the code between its forks starts threads. The child is then an ordinary process.
    let id = unsafe { libc::fork() };
    checked(libc::c_long::from(id))?;
    Ok(Pid::from_raw(id).map_or(Fork::Child, Fork::Parent))
}

/// Ends this process at once: nothing is flushed, no destructor runs.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Leaves namespaces. `CLONE_FILES` must not be among the flags; there is no use for it here.
///
/// # Errors
/// What the kernel says; EPERM and ENOSPC mean that namespaces are blocked.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES), "descriptor tables are never unshared");
    // SAFETY: the one unsound flag is CLONE_FILES, and no caller in this crate passes it.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Replaces this process by a program. Returns only when that fails.
pub(crate) fn execute(program: &CString, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: all three are NUL-terminated texts, the lists end with a null pointer, and all of them live until the call returns.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Gives every signal its default meaning and unblocks all: what was ignored in the shell that started us must not reach a step.
pub(crate) fn reset_signals() {
    for number in 1..=64 {
        // SAFETY: SIG_DFL installs no code of ours. Numbers the C library keeps for itself, SIGKILL and SIGSTOP are refused, which is fine.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    // SAFETY: an all-zero sigset_t is a valid value for sigemptyset to fill in, and the old mask is not asked for.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Marks every descriptor from 3 up to be closed at the next execution.
pub(crate) fn close_on_execute() {
    /// Linux 5.11.
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: the call only sets a flag on descriptors. Older kernels refuse; all descriptors are opened with the flag anyway.
    unsafe { libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
}

/// What an ended child and the children it waited for have used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Processor time in microseconds.
    pub(crate) cpu_us: u64,
    /// In bytes.
    pub(crate) max_rss_bytes: u64,
}

impl Usage {
    pub(super) fn of(usage: &libc::rusage) -> Self {
        let micros = |time: libc::timeval| u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap_or_default();
        let max_rss_bytes = u64::try_from(usage.ru_maxrss).unwrap_or_default() * 1024;
        Self { cpu_us: micros(usage.ru_utime) + micros(usage.ru_stime), max_rss_bytes }
    }
}

/// Waits for one child to end.
///
/// # Errors
/// When it is no child of ours.
pub(crate) fn wait_for(child: Pid) -> io::Result<Usage> {
    let mut status = 0;
    loop {
        // SAFETY: rusage is plain numbers, for which all-zero is a valid value; both pointers are to live locals.
        let (result, usage) = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            (libc::wait4(child.as_raw_nonzero().get(), &raw mut status, 0, &raw mut usage), usage)
        };
        match checked(libc::c_long::from(result)) {
            Ok(_) => return Ok(Usage::of(&usage)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits for any child to end; `None` when there is none left.
///
/// # Errors
/// What the kernel says.
pub(crate) fn wait_for_any() -> io::Result<Option<(Pid, i32)>> {
    match rustix::io::retry_on_intr(|| rustix::process::wait(rustix::process::WaitOptions::empty())) {
        Ok(Some((pid, status))) => Ok(Some((pid, status.as_raw()))),
        Ok(None) | Err(rustix::io::Errno::CHILD) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_harness_may_not_fork() {
        assert!(fork().is_err());
        assert!(assert_single_threaded().is_err());
    }
}
