//! In: the running program. Out: a keeper process made from it, with its ids mapped. Never: a fork of the program itself; it only executes.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use super::channel;
use super::client::KeeperOptions;
use super::request::{KeeperMode, Request};
use super::sub_ids;
use crate::error::ExecutorError;
use crate::host_path::HostPath;

/// What the keeper is called in process lists, and how `main` knows that it is one.
pub(crate) const KEEPER_NAME: &str = "crossdock-keeper";
/// The longest control message, in bytes.
pub(crate) const CONTROL_BYTES_MAX: usize = 64 << 10;
/// On the control socket: a request whose worker ends by itself when its socket closes.
pub(crate) const KIND_SELF_ENDING: u8 = b'E';
/// On the control socket: a request whose worker is killed when its socket closes.
pub(crate) const KIND_KILLABLE: u8 = b'W';

/// The first word to the keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) state_root: HostPath,
    pub(crate) ids: IdPlan,
    /// The program's file, for messages: the keeper's own is a copy in memory.
    pub(crate) program: String,
}

/// Which user namespace the keeper enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IdPlan {
    /// None: root of the host.
    HostRoot,
    /// One in which all ids of this namespace exist: root of a container.
    SameIds,
    /// One whose ids the program maps through newuidmap and newgidmap.
    MappedByProgram,
    /// One with the caller's id alone.
    OneId,
}

/// The keeper's words on the way to readiness.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ready {
    /// It has left its user namespace and waits for its ids.
    Unshared,
    Serving,
    Failed(ExecutorError),
}

/// The program's answer to `Unshared`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Mapped {
    Done,
    /// The tools failed: the keeper maps the caller's id alone.
    UseOneId,
}

/// A keeper that serves.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) mode: KeeperMode,
    control: OwnedFd,
    ended: Arc<Mutex<Option<ExitStatus>>>,
    waiter: Option<JoinHandle<()>>,
}

impl Started {
    /// Gives the keeper the far end of a request's socket.
    pub(super) fn hand_over(&self, theirs: &UnixStream, request: &Request) -> Result<(), ExecutorError> {
        let kind = if matches!(request, Request::Exec(_)) { KIND_SELF_ENDING } else { KIND_KILLABLE };
        channel::send_bytes(self.control.as_fd(), &[kind], &[theirs.as_fd()]).map_err(|error| {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            let how = match ended.as_ref() {
                Some(status) => match status.signal() {
                    Some(signal) => format!("killed by signal {signal}"),
                    None => format!("ended with {status}"),
                },
                None => error.to_string(),
            };
            ExecutorError::KeeperGone { how }
        })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // The keeper ends when its control socket does; waiting makes sure that nothing is left behind.
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        if let Some(waiter) = self.waiter.take() {
            let _ = waiter.join();
        }
    }
}

/// Starts a keeper with the most rights this host gives.
pub(super) fn launch(options: &KeeperOptions) -> Result<Started, ExecutorError> {
    let program = sealed_copy(options.program.as_deref())?;
    let root = rustix::process::geteuid().is_root();
    if root && !options.one_id {
        match start(&program, options, IdPlan::HostRoot) {
            // Root of a container without CAP_SYS_ADMIN is a user like any other.
            Err(ExecutorError::StartKeeper { errno: libc::EPERM, .. }) => start(&program, options, IdPlan::SameIds),
            other => other,
        }
    } else if options.one_id {
        start(&program, options, IdPlan::OneId)
    } else {
        start(&program, options, IdPlan::MappedByProgram)
    }
}

/// How often the kernel is asked for a seal that it refuses for the moment, and how long between.
const SEAL_TRIES_MAX: u32 = 1000;
const SEAL_PAUSE: std::time::Duration = std::time::Duration::from_millis(2);

/// The program in memory, sealed, so that no sandbox can overwrite it through /proc/1/exe. Where memory may not be executed: the file itself.
fn sealed_copy(program: Option<&Path>) -> Result<OwnedFd, ExecutorError> {
    let path = program.unwrap_or_else(|| Path::new("/proc/self/exe"));
    let fail = |action: &str, error: io::Error| ExecutorError::io(action, path.display(), &error);
    let source = fs_err::File::open(path).map_err(|error| fail("open", error))?.into_file();
    let length = source.metadata().map_err(|error| fail("look at", error))?.len();
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know EXEC and take its absence as a yes.
    let copy = rustix::fs::memfd_create("crossdock", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("crossdock", flags));
    let Ok(copy) = copy else { return Ok(source.into()) };
    let mut left = length;
    while left > 0 {
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::sendfile(&copy, &source, None, step) {
            Ok(0) => return Err(fail("copy", io::ErrorKind::UnexpectedEof.into())),
            Ok(sent) => left -= sent as u64,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(fail("copy", error.into())),
        }
    }
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    let mut tries = 0;
    loop {
        match rustix::fs::fcntl_add_seals(&copy, seals) {
            Ok(()) => return Ok(copy),
            // On a busy machine the kernel may still hold pages that were just written.
            Err(rustix::io::Errno::BUSY) if tries < SEAL_TRIES_MAX => tries += 1,
            Err(error) => return Err(fail("seal a copy of", error.into())),
        }
        std::thread::sleep(SEAL_PAUSE);
    }
}

fn start(program: &OwnedFd, options: &KeeperOptions, ids: IdPlan) -> Result<Started, ExecutorError> {
    let fail = |action: &str, error: &io::Error| ExecutorError::StartKeeper {
        action: action.to_owned(),
        errno: error.raw_os_error().unwrap_or(libc::EIO),
    };
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| fail("open a socket", &error.into()))?;
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    let ended = Arc::new(Mutex::new(None));
    let (tell, hear) = mpsc::channel();
    // The keeper dies with the thread that started it (parent death signal): that thread must live as long as the keeper.
    let waiter = std::thread::Builder::new().name("keeper".to_owned()).spawn({
        let ended = Arc::clone(&ended);
        move || {
            let mut command = Command::new(path);
            command.arg0(KEEPER_NAME).env_clear().current_dir("/").stdin(Stdio::from(theirs)).stdout(Stdio::null());
            let child = command.spawn();
            // The command still holds the keeper's end of the socket, which would hide the keeper's end.
            drop(command);
            match child {
                Ok(child) => wait_for(child, &tell, &ended),
                Err(error) => drop(tell.send(Err(error))),
            }
        }
    });
    let waiter = waiter.map_err(|error| fail("start a thread", &error))?;
    let child_id = match hear.recv() {
        Ok(Ok(id)) => id,
        Ok(Err(error)) => return Err(fail("execute the program", &error)),
        Err(_) => return Err(fail("start a thread", &io::ErrorKind::Other.into())),
    };
    let mut started = Started { mode: KeeperMode::Root, control: ours, ended, waiter: Some(waiter) };
    let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    tell_control(&started.control, &Hello { state_root: HostPath::from(options.state_root.as_path()), ids, program })?;
    let mut mode = match ids {
        IdPlan::HostRoot => mode_of_own_namespace(),
        IdPlan::SameIds | IdPlan::MappedByProgram | IdPlan::OneId => {
            KeeperMode::OneId { reason: "asked for".to_owned() }
        }
    };
    loop {
        match hear_control(&started.control)? {
            Ready::Unshared => {
                mode = if ids == IdPlan::SameIds { map_same_ids(child_id) } else { map_ids(child_id) };
                let answer = if matches!(mode, KeeperMode::OneId { .. }) { Mapped::UseOneId } else { Mapped::Done };
                tell_control(&started.control, &answer)?;
            }
            Ready::Serving => break,
            Ready::Failed(error) => return Err(error),
        }
    }
    started.mode = mode;
    Ok(started)
}

/// The life of the thread that parents the keeper.
fn wait_for(mut child: Child, tell: &mpsc::Sender<io::Result<u32>>, ended: &Mutex<Option<ExitStatus>>) {
    let _ = tell.send(Ok(child.id()));
    let status = child.wait().ok();
    *ended.lock().unwrap_or_else(PoisonError::into_inner) = status;
}

/// Lends the keeper's user namespace all sub-ids of the user; falls back to one id, with the reason.
fn map_ids(child_id: u32) -> KeeperMode {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let names = sub_ids::user_names(&fs_err::read_to_string("/etc/passwd").unwrap_or_default(), uid);
    let user = names.first().cloned().unwrap_or_else(|| uid.to_string());
    let read = |path: &str| sub_ids::ranges(&fs_err::read_to_string(path).unwrap_or_default(), &names, uid);
    let (uids, gids) = (read("/etc/subuid"), read("/etc/subgid"));
    if uids.is_empty() || gids.is_empty() {
        let file = if uids.is_empty() { "/etc/subuid" } else { "/etc/subgid" };
        let fix = format!("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}");
        return KeeperMode::OneId { reason: format!("{file} lends no ids to {user}; lend some: {fix}") };
    }
    let (Some(uid_tool), Some(gid_tool)) = (sub_ids::find_tool("newuidmap"), sub_ids::find_tool("newgidmap")) else {
        return KeeperMode::OneId {
            reason: "newuidmap and newgidmap are missing; install them: sudo apt-get install uidmap".to_owned(),
        };
    };
    let spawn = |tool: &Path, own, ranges: &[sub_ids::Range]| {
        let words = sub_ids::map_arguments(own, ranges);
        Command::new(tool)
            .arg(child_id.to_string())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
    };
    // Both at once: each costs an exec of a set-uid program.
    let children = [("newuidmap", spawn(&uid_tool, uid, &uids)), ("newgidmap", spawn(&gid_tool, gid, &gids))];
    let mut failure = None;
    for (name, child) in children {
        match child.and_then(Child::wait_with_output) {
            Ok(output) if output.status.success() => {}
            Ok(output) => failure = Some(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => failure = Some(format!("{name} failed: {error}")),
        }
    }
    match failure {
        Some(reason) => KeeperMode::OneId { reason },
        None => KeeperMode::SubIds { uids: sub_ids::count(&uids), gids: sub_ids::count(&gids) },
    }
}

/// What root may where the program runs: root of a container can live in a user namespace.
fn mode_of_own_namespace() -> KeeperMode {
    let ids = |name: &str| {
        let map = fs_err::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        sub_ids::highest(&sub_ids::inside_ranges(&map))
    };
    match (ids("uid_map"), ids("gid_map")) {
        // A kernel without user namespaces has no such file.
        (0 | u32::MAX, _) => KeeperMode::Root,
        (1, _) => KeeperMode::OneId {
            reason: "the user namespace this runs in has one id; start it in one with more".to_owned(),
        },
        (uids, gids) => KeeperMode::SubIds { uids, gids },
    }
}

/// Gives the keeper's user namespace all ids of ours: root of a container may.
fn map_same_ids(child_id: u32) -> KeeperMode {
    let copy = |name: &str| -> io::Result<u32> {
        let ranges = sub_ids::inside_ranges(&fs_err::read_to_string(format!("/proc/self/{name}"))?);
        fs_err::write(format!("/proc/{child_id}/{name}"), sub_ids::identity_map(&ranges))?;
        Ok(sub_ids::highest(&ranges))
    };
    match copy("uid_map").and_then(|uids| Ok((uids, copy("gid_map")?))) {
        Ok((uids, gids)) => KeeperMode::SubIds { uids, gids },
        Err(error) => KeeperMode::OneId { reason: format!("the ids of this container cannot be mapped: {error}") },
    }
}

fn tell_control<T: Serialize>(control: &OwnedFd, word: &T) -> Result<(), ExecutorError> {
    let bytes = serde_json::to_vec(word).map_err(|error| ExecutorError::Protocol { what: error.to_string() })?;
    channel::send_bytes(control.as_fd(), &bytes, &[]).map_err(|error| early_end(&error))
}

fn hear_control(control: &OwnedFd) -> Result<Ready, ExecutorError> {
    let mut buffer = vec![0; CONTROL_BYTES_MAX];
    let (count, _) = channel::receive_bytes(control.as_fd(), &mut buffer).map_err(|error| early_end(&error))?;
    if count == 0 {
        return Err(early_end(&io::ErrorKind::BrokenPipe.into()));
    }
    serde_json::from_slice(&buffer[..count]).map_err(|error| ExecutorError::Protocol { what: error.to_string() })
}

/// A keeper that ends before it serves is most likely none.
fn early_end(error: &io::Error) -> ExecutorError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ExecutorError::KeeperGone {
            how: "it ended before it was ready; the program must call run_if_keeper first thing in main".to_owned(),
        },
        _ => ExecutorError::io("talk to", "the keeper", error),
    }
}
