//! In: a step, its descriptors, the request's socket. Out: the step run to its end, its stub files gone. Never: a step that goes on after its request is gone.
//!
//! This is the worker's part. It mounts what must be mounted with the keeper's rights, forks the sandbox's first process (`init.rs`), which builds the
//! sandbox around itself and forks the program, and watches both the step and the request.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crossdock_llb::{Network, Security};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Mode;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use rustix::process::{Pid, Signal};
use rustix::thread::UnshareFlags;

use super::follow::{Follower, Following, cannot_follow, emulators};
use super::init::{Init, InitWord};
use super::mounts::{Place, refused, tighten_at};
use super::plan::{HOSTS, RESOLV_CONF, file_name};
use super::program::ProgramWord;
use super::spec::{DEFAULT_HOSTNAME, ExecOutcome, ExecSpec, MountSource};
use super::target::{Root, Stub};
use super::{network_files, overlay};
use crate::error::ExecutorError;
use crate::keeper::blocked::{HostFacts, RefusedCall, diagnose};
use crate::keeper::{Command, Context, Reply, channel, die_with_parent, sub_ids};
use crate::kernel::process::{self, Fork, Usage};

/// Runs a step to its end.
///
/// # Errors
/// As `Keeper::exec` and `Running::wait` say.
pub(crate) fn run(
    spec: &ExecSpec,
    descriptors: Vec<OwnedFd>,
    stream: &UnixStream,
    context: &Context,
) -> Result<ExecOutcome, ExecutorError> {
    let stdio: [OwnedFd; 3] = descriptors
        .try_into()
        .map_err(|_| ExecutorError::Protocol { what: "a step without its three descriptors".to_owned() })?;
    let place = Place::new(context.place.clone());
    prepare(spec, &place, context)?;
    // Held from before the step on, so that its stub files can be removed whatever it mounts and links.
    let root = Root::open(&place.root()).map_err(|error| ExecutorError::io("open", "the root", &error))?;
    let sandbox = spawn(spec, &place, stdio)?;
    let (outcome, stubs) = sandbox.watch(stream);
    root.remove_stubs(&stubs, spec.remove_mount_stubs_recursive);
    drop(root);
    // The caller goes on to compare the upper directory: its overlay should be gone by then.
    let _ = unmount(place.root(), UnmountFlags::DETACH);
    outcome
}

/// Makes the pieces of the sandbox in a mount namespace of this worker's own.
fn prepare(spec: &ExecSpec, place: &Place, context: &Context) -> Result<(), ExecutorError> {
    let fail = |subject: &str, error: io::Error| ExecutorError::io("prepare", subject, &error);
    process::unshare(UnshareFlags::NEWNS).map_err(|error| fail("a mount namespace", error))?;
    rustix::process::umask(Mode::empty());
    mount("tmpfs", &context.place, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=700")
        .map_err(|error| fail("a place for mounts", error.into()))?;
    for directory in [place.root(), place.empty(), place.binfmt()] {
        rustix::fs::mkdirat(rustix::fs::CWD, &directory, Mode::from_raw_mode(0o755))
            .map_err(|error| fail("a place for mounts", error.into()))?;
    }
    let empty = place.empty();
    mount_bind(&empty, &empty).map_err(|error| fail("an empty directory", error.into()))?;
    tighten_at(&empty.to_string_lossy(), MountFlags::RDONLY, false)
        .map_err(|error| fail("an empty directory", error))?;
    let hostname = if spec.hostname.is_empty() { DEFAULT_HOSTNAME } else { &spec.hostname };
    let text = network_files::hosts(hostname, &spec.extra_hosts);
    write_file(place, HOSTS, text.as_bytes(), 0o644)?;
    write_file(place, RESOLV_CONF, network_files::resolv_conf(spec.network).as_bytes(), 0o644)?;
    overlay::mount_root(&spec.root, &place.root(), &place.scratch("root"), context.userxattr)?;
    if spec.security == Security::Sandbox {
        // Nodes a step makes, or an image holds, open nothing: see `devices.rs`.
        tighten_at(&place.root().to_string_lossy(), MountFlags::NODEV, true)
            .map_err(|error| fail("the root", error))?;
    }
    if let Some(emulator) = spec.emulator.as_ref().filter(|_| spec.is_followed()) {
        prepare_following(place, emulator.qemu.as_path())?;
    }
    for (index, wanted) in spec.mounts.iter().enumerate() {
        match &wanted.source {
            MountSource::Tree { root, .. } => {
                let tree = place.tree(index);
                fs_err::create_dir(&tree).map_err(|error| fail(&wanted.dest, error))?;
                overlay::mount_root(root, &tree, &place.scratch(&format!("tree-{index}")), context.userxattr)?;
            }
            MountSource::File { data, uid, gid, mode } => {
                let name = file_name(index);
                write_file(place, &name, data, *mode)?;
                let (uid, gid) = (rustix::process::Uid::from_raw(*uid), rustix::process::Gid::from_raw(*gid));
                rustix::fs::chown(place.file(&name), Some(uid), Some(gid))
                    .map_err(|error| fail(&wanted.dest, error.into()))?;
            }
            MountSource::Host(_) | MountSource::Tmpfs { .. } | MountSource::Memory { .. } => {}
        }
    }
    Ok(())
}

/// What a followed step needs: its emulators, and for the worker a /proc that knows the step's processes by the worker's numbers.
fn prepare_following(place: &Place, qemu: &std::path::Path) -> Result<(), ExecutorError> {
    let fail = |subject: &str, error: io::Error| ExecutorError::io("prepare", subject, &error);
    let (emulators, proc) = (place.emulators(), place.proc());
    fs_err::create_dir(&emulators).and_then(|()| fs_err::create_dir(&proc)).map_err(|error| fail("a place", error))?;
    emulators::prepare(&emulators, qemu).map_err(|error| fail(&qemu.display().to_string(), error))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", &proc, "proc", flags, None).map_err(|error| refused("proc", "/proc", error))
}

fn write_file(place: &Place, name: &str, data: &[u8], mode: u32) -> Result<(), ExecutorError> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = place.file(name);
    fs_err::write(&path, data)
        .and_then(|()| fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)))
        .map_err(|error| ExecutorError::io("write", name, &error))
}

/// The sandbox's processes, as the worker sees them.
struct Sandbox {
    /// The first process, or the one that parents it in another user namespace.
    child: Pid,
    link: UnixStream,
    report: UnixStream,
    /// How to follow the step, until it is; then the follower.
    following: Option<Following>,
    follower: Option<Follower>,
}

/// Forks the sandbox's first process into its namespaces and lets it begin.
fn spawn(spec: &ExecSpec, place: &Place, stdio: [OwnedFd; 3]) -> Result<Sandbox, ExecutorError> {
    let fail = |error: io::Error| ExecutorError::io("start", "a sandbox", &error);
    let (link, far_link) = UnixStream::pair().map_err(fail)?;
    let (report, far_report) = UnixStream::pair().map_err(fail)?;
    let mut namespaces = UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if spec.network == Network::None {
        namespaces |= UnshareFlags::NEWNET;
    }
    let nested = spec.is_nested();
    let following = following(spec, place).map_err(fail)?;
    let ticket = following.as_ref().map_or(0, |following| following.ticket);
    if !nested {
        process::unshare(namespaces).map_err(fail)?;
    }
    match process::fork().map_err(fail)? {
        Fork::Child => {
            drop((link, report));
            let init = Init { spec, place, link: far_link, programs: Some((far_report, stdio)), ticket };
            if nested { enter_user_namespace(init, namespaces) } else { init.live() }
        }
        Fork::Parent(child) => {
            drop((far_link, far_report, stdio));
            let sandbox = Sandbox { child, link, report, following, follower: None };
            if nested && let Err(error) = sandbox.map_same_ids() {
                let _ = rustix::process::kill_process(child, Signal::KILL);
                let _ = process::wait_for(child);
                return Err(error);
            }
            channel::send(&sandbox.link, &(), &[]).map_err(fail)?;
            Ok(sandbox)
        }
    }
}

/// How the step is followed, if it is.
fn following(spec: &ExecSpec, place: &Place) -> io::Result<Option<Following>> {
    let Some(emulator) = spec.emulator.as_ref().filter(|_| spec.is_followed()) else { return Ok(None) };
    let mut ticket = [0; 4];
    // Nobody else should guess it, and nothing is lost when somebody does: a descriptor of the emulator.
    io::Read::read_exact(&mut fs_err::File::open("/dev/urandom")?, &mut ticket)?;
    Ok(Some(Following {
        proc: place.proc(),
        emulators: place.emulators(),
        qemu: emulator.qemu.as_path().to_owned(),
        architecture: emulator.architecture.clone(),
        ticket: u32::from_ne_bytes(ticket),
    }))
}

/// The life of the process between worker and first process: a user namespace is entered before the namespaces it shall own.
fn enter_user_namespace(init: Init<'_>, namespaces: UnshareFlags) -> ! {
    die_with_parent();
    let entered = process::unshare(namespaces | UnshareFlags::NEWUSER | UnshareFlags::NEWNS);
    let errno = entered.as_ref().err().map(|error| error.raw_os_error().unwrap_or(libc::EIO));
    let told = channel::send(&init.link, &errno, &[]);
    if errno.is_some() || told.is_err() || !matches!(channel::receive::<()>(&init.link), Ok(Some(_))) {
        process::exit_now(1);
    }
    match process::fork() {
        Ok(Fork::Child) => init.live(),
        Ok(Fork::Parent(child)) => {
            // What this process holds open would hide the step's end.
            drop(init);
            process::exit_now(i32::from(process::wait_for(child).is_err()))
        }
        Err(_) => process::exit_now(1),
    }
}

impl Sandbox {
    /// Gives the step's user namespace the same ids as ours: files keep their owners, and setting them works.
    fn map_same_ids(&self) -> Result<(), ExecutorError> {
        match channel::receive::<Option<i32>>(&self.link) {
            Ok(Some((None, _))) => {}
            Ok(Some((Some(errno), _))) => {
                return Err(diagnose(RefusedCall::UnshareUser, errno, &HostFacts::probe()).into());
            }
            _ => return Err(ExecutorError::WorkerDied { request: "a sandbox".to_owned() }),
        }
        for name in ["uid_map", "gid_map"] {
            let fail = |error: io::Error| ExecutorError::io("map the ids of", "the step", &error);
            let ranges = sub_ids::inside_ranges(&fs_err::read_to_string(format!("/proc/self/{name}")).map_err(fail)?);
            fs_err::write(
                format!("/proc/{}/{name}", outer_id(self.child).map_err(fail)?),
                sub_ids::identity_map(&ranges),
            )
            .map_err(fail)?;
        }
        channel::send(&self.link, &(), &[]).map_err(|error| ExecutorError::io("start", "a sandbox", &error))
    }

    /// Waits for the end of the step, or of the interest in it. Gives back the outcome and the stub files.
    fn watch(mut self, stream: &UnixStream) -> (Result<ExecOutcome, ExecutorError>, Vec<Stub>) {
        let mut stubs = Vec::new();
        let outcome = self.converse(stream, &mut stubs);
        let ended = match self.follower.take() {
            Some(follower) => follower.finish(),
            None => process::wait_for(self.child),
        };
        let outcome = outcome.and_then(|status| match ended {
            Ok(usage) => Ok(outcome_of(status, &usage)),
            Err(error) => Err(ExecutorError::io("wait for", "the sandbox", &error)),
        });
        (outcome, stubs)
    }

    /// Waits until the program runs; begins to follow it when it is to be followed.
    fn hear_program(&mut self, program: &OwnedFd) -> Result<(), ExecutorError> {
        let fail = |error: io::Error| ExecutorError::io("hear from", "the step", &error);
        loop {
            wait(self.follower.as_mut(), &[self.report.as_fd()]).map_err(fail)?;
            match channel::receive::<ProgramWord>(&self.report).map_err(fail)? {
                None => return Ok(()),
                Some((ProgramWord::Failed(error), _)) => return Err(error),
                Some((ProgramWord::Waiting, descriptors)) => {
                    let following = self.following.take().ok_or_else(|| fail(io::ErrorKind::InvalidInput.into()))?;
                    let listener = descriptors.into_iter().next();
                    let follower = Follower::seize(following, program, listener, self.child);
                    self.follower = Some(follower.map_err(|error| cannot_follow(&error))?);
                    channel::send(&self.report, &(), &[]).map_err(fail)?;
                }
            }
        }
    }

    fn converse(&mut self, stream: &UnixStream, stubs: &mut Vec<Stub>) -> Result<i32, ExecutorError> {
        let died = || ExecutorError::WorkerDied { request: "a sandbox".to_owned() };
        let (first, program, terminal) = match channel::receive::<InitWord>(&self.link) {
            Ok(Some((InitWord::Forked { stubs: made }, descriptors))) => {
                *stubs = made;
                let mut descriptors = descriptors.into_iter();
                (descriptors.next().ok_or_else(died)?, descriptors.next().ok_or_else(died)?, descriptors.next())
            }
            Ok(Some((InitWord::Failed { error, stubs: made }, _))) => {
                *stubs = made;
                return Err(error);
            }
            _ => return Err(died()),
        };
        if let Err(error) = self.hear_program(&program) {
            // A program that is not followed would wait for ever.
            let _ = rustix::process::pidfd_send_signal(&first, Signal::KILL);
            return Err(error);
        }
        let terminal_descriptor: Vec<_> = terminal.iter().map(|descriptor| descriptor.as_fd()).collect();
        let told = channel::send(stream, &Reply::Started, &terminal_descriptor);
        drop(terminal);
        if told.is_err() {
            return cancel(&first);
        }
        loop {
            let watched = [self.link.as_fd(), stream.as_fd()];
            let events = match wait(self.follower.as_mut(), &watched) {
                Ok(events) => events,
                Err(error) => {
                    let _ = cancel(&first);
                    return Err(ExecutorError::io("watch", "the step", &error));
                }
            };
            let [step, request] = [events[0], events[1]];
            if !step.is_empty() {
                return match channel::receive::<InitWord>(&self.link) {
                    Ok(Some((InitWord::Ended { status }, _))) => Ok(status),
                    _ => Err(died()),
                };
            }
            if !request.is_empty() {
                match channel::receive::<Command>(stream) {
                    Ok(Some((Command::Signal(number), _))) => {
                        if let Some(signal) = Signal::from_named_raw(number) {
                            let _ = rustix::process::pidfd_send_signal(&program, signal);
                        }
                    }
                    _ => return cancel(&first),
                }
            }
        }
    }
}

/// Waits until one of the descriptors has something to say, following the step meanwhile.
fn wait(follower: Option<&mut Follower>, watched: &[BorrowedFd<'_>]) -> io::Result<Vec<PollFlags>> {
    match follower {
        Some(follower) => follower.wait(watched),
        None => {
            let mut list: Vec<PollFd<'_>> =
                watched.iter().map(|one| PollFd::from_borrowed_fd(*one, PollFlags::IN)).collect();
            rustix::io::retry_on_intr(|| poll(&mut list, None))?;
            Ok(list.iter().map(PollFd::revents).collect())
        }
    }
}

/// Ends the sandbox: with its first process the kernel ends all of it.
fn cancel(first: &OwnedFd) -> Result<i32, ExecutorError> {
    let _ = rustix::process::pidfd_send_signal(first, Signal::KILL);
    Err(ExecutorError::Cancelled)
}

/// A child's number as this /proc, which belongs to an outer pid namespace, knows it.
fn outer_id(child: Pid) -> io::Result<String> {
    use std::os::fd::AsRawFd as _;
    let descriptor = rustix::process::pidfd_open(child, rustix::process::PidfdFlags::empty())?;
    let text = fs_err::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd()))?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:")).map(str::trim);
    number.map(str::to_owned).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn outcome_of(status: i32, usage: &Usage) -> ExecOutcome {
    let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
    let code = signal.map_or_else(|| libc::WEXITSTATUS(status), |signal| 128 + signal);
    ExecOutcome { code, signal, cpu_us: usage.cpu_us, max_rss_bytes: usage.max_rss_bytes }
}
