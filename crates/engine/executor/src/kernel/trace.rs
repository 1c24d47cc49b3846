//! In: processes below this one. Out: they are followed, looked at while they stand still, and sent on. Never: a process that was not seized by us.
//!
//! Only x86-64 and arm64 have registers here; elsewhere [`SUPPORTED`] is false and nobody is seized.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use rustix::process::Pid;

use super::checked;
use super::process::Usage;

/// Whether steps can be followed on this machine.
pub(crate) const SUPPORTED: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

const CONT: libc::c_int = 7;
const SYSCALL: libc::c_int = 24;
const GETEVENTMSG: libc::c_int = 0x4201;
const GETREGSET: libc::c_int = 0x4204;
const SETREGSET: libc::c_int = 0x4205;
const SEIZE: libc::c_int = 0x4206;
const LISTEN: libc::c_int = 0x4208;
const GETSIGMASK: libc::c_int = 0x420a;
const SETSIGMASK: libc::c_int = 0x420b;
/// TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, TRACESECCOMP, EXITKILL.
const OPTIONS: usize = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x0010_0000;
const NT_PRSTATUS: usize = 1;
#[cfg(target_arch = "aarch64")]
const NT_ARM_SYSTEM_CALL: usize = 0x404;

/// What a wait status with an event says in its third byte.
pub(crate) const EVENT_EXEC: i32 = 4;
pub(crate) const EVENT_SECCOMP: i32 = 7;
pub(crate) const EVENT_STOP: i32 = 128;

/// `ptrace` of the C library; its result is -1 on failure for every request used here.
fn ptrace(request: libc::c_int, pid: Pid, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: the kernel checks request and process; the two words are numbers, or addresses of live locals of the size the request demands
    // (each caller below says which).
    let result = unsafe { libc::syscall(libc::SYS_ptrace, request, pid.as_raw_nonzero().get(), address, data) };
    checked(result).map(drop)
}

/// Follows a process and all it will start; it goes on undisturbed. All of them die with this process.
///
/// # Errors
/// EPERM where following is forbidden.
pub(crate) fn seize(pid: Pid) -> io::Result<()> {
    ptrace(SEIZE, pid, 0, OPTIONS)
}

/// How a process that stands still goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resume {
    /// Until something happens.
    Run,
    /// Until the system call it is in has ended.
    ToCallEnd,
    /// It stays stopped, as job control wants it, until a signal continues it.
    StayStopped,
}

/// Sends a process on, with a signal or 0.
///
/// # Errors
/// ESRCH when it was killed meanwhile.
pub(crate) fn resume(pid: Pid, how: Resume, signal: i32) -> io::Result<()> {
    let request = match how {
        Resume::Run => CONT,
        Resume::ToCallEnd => SYSCALL,
        Resume::StayStopped => LISTEN,
    };
    ptrace(request, pid, 0, usize::try_from(signal).unwrap_or_default())
}

/// The number that goes with an event: for an execution the thread's former id.
///
/// # Errors
/// ESRCH.
pub(crate) fn event_message(pid: Pid) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    // The request writes one unsigned long to the address of `message`.
    ptrace(GETEVENTMSG, pid, 0, (&raw mut message) as usize)?;
    Ok(message)
}

/// The signals a thread has blocked.
///
/// # Errors
/// ESRCH.
pub(crate) fn signal_mask(pid: Pid) -> io::Result<u64> {
    let mut mask = 0_u64;
    // The request writes a set of 8 bytes to the address of `mask`.
    ptrace(GETSIGMASK, pid, size_of::<u64>(), (&raw mut mask) as usize)?;
    Ok(mask)
}

/// Sets the signals a thread has blocked.
///
/// # Errors
/// ESRCH.
pub(crate) fn set_signal_mask(pid: Pid, mask: u64) -> io::Result<()> {
    // The request reads a set of 8 bytes from the address of `mask`.
    ptrace(SETSIGMASK, pid, size_of::<u64>(), (&raw const mask) as usize)
}

#[cfg(target_arch = "x86_64")]
mod layout {
    //! Places in `struct user_regs_struct`.
    pub(super) const WORDS: usize = 27;
    pub(super) const ARGUMENTS: [usize; 6] = [14, 13, 12, 7, 9, 8];
    pub(super) const RESULT: usize = 10;
    /// The call the thread is in; -1 skips it.
    pub(super) const CALL: usize = 15;
    /// The register that selects a call when it is made.
    pub(super) const SELECTOR: usize = 10;
    pub(super) const PROGRAM_COUNTER: usize = 16;
    pub(super) const STACK_POINTER: usize = 19;
    /// Length of the instruction that makes a call.
    pub(super) const CALL_BYTES: u64 = 2;
}

#[cfg(not(target_arch = "x86_64"))]
mod layout {
    //! Places in `struct user_pt_regs` of arm64, with one more word for the call.
    pub(super) const WORDS: usize = 35;
    pub(super) const ARGUMENTS: [usize; 6] = [0, 1, 2, 3, 4, 5];
    pub(super) const RESULT: usize = 0;
    pub(super) const CALL: usize = 34;
    pub(super) const SELECTOR: usize = 8;
    pub(super) const PROGRAM_COUNTER: usize = 32;
    pub(super) const STACK_POINTER: usize = 31;
    pub(super) const CALL_BYTES: u64 = 4;
}

/// Numbers of the calls this machine executes programs with.
#[cfg(target_arch = "x86_64")]
pub(crate) const EXECVE: u64 = 59;
#[cfg(target_arch = "x86_64")]
pub(crate) const EXECVEAT: u64 = 322;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const EXECVE: u64 = 221;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const EXECVEAT: u64 = 281;
/// `lookup_dcookie`: nobody's call any more; a thread is made to call it when it is to be handed a descriptor.
#[cfg(target_arch = "x86_64")]
pub(crate) const TICKET: u64 = 212;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const TICKET: u64 = 18;

/// The registers of a thread inside a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Registers([u64; layout::WORDS]);

impl Registers {
    /// The call the thread is in.
    pub(crate) const fn call(&self) -> u64 {
        self.0[layout::CALL]
    }

    pub(crate) const fn argument(&self, index: usize) -> u64 {
        self.0[layout::ARGUMENTS[index]]
    }

    pub(crate) const fn stack_pointer(&self) -> u64 {
        self.0[layout::STACK_POINTER]
    }

    /// The call's result, at its end: a negative error number, or what it gives.
    pub(crate) const fn result(&self) -> i64 {
        self.0[layout::RESULT].cast_signed()
    }

    /// The same with another call in place of this one, at its beginning.
    pub(crate) fn with_call(mut self, number: u64, arguments: &[u64]) -> Self {
        self.0[layout::CALL] = number;
        for (place, argument) in layout::ARGUMENTS.iter().zip(arguments) {
            self.0[*place] = *argument;
        }
        self
    }

    /// The same with a result. `skip` leaves the call out, at its beginning.
    pub(crate) fn with_result(mut self, result: i64, skip: bool) -> Self {
        self.0[layout::RESULT] = result.cast_unsigned();
        if skip {
            self.0[layout::CALL] = u64::MAX;
        }
        self
    }

    /// The same, at the end of a call, about to make this one.
    pub(crate) fn with_next_call(mut self, number: u64, arguments: &[u64]) -> Self {
        self = self.with_call(number, arguments);
        self.0[layout::SELECTOR] = number;
        self.0[layout::PROGRAM_COUNTER] = self.0[layout::PROGRAM_COUNTER].wrapping_sub(layout::CALL_BYTES);
        self
    }
}

/// Words of the machine's own register set.
const MACHINE_WORDS: usize = if cfg!(target_arch = "x86_64") { layout::WORDS } else { layout::WORDS - 1 };

/// Reads the registers of a thread that stands still in a system call.
///
/// # Errors
/// ESRCH; EINVAL for a thread of 32 bits.
pub(crate) fn registers(pid: Pid) -> io::Result<Registers> {
    let mut words = [0; layout::WORDS];
    let bytes = MACHINE_WORDS * size_of::<u64>();
    let mut vector = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: bytes };
    // The request fills the vector, which describes `words`, and the kernel writes no more than its length.
    ptrace(GETREGSET, pid, NT_PRSTATUS, (&raw mut vector) as usize)?;
    if vector.iov_len != bytes {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // On arm64 a call's number stands in the selecting register until the call ends.
    #[cfg(not(target_arch = "x86_64"))]
    {
        words[layout::CALL] = words[layout::SELECTOR];
    }
    Ok(Registers(words))
}

/// Sets the registers of a thread that stands still.
///
/// # Errors
/// ESRCH.
pub(crate) fn set_registers(pid: Pid, registers: &Registers) -> io::Result<()> {
    let mut words = registers.0;
    let mut vector = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: MACHINE_WORDS * size_of::<u64>() };
    // The request reads the vector, which describes the machine's words of `words`.
    ptrace(SETREGSET, pid, NT_PRSTATUS, (&raw mut vector) as usize)?;
    #[cfg(target_arch = "aarch64")]
    {
        let mut number = registers.0[layout::CALL] as i32;
        let mut vector = libc::iovec { iov_base: (&raw mut number).cast(), iov_len: size_of::<i32>() };
        // The request reads the vector, which describes `number`.
        ptrace(SETREGSET, pid, NT_ARM_SYSTEM_CALL, (&raw mut vector) as usize)?;
    }
    Ok(())
}

/// Something that happened to a followed process or a child of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Happened {
    pub(crate) pid: Pid,
    /// As `wait` gives it.
    pub(crate) status: i32,
    pub(crate) usage: Usage,
}

/// What has happened and was not told yet; `None` when nothing has.
///
/// # Errors
/// ECHILD when there is nobody left.
pub(crate) fn next() -> io::Result<Option<Happened>> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which all-zero is a valid value; both pointers are to live locals.
    let (result, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(-1, &raw mut status, libc::WNOHANG | libc::__WALL, &raw mut usage), usage)
    };
    checked(libc::c_long::from(result))?;
    Ok(Pid::from_raw(result).map(|pid| Happened { pid, status, usage: Usage::of(&usage) }))
}

/// A descriptor that becomes readable when something happens to a child or a followed process.
///
/// # Errors
/// What the kernel says.
pub(crate) fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: an all-zero sigset_t is a valid value for sigemptyset to fill in; the old mask is not asked for; the new descriptor is nobody
    // else's.
    unsafe {
        let mut children = std::mem::zeroed();
        libc::sigemptyset(&raw mut children);
        libc::sigaddset(&raw mut children, libc::SIGCHLD);
        checked(libc::c_long::from(libc::sigprocmask(libc::SIG_BLOCK, &raw const children, std::ptr::null_mut())))?;
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        let descriptor = libc::signalfd(-1, &raw const children, flags);
        checked(libc::c_long::from(descriptor))?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// Lets files be looked for with the rights of these ids instead of root's, or of root again. Never fails: ids that do not exist change nothing.
pub(crate) fn look_for_files_as(uid: u32, gid: u32) {
    // SAFETY: the calls take numbers and have no preconditions.
    unsafe {
        if uid == 0 {
            libc::setfsuid(uid);
            libc::setfsgid(gid);
        } else {
            libc::setfsgid(gid);
            libc::setfsuid(uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_replaced_word_by_word() {
        let empty = Registers([7; layout::WORDS]);
        let changed = empty.with_call(EXECVE, &[1, 2, 3]);
        assert_eq!((changed.call(), changed.argument(0), changed.argument(2), changed.argument(3)), (EXECVE, 1, 3, 7));
        assert_eq!(empty.with_result(-8, true).result(), -8);
        let next = Registers([100; layout::WORDS]).with_next_call(EXECVEAT, &[5]);
        assert_eq!(next.0[layout::PROGRAM_COUNTER], 100 - layout::CALL_BYTES);
        assert_eq!(next.0[layout::SELECTOR], EXECVEAT);
    }

    #[test]
    fn strangers_cannot_be_looked_at() {
        let own = rustix::process::getpid();
        assert!(registers(own).is_err() && signal_mask(own).is_err() && event_message(own).is_err());
    }
}
