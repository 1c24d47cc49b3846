//! In: a container and the streams of whoever starts it. Out: its process, watched to its end by this program; its log. Never: a container that outlives the process that runs it.

use std::fs::File;
use std::io::{Read as _, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossdock_build::{BuildError, PreparedImage};
use crossdock_content::Lease;
use crossdock_executor::keeper::{ApplyRequest, ExecStdio, Layers, Running, TreeFormat};
use crossdock_executor::sandbox::{TerminalSize, UpperSpec};
use crossdock_executor::{ExecFailure, ExecutorError, HostPath, KeeperMode};
use crossdock_oci::Timestamp;
use crossdock_progress::Progress;

use crate::log::{Lines, Logger};
use crate::privileged::host_mounts;
use crate::state::{State, Status};
use crate::store::{Container, Containers, Held};
use crate::{ContainerError, control};

/// A container that this program runs. Dropping it ends the container.
pub struct Live {
    container: Container,
    containers: Containers,
    running: Arc<Running>,
    terminal: Option<OwnedFd>,
    state: State,
    held: Held,
    _lease: Lease,
}

impl Containers {
    /// Starts a container; this program runs it from now on. `about_to_run` is called when nothing but the program's start
    /// is left to be done.
    ///
    /// # Errors
    /// When it runs already, its image cannot be prepared, or its program does not start.
    pub fn start(
        &self,
        container: &Container,
        stdio: ExecStdio,
        terminal: Option<TerminalSize>,
        progress: &Progress,
        about_to_run: &dyn Fn(),
    ) -> Result<Live, ContainerError> {
        let runs = || ContainerError::RunsAlready { name: container.config.name.clone() };
        let held = container.try_lock()?.ok_or_else(runs)?;
        held.forget_end()?;
        let container = container.again()?;
        let lease = self.engine.store().lease()?;
        let mut state = State {
            status: Status::Running,
            pid: std::process::id(),
            started: Some(Timestamp::now()),
            ..State::default()
        };
        container.write_state(&state)?;
        let started = self.prepare(&container, &lease, progress);
        let started = started.and_then(|image| {
            about_to_run();
            self.exec(&container, &image, stdio, terminal)
        });
        let mut running = match started {
            Ok(running) => running,
            Err(error) => {
                // As with Docker, a container that could not start is one that was made.
                let (exit_code, text) = (start_code(&error), error.to_string());
                container.write_state(&State { exit_code, error: text, ..State::default() })?;
                return Err(error);
            }
        };
        state.started = Some(Timestamp::now());
        container.write_state(&state)?;
        let terminal = running.take_terminal();
        let running = Arc::new(running);
        let listening = control::listen(&container.directory, &running, self.unpacker());
        listening.map_err(|source| ContainerError::Control { name: container.config.name.clone(), source })?;
        Ok(Live { container, containers: self.clone(), running, terminal, state, held, _lease: lease })
    }

    /// Unpacks into the files of a container that this program runs: through the root its program has, by the
    /// keeper that made it, whose rights reach there.
    fn unpacker(&self) -> control::Unpack {
        let (keeper, cancel) = (self.engine.keeper().clone(), self.engine.stopping().clone());
        Box::new(move |stream| {
            let first = inside(std::process::id()).ok_or("its program is not found")?;
            let request = ApplyRequest {
                dest: HostPath::from(format!("/proc/{first}/root/.")),
                lowers: Layers::default(),
                format: TreeFormat::Plain,
            };
            keeper.apply(&request, stream, &cancel).map(|_| ()).map_err(|error| error.to_string())
        })
    }

    fn prepare(
        &self,
        container: &Container,
        lease: &Lease,
        progress: &Progress,
    ) -> Result<PreparedImage, ContainerError> {
        let image = self.engine.prepare(&container.config.image, lease, progress)?;
        // Layers that were merged for the last start, on old kernels.
        self.engine.keeper().remove(&container.directory.join("rw/flat"), self.engine.stopping())?;
        Ok(image)
    }

    fn exec(
        &self,
        container: &Container,
        image: &PreparedImage,
        stdio: ExecStdio,
        terminal: Option<TerminalSize>,
    ) -> Result<Running, ContainerError> {
        let config = &container.config;
        let upper = UpperSpec { fs: HostPath::from(container.upper()), work: HostPath::from(container.work()) };
        let mut request = config.request.clone();
        request.terminal = request.terminal.map(|made| terminal.unwrap_or(made));
        if config.privileged && matches!(self.engine.keeper().mode()?, KeeperMode::Root) {
            let own: Vec<_> = request.mounts.iter().map(|mount| mount.dest.clone()).collect();
            request.mounts.extend(host_mounts().into_iter().filter(|mount| !own.contains(&mount.dest)));
        }
        Ok(self.engine.exec_in(image, Some(upper), &request, stdio)?)
    }
}

/// A process in the root of the container that a program runs: of all that descend from it, the child of number 1 of the
/// innermost namespace of processes.
fn inside(program: u32) -> Option<u32> {
    let mut parents = Vec::new();
    for entry in fs_err::read_dir("/proc").ok()?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(text) = fs_err::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let parent = field("PPid:").and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
        let numbers: Vec<u32> =
            field("NSpid:").unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect();
        parents.push((pid, parent, numbers));
    }
    let mut family = vec![program];
    let mut at = 0;
    while let Some(&one) = family.get(at) {
        family.extend(parents.iter().filter(|(_, parent, _)| *parent == one).map(|(pid, ..)| *pid));
        at += 1;
    }
    let (first, ..) = parents
        .iter()
        .filter(|(pid, _, numbers)| family.contains(pid) && numbers.last() == Some(&1))
        .max_by_key(|(_, _, numbers)| numbers.len())?;
    // The first process is a copy of the keeper and closed to everybody; its program, in the same root, is not.
    let program = parents.iter().find(|(_, parent, _)| parent == first);
    Some(program.map_or(*first, |(pid, ..)| *pid))
}

/// The exit code Docker gives a container that did not start for another reason than its program.
const NOT_STARTED: i32 = 128;

/// The exit code Docker gives a container that did not start.
fn start_code(error: &ContainerError) -> i32 {
    let error = match error {
        ContainerError::Executor(error) => error,
        ContainerError::Engine(error) => match &**error {
            BuildError::Executor(error) => error,
            _ => return NOT_STARTED,
        },
        _ => return NOT_STARTED,
    };
    let ExecutorError::ExecFailed { reason, .. } = error else { return NOT_STARTED };
    match reason {
        ExecFailure::NotInPath | ExecFailure::Stat { .. } => 127,
        _ => 126,
    }
}

impl Live {
    /// The container.
    pub const fn container(&self) -> &Container {
        &self.container
    }

    /// The terminal's controlling side; given out once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// The running process, for signals.
    pub fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running)
    }

    /// Waits for the container's end and remembers it; then calls `finish` (to empty pipes into the log), lets go of the
    /// container and removes it when that was asked for.
    ///
    /// # Errors
    /// When the end cannot be remembered, or the container not be removed.
    pub fn wait(mut self, finish: impl FnOnce()) -> Result<i32, ContainerError> {
        let outcome = self.running.wait();
        finish();
        let (code, cancelled) = match outcome {
            Ok(outcome) => (outcome.code, None),
            Err(error) => (crate::state::UNSEEN_END, Some(error)),
        };
        self.state.status = Status::Exited;
        self.state.finished = Some(Timestamp::now());
        self.state.exit_code = code;
        if let Some(error) = &cancelled {
            self.state.error = error.to_string();
        }
        self.container.write_state(&self.state)?;
        // Before it is removed: who waits for it reads this afterwards, too.
        self.held.tell_end(&self.state)?;
        if self.container.config.auto_remove {
            self.remove_afterwards();
        }
        drop(self.held);
        match cancelled {
            Some(error) if !matches!(error, ExecutorError::Cancelled) => Err(error.into()),
            _ => Ok(code),
        }
    }

    fn remove_afterwards(&self) {
        let removed = self.containers.remove_files(&self.container);
        // After Ctrl-C nothing more is asked of this keeper; a fresh engine has another.
        if removed.is_err()
            && let Ok(engine) = crossdock_build::Engine::open(&crossdock_build::EngineOptions {
                state: self.containers.engine.store().root().to_owned(),
            })
        {
            let _ = Containers::new(&engine).remove_files(&self.container);
        }
    }
}

/// Carries one stream of a container to its log, and on to somebody who looks on.
pub struct Pump(JoinHandle<()>);

impl Pump {
    /// Reads until the stream ends. When nobody takes what `onward` gets, the stream is closed, as a pipe is.
    pub fn start(
        source: OwnedFd,
        stream: &'static str,
        logger: Option<Arc<Logger>>,
        mut onward: Option<Box<dyn Write + Send>>,
    ) -> Self {
        Self(std::thread::spawn(move || {
            let mut source = File::from(source);
            let mut buffer = vec![0; 32 << 10];
            let mut lines = Lines::default();
            // A terminal's other side is gone with EIO.
            while let Ok(count) = source.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                let bytes = &buffer[..count];
                if let Some(logger) = &logger {
                    lines.take(bytes, |line| logger.add(stream, line));
                }
                if let Some(out) = &mut onward
                    && out.write_all(bytes).and_then(|()| out.flush()).is_err()
                {
                    break;
                }
            }
            if let Some(logger) = &logger {
                lines.rest(|line| logger.add(stream, line));
            }
        }))
    }

    /// Waits for the end of the stream.
    pub fn join(self) {
        let _ = self.0.join();
    }
}
