//! In: requests of the program's threads. Out: their results. Never: a keeper before the first request needs one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::channel;
use super::launch::{self, Started};
use super::request::{
    Applied, ApplyRequest, DiffReport, DiffRequest, ExportRequest, KeeperMode, LookRequest, Looked, PackRequest,
    ReadFileRequest, Reply, Request, WalkRequest,
};
use super::running::{ExecStdio, Running, next_reply, unexpected};
use crate::cancel::{Cancel, Watch};
use crate::error::ExecutorError;
use crate::host_path::HostPath;
use crate::sandbox::{EmulatorMeans, ExecSpec};

/// How a keeper is started.
#[derive(Debug, Clone)]
pub struct KeeperOptions {
    /// The state directory. It must exist; a directory `keeper` is made in it as the place for private mounts.
    pub state_root: PathBuf,
    /// The program to execute as the keeper, which must call [`super::run_if_keeper`] first thing in `main`; `None` is the running program.
    pub program: Option<PathBuf>,
    /// Pretend that there are no sub-ids. For tests.
    pub one_id: bool,
}

impl KeeperOptions {
    /// The running program over a state directory.
    pub fn new(state_root: impl Into<PathBuf>) -> Self {
        Self { state_root: state_root.into(), program: None, one_id: false }
    }
}

/// The program's side of the keeper; cheap to clone, usable from many threads at once. The last one dropped ends the process.
#[derive(Debug, Clone)]
pub struct Keeper(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: KeeperOptions,
    started: Mutex<Option<Started>>,
}

impl Keeper {
    /// A keeper that starts when the first request needs it.
    pub fn new(options: KeeperOptions) -> Self {
        Self(Arc::new(Shared { options, started: Mutex::new(None) }))
    }

    /// A keeper that runs.
    ///
    /// # Errors
    /// `Blocked` with the fix when this host forbids the namespaces, `StartKeeper` otherwise.
    pub fn start(options: &KeeperOptions) -> Result<Self, ExecutorError> {
        let keeper = Self::new(options.clone());
        keeper.mode()?;
        Ok(keeper)
    }

    /// Whose rights the keeper has. Starts it when needed.
    ///
    /// # Errors
    /// As [`Keeper::start`].
    pub fn mode(&self) -> Result<KeeperMode, ExecutorError> {
        self.with_started(|started| Ok(started.mode.clone()))
    }

    /// Whether a keeper process was started.
    pub fn is_started(&self) -> bool {
        self.0.started.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Asks for nothing.
    ///
    /// # Errors
    /// When the keeper cannot answer.
    pub fn ping(&self, cancel: &Cancel) -> Result<(), ExecutorError> {
        match self.call(&Request::Ping, &[], cancel)?.0 {
            Reply::Pong => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Unpacks a layer from a descriptor (a file or a pipe; compressed or not) into a directory that exists.
    ///
    /// # Errors
    /// `Layer` for a bad tar, `Io` for the disk, `Cancelled`.
    pub fn apply(&self, request: &ApplyRequest, layer: impl AsFd, cancel: &Cancel) -> Result<Applied, ExecutorError> {
        match self.call(&Request::Apply(request.clone()), &[layer.as_fd()], cancel)?.0 {
            Reply::Applied(applied) => Ok(applied),
            other => Err(unexpected(&other)),
        }
    }

    /// Writes the difference as a deterministic tar to a descriptor (a file or a pipe that another thread reads).
    ///
    /// # Errors
    /// `Layer`, `Io`, `Cancelled`.
    pub fn diff(&self, request: &DiffRequest, out: impl AsFd, cancel: &Cancel) -> Result<DiffReport, ExecutorError> {
        match self.call(&Request::Diff(request.clone()), &[out.as_fd()], cancel)?.0 {
            Reply::Diffed(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    /// Writes the encoded listing of a directory in overlay format to a descriptor.
    ///
    /// # Errors
    /// `Layer`, `Io`, `Cancelled`.
    pub fn walk(&self, request: &WalkRequest, out: impl AsFd, cancel: &Cancel) -> Result<(), ExecutorError> {
        self.call_done(&Request::Walk(request.clone()), &[out.as_fd()], cancel)
    }

    /// Writes the merged tree as one tar to a descriptor.
    ///
    /// # Errors
    /// `Layer`, `Io`, `Cancelled`.
    pub fn export(&self, request: &ExportRequest, out: impl AsFd, cancel: &Cancel) -> Result<(), ExecutorError> {
        self.call_done(&Request::Export(request.clone()), &[out.as_fd()], cancel)
    }

    /// Opens a regular file of a merged tree; `None` when there is none of that name.
    ///
    /// # Errors
    /// `Io`, `Cancelled`.
    pub fn read_file(
        &self,
        request: &ReadFileRequest,
        cancel: &Cancel,
    ) -> Result<Option<std::fs::File>, ExecutorError> {
        match self.call(&Request::ReadFile(request.clone()), &[], cancel)? {
            (Reply::Opened { found: false }, _) => Ok(None),
            (Reply::Opened { found: true }, descriptors) => match descriptors.into_iter().next() {
                Some(descriptor) => Ok(Some(std::fs::File::from(descriptor))),
                None => Err(ExecutorError::Protocol { what: "a file without its descriptor".to_owned() }),
            },
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// What a path of a merged tree leads to; `None` when nothing is there.
    ///
    /// # Errors
    /// `Io`, `Cancelled`.
    pub fn look(&self, request: &LookRequest, cancel: &Cancel) -> Result<Option<Looked>, ExecutorError> {
        match self.call(&Request::Look(request.clone()), &[], cancel)?.0 {
            Reply::Looked(looked) => Ok(looked),
            other => Err(unexpected(&other)),
        }
    }

    /// Writes an object of a merged tree with all beneath it as a tar to a descriptor.
    ///
    /// # Errors
    /// `Layer`, `Io`, `Cancelled`.
    pub fn pack(&self, request: &PackRequest, out: impl AsFd, cancel: &Cancel) -> Result<(), ExecutorError> {
        self.call_done(&Request::Pack(request.clone()), &[out.as_fd()], cancel)
    }

    /// Tries whether overlays work over this directory of snapshots: some file systems (another overlay, for one) cannot be written to through one.
    ///
    /// # Errors
    /// `Layer` with the kernel's reason.
    pub fn probe_overlay(&self, snapshots: &Path, cancel: &Cancel) -> Result<(), ExecutorError> {
        self.call_done(&Request::Probe { snapshots: HostPath::from(snapshots) }, &[], cancel)
    }

    /// Makes an empty active snapshot: `directory/fs` and `directory/work`.
    ///
    /// # Errors
    /// `Io`.
    pub fn prepare(&self, directory: &Path, cancel: &Cancel) -> Result<(), ExecutorError> {
        self.call_done(&Request::Prepare { directory: HostPath::from(directory) }, &[], cancel)
    }

    /// Turns an active snapshot into a committed one: `directory/work` goes.
    ///
    /// # Errors
    /// `Io`.
    pub fn commit(&self, directory: &Path, cancel: &Cancel) -> Result<(), ExecutorError> {
        self.call_done(&Request::Commit { directory: HostPath::from(directory) }, &[], cancel)
    }

    /// Deletes a directory with all that is in it, whoever owns it. One that is not there is no error.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove(&self, directory: &Path, cancel: &Cancel) -> Result<(), ExecutorError> {
        self.call_done(&Request::Remove { directory: HostPath::from(directory) }, &[], cancel)
    }

    /// Starts a step in a sandbox. Returns when its program runs (its `execve` has succeeded).
    ///
    /// # Errors
    /// `ExecFailed` when the program does not start, `NoSuchId` for its user, `Io`, `Cancelled`.
    pub fn exec(&self, spec: &ExecSpec, stdio: ExecStdio, cancel: &Cancel) -> Result<Running, ExecutorError> {
        let null = fs_err::OpenOptions::new().read(true).write(true).open("/dev/null");
        let null = null.map_err(|error| ExecutorError::io("open", "/dev/null", &error))?;
        let descriptors: Vec<BorrowedFd<'_>> = [&stdio.stdin, &stdio.stdout, &stdio.stderr]
            .map(|descriptor| descriptor.as_ref().map_or_else(|| null.as_fd(), AsFd::as_fd))
            .to_vec();
        let begun = match self.begin(spec, &descriptors, cancel) {
            Err(error) if error.denies_private() => match spec.emulator.clone() {
                Some(mut emulator) if emulator.means == EmulatorMeans::PrivateOrTrace => {
                    emulator.means = EmulatorMeans::Trace;
                    let followed = ExecSpec { emulator: Some(emulator), ..spec.clone() };
                    self.begin(&followed, &descriptors, cancel)
                }
                _ => Err(error),
            },
            begun => begun,
        };
        // The step has copies; held here, they would hide its end from who reads.
        drop(stdio);
        begun
    }

    fn begin(
        &self,
        spec: &ExecSpec,
        descriptors: &[BorrowedFd<'_>],
        cancel: &Cancel,
    ) -> Result<Running, ExecutorError> {
        let (stream, watch) = self.send(&Request::Exec(Box::new(spec.clone())), descriptors, cancel)?;
        match next_reply(&stream, &watch, "a step")? {
            (Reply::Started, descriptors) => Ok(Running { stream, watch, terminal: descriptors.into_iter().next() }),
            (other, _) => Err(unexpected(&other)),
        }
    }

    fn call_done(
        &self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
        cancel: &Cancel,
    ) -> Result<(), ExecutorError> {
        match self.call(request, descriptors, cancel)?.0 {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn call(
        &self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
        cancel: &Cancel,
    ) -> Result<(Reply, Vec<OwnedFd>), ExecutorError> {
        let (stream, watch) = self.send(request, descriptors, cancel)?;
        next_reply(&stream, &watch, request.name())
    }

    fn send(
        &self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
        cancel: &Cancel,
    ) -> Result<(UnixStream, Watch), ExecutorError> {
        if cancel.is_cancelled() {
            return Err(ExecutorError::Cancelled);
        }
        let socket_error = |error: io::Error| ExecutorError::io("open", "a socket to the keeper", &error);
        let (ours, theirs) = UnixStream::pair().map_err(socket_error)?;
        let watch = cancel.watch(&ours).map_err(socket_error)?;
        self.with_started(|started| started.hand_over(&theirs, request))?;
        drop(theirs);
        match channel::send(&ours, request, descriptors) {
            Ok(()) => Ok((ours, watch)),
            Err(_) if watch.is_cancelled() => Err(ExecutorError::Cancelled),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                Err(ExecutorError::Protocol { what: error.to_string() })
            }
            Err(_) => Err(ExecutorError::WorkerDied { request: request.name().to_owned() }),
        }
    }

    fn with_started<T>(&self, use_it: impl FnOnce(&Started) -> Result<T, ExecutorError>) -> Result<T, ExecutorError> {
        let mut started = self.0.started.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *started {
            Some(running) => use_it(running),
            none => use_it(none.insert(launch::launch(&self.0.options)?)),
        }
    }
}
