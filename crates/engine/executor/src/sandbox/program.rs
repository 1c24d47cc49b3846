//! In: a process inside the finished sandbox, still all-powerful there. Out: the step's program in its place, with the step's rights. Never: a return to the caller.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use crossdock_llb::Security;
use rustix::fs::{FileType, Mode};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Uid};
use serde::{Deserialize, Serialize};

use super::spec::{DEFAULT_PATH, ExecSpec};
use super::user::{self, Identity};
use super::{capabilities, limits, look_path};
use crate::error::{ExecFailure, ExecutorError};
use crate::keeper::channel;
use crate::kernel::{filter, process};
use crate::seccomp::{self, Machine};

/// Users and groups files longer than this are not read, in bytes.
const USER_FILE_BYTES_MAX: u64 = 16 << 20;
/// The exit code of a process that could not become the program; the program hears the reason another way.
const NOT_STARTED: i32 = 127;

/// What the program's process tells the worker before it is the program. Its end of the socket closes by itself when it is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ProgramWord {
    /// It is about to execute, and waits until it is followed. With the listener of its filter, if there is one.
    Waiting,
    Failed(ExecutorError),
}

/// What a followed process needs: the mark of its calls for a descriptor.
pub(super) type Ticket = u32;

/// Becomes the step's program. What prevents that goes to `report`.
pub(super) fn start(
    spec: &ExecSpec,
    stdio: &[OwnedFd; 3],
    terminal: Option<&OwnedFd>,
    report: &UnixStream,
    ticket: Ticket,
) -> ! {
    let error = match prepare(spec, stdio, terminal, ticket) {
        Ok(ready) => match wait_for_follower(spec, report, ready.listener) {
            Ok(()) => execute(&ready.program, &ready.arguments, &ready.environment),
            Err(error) => error,
        },
        Err(error) => error,
    };
    let _ = channel::send(report, &ProgramWord::Failed(error), &[]);
    process::exit_now(NOT_STARTED)
}

/// Lets the worker follow this process, when it is to be followed.
fn wait_for_follower(spec: &ExecSpec, report: &UnixStream, listener: Option<OwnedFd>) -> Result<(), ExecutorError> {
    if !spec.is_followed() {
        return Ok(());
    }
    let fail = |error: io::Error| ExecutorError::io("wait for", "the process that follows the step", &error);
    // Nobody may follow a process that hides its memory. Besides the sandbox's first process nobody is here to look.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(|error| fail(error.into()))?;
    let descriptors: Vec<_> = listener.iter().map(OwnedFd::as_fd).collect();
    channel::send(report, &ProgramWord::Waiting, &descriptors).map_err(fail)?;
    drop(listener);
    match channel::receive::<()>(report) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(fail(io::ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(fail(error)),
    }
}

type Words = Vec<CString>;

/// All that is needed to execute.
struct Ready {
    program: String,
    arguments: Words,
    environment: Words,
    /// Of a followed step's filter.
    listener: Option<OwnedFd>,
}

fn prepare(
    spec: &ExecSpec,
    stdio: &[OwnedFd; 3],
    terminal: Option<&OwnedFd>,
    ticket: Ticket,
) -> Result<Ready, ExecutorError> {
    let _ = rustix::process::setsid();
    let fail = |action: &str, subject: &str, error: io::Error| ExecutorError::io(action, subject, &error);
    rustix::process::umask(Mode::from_raw_mode(0o022));
    limits::set(&spec.ulimits)?;
    let identity = user::resolve(&spec.user, &user_file("/etc/passwd"), &user_file("/etc/group"))?;
    connect(stdio, terminal, &identity).map_err(|error| fail("connect", "standard input and output", error))?;
    spec.directories.iter().try_for_each(|directory| make_directory(directory))?;
    enter_directory(if spec.cwd.is_empty() { "/" } else { &spec.cwd })?;
    let sandboxed = spec.security == Security::Sandbox;
    if sandboxed {
        capabilities::bound().map_err(|error| fail("drop", "capabilities", error))?;
    }
    // While CAP_SYS_ADMIN is held: the other way, no_new_privs, would break sudo in steps.
    let listener = filter(spec, ticket).map_err(|error| fail("put in force", "the system call filter", error))?;
    become_user(&identity)?;
    if sandboxed && identity.uid == 0 {
        capabilities::keep_default().map_err(|error| fail("keep", "capabilities", error))?;
    }
    let environment = environment(spec, &identity.home);
    let path = environment.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or_default();
    let name = spec.args.first().ok_or_else(|| ExecutorError::BadStep { what: "it has no command".to_owned() })?;
    let program =
        look_path::find(name, path).map_err(|reason| ExecutorError::ExecFailed { program: name.clone(), reason })?;
    Ok(Ready { program, arguments: words(&spec.args)?, environment: words(&environment)?, listener })
}

/// Puts the step's filter in force.
fn filter(spec: &ExecSpec, ticket: Ticket) -> io::Result<Option<OwnedFd>> {
    let Some(machine) = Machine::current() else { return Ok(None) };
    match (spec.security == Security::Sandbox, spec.is_followed()) {
        (true, false) => filter::install(&seccomp::program(machine)).map(|()| None),
        (true, true) => filter::install_listening(&seccomp::program_followed(machine, ticket)),
        (false, true) => filter::install_listening(&seccomp::only_followed(machine, ticket)),
        (false, false) => Ok(None),
    }
}

fn execute(program: &str, arguments: &[CString], environment: &[CString]) -> ExecutorError {
    let Ok(file) = CString::new(program) else {
        return ExecutorError::BadStep { what: "the command holds a NUL byte".to_owned() };
    };
    process::reset_signals();
    process::close_on_execute();
    let error = process::execute(&file, arguments, environment);
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    let interpreter = (errno == libc::ENOENT).then(|| look_path::missing_interpreter(program)).flatten();
    ExecutorError::ExecFailed { program: program.to_owned(), reason: ExecFailure::Exec { errno, interpreter } }
}

/// Puts the descriptors, or the terminal, in their places. Pipes become the user's, so that he may open /dev/stdout again.
fn connect(stdio: &[OwnedFd; 3], terminal: Option<&OwnedFd>, identity: &Identity) -> io::Result<()> {
    if let Some(terminal) = terminal {
        rustix::process::ioctl_tiocsctty(terminal)?;
    }
    let [input, output, errors] = match terminal {
        Some(terminal) => [terminal; 3],
        None => stdio.each_ref(),
    };
    for descriptor in [input, output, errors] {
        let status = rustix::fs::fstat(descriptor)?;
        let is_ours = terminal.is_some() || FileType::from_raw_mode(status.st_mode).is_fifo();
        if is_ours && status.st_uid != identity.uid {
            // Refused where the pipe comes from outside a user namespace; then reopening it is refused, too.
            let _ = rustix::fs::fchown(descriptor.as_fd(), Some(Uid::from_raw(identity.uid)), None);
        }
    }
    rustix::stdio::dup2_stdin(input)?;
    rustix::stdio::dup2_stdout(output)?;
    rustix::stdio::dup2_stderr(errors)?;
    Ok(())
}

/// Makes a directory of the root where nothing is. In a root that cannot be written to it stays missing.
fn make_directory(directory: &str) -> Result<(), ExecutorError> {
    let is_readonly = |error: &io::Error| error.raw_os_error() == Some(Errno::ROFS.raw_os_error());
    match fs_err::create_dir_all(directory) {
        Err(error) if !is_readonly(&error) && !std::path::Path::new(directory).exists() => {
            Err(ExecutorError::io("make directory", directory, &error))
        }
        _ => Ok(()),
    }
}

fn enter_directory(directory: &str) -> Result<(), ExecutorError> {
    let fail = |action: &str, error: &io::Error| ExecutorError::io(action, directory, error);
    match rustix::process::chdir(directory) {
        Err(Errno::NOENT) => {
            fs_err::create_dir_all(directory).map_err(|error| fail("make directory", &error))?;
            rustix::process::chdir(directory).map_err(|error| fail("enter", &error.into()))
        }
        outcome => outcome.map_err(|error| fail("enter", &error.into())),
    }
}

fn become_user(identity: &Identity) -> Result<(), ExecutorError> {
    let out_of_range = |kind: &str, id: u32, error: Errno| {
        let why = match error {
            Errno::INVAL => {
                "it does not exist in this user namespace; lend this user more ids in /etc/subuid and /etc/subgid"
                    .to_owned()
            }
            other => crate::error::errno_text(other.raw_os_error()),
        };
        ExecutorError::IdOutOfRange { kind: kind.to_owned(), id: u64::from(id), why }
    };
    let groups: Vec<Gid> = identity.groups.iter().map(|&group| Gid::from_raw(group)).collect();
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    match rustix::thread::set_thread_groups(&groups) {
        // In a namespace with one id nobody may change groups.
        Ok(()) | Err(Errno::PERM) => {}
        // Some are beyond the namespace: what cannot exist cannot be had.
        Err(Errno::INVAL) => drop(rustix::thread::set_thread_groups(&[gid])),
        Err(error) => return Err(out_of_range("group", identity.gid, error)),
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(|error| out_of_range("group", identity.gid, error))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(|error| out_of_range("user", identity.uid, error))
}

/// The step's variables, and PATH and HOME when it has none.
fn environment(spec: &ExecSpec, home: &str) -> Vec<String> {
    let mut list = spec.env.clone();
    for (name, value) in [("PATH", DEFAULT_PATH), ("HOME", home)] {
        if !list.iter().any(|variable| variable.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))) {
            list.push(format!("{name}={value}"));
        }
    }
    list
}

fn words(texts: &[String]) -> Result<Words, ExecutorError> {
    let bad = |text: &str| ExecutorError::BadStep { what: format!("{text:?} holds a NUL byte") };
    texts.iter().map(|text| CString::new(text.as_str()).map_err(|_| bad(text))).collect()
}

/// The text of a file of the image; an absent or odd one is empty.
fn user_file(path: &str) -> String {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    match fs_err::File::open(path).map(|file| file.take(USER_FILE_BYTES_MAX).read_to_end(&mut bytes)) {
        Ok(Ok(_)) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    }
}
