//! In: fresh namespaces and the plan. Out: the step's program as a child, its orphans reaped, its end reported. Never: anything of the host once the program runs.
//!
//! This process is number 1 of the sandbox: when it ends, the kernel ends every process there.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crossdock_llb::{Network, Security};
use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_bind_recursive, unmount};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use super::mounts::{self, Place};
use super::spec::{DEFAULT_HOSTNAME, ExecSpec, TerminalSize};
use super::target::{Root, Stub};
use super::{capabilities, emulate, plan, program};
use crate::error::ExecutorError;
use crate::keeper::{channel, die_with_parent};
use crate::kernel::loopback;
use crate::kernel::process::{self, Fork};

/// What the sandbox's first process tells the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum InitWord {
    /// The program was forked. With descriptors: this process, the program's process, and the terminal if there is one.
    Forked {
        stubs: Vec<Stub>,
    },
    Failed {
        error: ExecutorError,
        stubs: Vec<Stub>,
    },
    /// The program ended with this wait status.
    Ended {
        status: i32,
    },
}

/// Everything the first process works with.
pub(super) struct Init<'a> {
    pub(super) spec: &'a ExecSpec,
    pub(super) place: &'a Place,
    pub(super) link: UnixStream,
    /// Where the program says why it did not start, and its standard descriptors; given away when it is forked.
    pub(super) programs: Option<(UnixStream, [OwnedFd; 3])>,
    pub(super) ticket: program::Ticket,
}

impl Init<'_> {
    /// Lives the life of the sandbox's first process.
    pub(super) fn live(mut self) -> ! {
        die_with_parent();
        // A worker that died before the line above does not answer, and then there is nothing to do.
        if !matches!(channel::receive::<()>(&self.link), Ok(Some(_))) {
            process::exit_now(1);
        }
        let mut stubs = Vec::new();
        let word = match self.set_up(&mut stubs) {
            Ok((child, table)) => {
                let status = reap_until(child);
                drop(table);
                InitWord::Ended { status }
            }
            Err(error) => InitWord::Failed { error, stubs },
        };
        let _ = channel::send(&self.link, &word, &[]);
        process::exit_now(0)
    }

    /// Builds the sandbox around this process and forks the program.
    fn set_up(&mut self, stubs: &mut Vec<Stub>) -> Result<(Pid, Option<OwnedFd>), ExecutorError> {
        let (spec, place) = (self.spec, self.place);
        if !spec.is_nested() {
            process::unshare(UnshareFlags::NEWNS)
                .map_err(|error| ExecutorError::io("leave", "the mount namespace", &error))?;
        } else {
            // Mounts that came from another user namespace are locked in place; a bind of the root is our own.
            mount_bind_recursive(place.root(), place.root())
                .map_err(|error| ExecutorError::io("bind", "the root", &error.into()))?;
        }
        let nested = spec.emulator.as_ref().filter(|_| spec.is_nested());
        let table = nested.map(|emulator| emulate::register(emulator, &place.binfmt())).transpose()?;
        let mut root = Root::open(&place.root()).map_err(|error| ExecutorError::io("open", "the root", &error))?;
        let mounted = plan::plan(spec).iter().try_for_each(|planned| mounts::perform(planned, spec, &mut root, place));
        stubs.append(&mut root.stubs);
        mounted?;
        if spec.security == Security::Sandbox {
            mounts::protect(&root, place)?;
        }
        if spec.readonly_root {
            mounts::keep_writable(&spec.directories, &mut root)?;
            stubs.append(&mut root.stubs);
            mounts::tighten(&root, "/", MountFlags::RDONLY, false)?;
        }
        drop(root);
        self.name_and_network()?;
        self.enter_root().map_err(|error| ExecutorError::io("enter", "the root", &error))?;
        let terminal = spec
            .terminal
            .map(open_terminal)
            .transpose()
            .map_err(|error| ExecutorError::io("open", "a terminal", &error))?;
        // Steps must not look into this process: its memory is a copy of the keeper's.
        let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
        let fork_error = |error: io::Error| ExecutorError::io("fork", "the step", &error);
        // Held here, they would hide from the worker that the program has them no more.
        let (report, stdio) =
            self.programs.take().ok_or_else(|| ExecutorError::BadStep { what: "it was started twice".to_owned() })?;
        match process::fork().map_err(fork_error)? {
            Fork::Child => program::start(spec, &stdio, terminal.as_ref().map(|pair| &pair.1), &report, self.ticket),
            Fork::Parent(child) => {
                drop((report, stdio));
                // The user's own terminal, perhaps.
                let _ = fs_err::File::open("/dev/null").map(|null| rustix::stdio::dup2_stderr(null.file()));
                self.announce(child, terminal.as_ref(), stubs).map_err(fork_error)?;
                Ok((child, table))
            }
        }
    }

    fn name_and_network(&self) -> Result<(), ExecutorError> {
        let hostname = if self.spec.hostname.is_empty() { DEFAULT_HOSTNAME } else { &self.spec.hostname };
        rustix::system::sethostname(hostname.as_bytes())
            .map_err(|error| ExecutorError::io("set host name", hostname, &error.into()))?;
        if self.spec.network == Network::None {
            loopback::bring_up().map_err(|error| ExecutorError::io("bring up", "the loopback interface", &error))?;
        }
        Ok(())
    }

    fn enter_root(&self) -> io::Result<()> {
        rustix::process::chdir(self.place.root())?;
        // The old root ends up on top of the new one, where it can be taken off.
        rustix::process::pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        Ok(rustix::process::chdir("/")?)
    }

    fn announce(&self, child: Pid, terminal: Option<&(OwnedFd, OwnedFd)>, stubs: &mut Vec<Stub>) -> io::Result<()> {
        let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        let program = rustix::process::pidfd_open(child, PidfdFlags::empty())?;
        let controlling = terminal.map(|pair| pair.0.as_fd());
        let descriptors: Vec<BorrowedFd<'_>> = [own.as_fd(), program.as_fd()].into_iter().chain(controlling).collect();
        channel::send(&self.link, &InitWord::Forked { stubs: std::mem::take(stubs) }, &descriptors)?;
        capabilities::keep_kill()
    }
}

/// Waits until the program has ended, collecting everything else that ends meanwhile.
fn reap_until(program: Pid) -> i32 {
    while let Ok(Some((pid, status))) = process::wait_for_any() {
        if pid == program {
            return status;
        }
    }
    // Unreachable while the program is our child; a killed program is the nearest truth.
    libc::SIGKILL
}

/// A terminal of the sandbox's own: the controlling side and the program's.
fn open_terminal(size: TerminalSize) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let controlling = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&controlling)?;
    let programs = rustix::pty::ioctl_tiocgptpeer(&controlling, flags)?;
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&controlling, size)?;
    let name = rustix::pty::ptsname(&controlling, Vec::new())?;
    fs_err::write("/dev/console", "")?;
    mount_bind(name.as_c_str(), "/dev/console")?;
    Ok((controlling, programs))
}
