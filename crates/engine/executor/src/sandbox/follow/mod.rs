//! In: the step's first program, seized before it executes. Out: every execution below it goes through the emulator where it must. Never: another process than the step's; a native step.
//!
//! The worker follows the step (docs/design/trace.md): the step's filter stops each execution before it happens, `call.rs` judges it, and an execution
//! of a foreign program becomes one of the emulator. Where the emulator's path leads nowhere (behind a chroot), the thread is handed a descriptor of it.

mod call;
pub(super) mod emulators;
mod memory;
mod root;
mod script;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use crossdock_emulation::table::{self, Architecture};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;

use self::call::{Emulation, Thread, Verdict};
use self::emulators::{Emulators, INSIDE};
use self::memory::Block;
use crate::error::{ExecutorError, errno_text};
use crate::kernel::notify;
use crate::kernel::process::Usage;
use crate::kernel::trace::{self, EVENT_EXEC, EVENT_SECCOMP, EVENT_STOP, Happened, Registers, Resume};

/// After so many happenings the request is looked at again: a step that only forks must not be beyond cancelling.
const HAPPENINGS_MAX: usize = 64;

/// What a follower needs to know of the step.
pub(super) struct Following {
    /// A /proc of the worker's pid namespace.
    pub(super) proc: PathBuf,
    /// Where the emulators lie outside of the step.
    pub(super) emulators: PathBuf,
    pub(super) qemu: PathBuf,
    /// Go's word.
    pub(super) architecture: String,
    /// Marks the calls that ask for a descriptor.
    pub(super) ticket: u32,
}

/// Follows one step.
pub(super) struct Follower {
    following: Following,
    architecture: &'static Architecture,
    emulators: Emulators,
    /// The step's own view of the emulators.
    view: OwnedFd,
    signals: OwnedFd,
    listener: Option<OwnedFd>,
    calls: HashMap<Pid, Call>,
    /// The emulators that threads get which will come to the listener.
    handed: HashMap<Pid, OwnedFd>,
    /// The sandbox's first process, which is our child, and what it used.
    first: Pid,
    ended: Option<Usage>,
}

/// A thread's call that was changed.
enum Call {
    /// It executes the emulator; if that fails, its registers must be as they were.
    Executing { original: Registers },
    /// It asks for a descriptor of the emulator.
    Asking { original: Registers, mask: u64, emulation: Emulation },
    /// It has it, and executes it next.
    Having { original: Registers, mask: u64 },
}

impl Follower {
    /// Seizes the step's program, which waits for that.
    ///
    /// # Errors
    /// EPERM where following is forbidden.
    pub(super) fn seize(
        following: Following,
        program: &OwnedFd,
        listener: Option<OwnedFd>,
        first: Pid,
    ) -> io::Result<Self> {
        let architecture = table::by_go_name(&following.architecture).filter(|_| trace::SUPPORTED);
        let architecture = architecture.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSYS))?;
        let pid = id_of(&following.proc, program)?;
        let signals = trace::child_signals()?;
        let view = emulators::seen_by(&call::directory_of(&following.proc, pid))?;
        let emulators = Emulators::at(following.emulators.clone(), following.qemu.clone())?;
        // Last: what is seized must be waited for by a follower, or its end is never complete.
        trace::seize(pid)?;
        Ok(Self {
            following,
            architecture,
            emulators,
            view,
            signals,
            listener,
            calls: HashMap::new(),
            handed: HashMap::new(),
            first,
            ended: None,
        })
    }

    /// Follows the step until one of the descriptors has something to say.
    pub(super) fn wait(&mut self, watched: &[BorrowedFd<'_>]) -> io::Result<Vec<PollFlags>> {
        loop {
            let more = self.serve()?;
            let mut events = self.poll(watched, more)?;
            if let Some(event) = events.get(watched.len() + 1) {
                self.answer(*event);
            }
            self.drain();
            events.truncate(watched.len());
            if events.iter().any(|event| !event.is_empty()) {
                return Ok(events);
            }
        }
    }

    /// What the descriptors say, then our signals, then the listener.
    fn poll(&self, watched: &[BorrowedFd<'_>], at_once: bool) -> io::Result<Vec<PollFlags>> {
        let mut list: Vec<PollFd<'_>> =
            watched.iter().map(|one| PollFd::from_borrowed_fd(*one, PollFlags::IN)).collect();
        list.push(PollFd::new(&self.signals, PollFlags::IN));
        list.extend(self.listener.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::io::retry_on_intr(|| poll(&mut list, at_once.then_some(&now)))?;
        Ok(list.iter().map(PollFd::revents).collect())
    }

    /// The signals only say that there is something to serve.
    fn drain(&self) {
        while rustix::io::read(&self.signals, &mut [0; 128]).is_ok() {}
    }

    /// Follows the step until its sandbox is gone.
    pub(super) fn finish(mut self) -> io::Result<Usage> {
        loop {
            let more = self.serve()?;
            if let Some(usage) = self.ended {
                return Ok(usage);
            }
            if !more {
                self.listener = None;
                self.poll(&[], false)?;
                self.drain();
            }
        }
    }

    /// Hands the emulator to the thread that waits at the listener.
    fn answer(&mut self, event: PollFlags) {
        let Some(listener) = &self.listener else { return };
        if event.contains(PollFlags::IN) {
            // A thread that was killed meanwhile needs nothing.
            let Ok(waiting) = notify::next(listener.as_fd()) else { return };
            let thread = i32::try_from(waiting.thread).ok().and_then(Pid::from_raw);
            let emulator = thread.and_then(|thread| self.handed.remove(&thread));
            let _ = notify::answer(listener.as_fd(), waiting, emulator.as_ref().map(OwnedFd::as_fd));
        } else if event.intersects(PollFlags::HUP | PollFlags::ERR) {
            self.listener = None;
        }
    }

    /// Deals with what has happened; true when there may be more.
    fn serve(&mut self) -> io::Result<bool> {
        for _ in 0..HAPPENINGS_MAX {
            match trace::next() {
                Ok(Some(happened)) => self.deal_with(&happened),
                Ok(None) => return Ok(false),
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Deals with one thing. A thread that is killed while we look at it needs no further care: what fails then is left alone.
    fn deal_with(&mut self, happened: &Happened) {
        let (pid, status) = (happened.pid, happened.status);
        if !libc::WIFSTOPPED(status) {
            self.calls.remove(&pid);
            self.handed.remove(&pid);
            if pid == self.first {
                self.ended = Some(happened.usage);
            }
            return;
        }
        let signal = libc::WSTOPSIG(status);
        let (how, signal) = match status >> 16 {
            EVENT_SECCOMP => (self.at_execution(pid), 0),
            EVENT_EXEC => {
                self.calls.remove(&pid);
                let former =
                    trace::event_message(pid).ok().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
                former.map(|former| self.calls.remove(&former));
                (Resume::Run, 0)
            }
            EVENT_STOP if is_stopping(signal) => (Resume::StayStopped, 0),
            0 if signal == libc::SIGTRAP | 0x80 => {
                self.after_call(pid);
                (Resume::Run, 0)
            }
            // A signal on its way to the process.
            0 => (Resume::Run, signal),
            _ => (Resume::Run, 0),
        };
        let _ = trace::resume(pid, how, signal);
    }

    /// A thread is about to execute something.
    fn at_execution(&mut self, pid: Pid) -> Resume {
        if let Some(Call::Having { original, mask }) = self.calls.remove(&pid) {
            // Its own mask is what the new program inherits. No signal comes before the call any more.
            let _ = trace::set_signal_mask(pid, mask);
            self.calls.insert(pid, Call::Executing { original });
            return Resume::ToCallEnd;
        }
        let Ok(registers) = trace::registers(pid) else { return Resume::Run };
        let outcome = self.judge(pid, &registers);
        match outcome {
            Ok(None) => Resume::Run,
            Ok(Some(call)) => {
                self.calls.insert(pid, call);
                Resume::ToCallEnd
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                let _ = trace::set_registers(pid, &registers.with_result(-i64::from(errno), true));
                Resume::Run
            }
        }
    }

    /// Changes an execution that must be changed. An error is what the execution fails with.
    fn judge(&mut self, pid: Pid, registers: &Registers) -> io::Result<Option<Call>> {
        let original = *registers;
        // What cannot be looked at is left to the kernel.
        let Ok(thread) = Thread::look_at(call::directory_of(&self.following.proc, pid)) else { return Ok(None) };
        let verdict = call::judge(&thread, registers, self.architecture, &self.emulators).unwrap_or(Verdict::Pass);
        let emulation = match verdict {
            Verdict::Pass => return Ok(None),
            Verdict::Refuse(errno) => return Err(io::Error::from_raw_os_error(errno)),
            Verdict::Emulate(emulation) => emulation,
        };
        let name = self.emulators.path(&emulation.rights, &emulation.program)?;
        let path = [INSIDE.as_bytes(), b"/", &name].concat();
        if thread.sees(&path, self.emulators.id(&name)?) {
            let block = place(&thread, registers.stack_pointer(), &path, &emulation, &path)?;
            let arguments = [block.path, block.list, emulation.environment];
            trace::set_registers(pid, &registers.with_call(trace::EXECVE, &arguments))?;
            return Ok(Some(Call::Executing { original }));
        }
        if self.listener.is_none() {
            // Behind a chroot, on a kernel or in a container without listeners.
            return Err(io::Error::from_raw_os_error(libc::ENOEXEC));
        }
        self.handed.insert(pid, emulators::open_in(&self.view, &name)?);
        let mask = trace::signal_mask(pid)?;
        trace::set_signal_mask(pid, u64::MAX)?;
        trace::set_registers(pid, &registers.with_call(trace::TICKET, &[self.following.ticket.into()]))?;
        Ok(Some(Call::Asking { original, mask, emulation }))
    }

    /// A thread's changed call has ended.
    fn after_call(&mut self, pid: Pid) {
        let Ok(registers) = trace::registers(pid) else { return };
        match self.calls.remove(&pid) {
            Some(Call::Executing { original }) => {
                let _ = trace::set_registers(pid, &original.with_result(registers.result(), false));
            }
            Some(Call::Asking { original, mask, emulation }) => {
                match self.execute_handed(pid, &original, registers.result(), &emulation) {
                    Ok(()) => drop(self.calls.insert(pid, Call::Having { original, mask })),
                    Err(error) => {
                        let errno = error.raw_os_error().unwrap_or(libc::EIO);
                        let _ = trace::set_registers(pid, &original.with_result(-i64::from(errno), false));
                        let _ = trace::set_signal_mask(pid, mask);
                    }
                }
            }
            Some(Call::Having { .. }) | None => {}
        }
    }

    /// Makes a thread execute the descriptor it was handed.
    fn execute_handed(&self, pid: Pid, original: &Registers, result: i64, emulation: &Emulation) -> io::Result<()> {
        let descriptor = u64::try_from(result)
            .map_err(|_| io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EIO)))?;
        let thread = Thread::look_at(call::directory_of(&self.following.proc, pid))?;
        let name = [INSIDE, "/qemu"].concat();
        let block = place(&thread, original.stack_pointer(), b"", emulation, name.as_bytes())?;
        let empty_path = u64::from(libc::AT_EMPTY_PATH.cast_unsigned());
        let arguments = [descriptor, block.path, block.list, emulation.environment, empty_path];
        trace::set_registers(pid, &original.with_next_call(trace::EXECVEAT, &arguments))
    }
}

/// Writes the emulator's path and words below a thread's stack.
fn place(thread: &Thread, stack: u64, path: &[u8], emulation: &Emulation, name: &[u8]) -> io::Result<Block> {
    let block = Block::below(stack, path, &emulation.words(name));
    let map = || fs_err::read_to_string(thread.directory.join("maps")).unwrap_or_default();
    if !block.fits(stack, map) || thread.memory.write(&block).is_err() {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    Ok(block)
}

/// Says why a step cannot be followed here, and what helps.
pub(super) fn cannot_follow(error: &io::Error) -> ExecutorError {
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let otherwise = "or register emulators with the host: sudo apt-get install qemu-user-static";
    let scope = read("/proc/sys/kernel/yama/ptrace_scope");
    let filtered = read("/proc/self/status").lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"]));
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    let (reason, fix) = if errno != libc::EPERM {
        (format!("ptrace: {}", errno_text(errno)), format!("Report this, {otherwise}"))
    } else if scope.trim() == "3" {
        let reason = "kernel.yama.ptrace_scope is 3".to_owned();
        (reason, format!("Set it to 1 or 2 in /etc/sysctl.d and restart the machine, {otherwise}"))
    } else if filtered {
        let reason = "the container this runs in forbids ptrace".to_owned();
        (
            reason,
            format!("Start the container with --cap-add SYS_PTRACE or --security-opt seccomp=unconfined, {otherwise}"),
        )
    } else {
        (
            "ptrace is not permitted".to_owned(),
            format!("Ask what forbids it (a security module, a sandbox), {otherwise}"),
        )
    };
    ExecutorError::CannotFollow { reason, fix }
}

const fn is_stopping(signal: i32) -> bool {
    matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)
}

/// A process's number in the pid namespace of a /proc.
fn id_of(proc: &std::path::Path, process: &OwnedFd) -> io::Result<Pid> {
    use std::os::fd::AsRawFd as _;
    let text = fs_err::read_to_string(proc.join(format!("self/fdinfo/{}", process.as_raw_fd())))?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(|text| text.trim().parse().ok());
    number.and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use rustix::process::PidfdFlags;

    use super::*;

    #[test]
    fn this_process_is_found_by_its_descriptor() {
        let own = rustix::process::getpid();
        let descriptor = rustix::process::pidfd_open(own, PidfdFlags::empty()).unwrap();
        assert_eq!(id_of(std::path::Path::new("/proc"), &descriptor).unwrap(), own);
    }
}
