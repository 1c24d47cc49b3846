//! In: an exec op and the layers of its root. Out: a new layer of what the process changed. Never: a key, a host path in the image.

mod crash;

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use crossdock_emulation::{Host, Means};
use crossdock_executor::keeper::{ExecStdio, Layers as Directories};
use crossdock_executor::sandbox::{EmulatorMeans, EmulatorSpec, ExecOutcome, ExecSpec, RootSpec, UpperSpec};
use crossdock_executor::{Cancel, ExecutorError, HostPath, KeeperMode};
use crossdock_image::LayerId;
use crossdock_llb::{ExecOp, Vertex};
use crossdock_oci::{Platform, Timestamp, VertexDigest};
use crossdock_progress::{Event, Line, Log, Progress, Warning};

use self::crash::{Emulating, Tail, Watch};
use crate::BuildError;
use crate::perform::Steps;
use crate::result::Output;

/// Bytes of a process's output read at a time.
const LOG_READ_BYTES: usize = 32 << 10;

impl Steps {
    /// Runs a process on the layers of its root mount and keeps what it changed as a layer.
    pub(crate) fn run_exec(
        &self,
        vertex: &Vertex,
        op: &ExecOp,
        inputs: &[Output],
        cancel: &Cancel,
    ) -> Result<Output, BuildError> {
        let root = op.mounts.iter().find(|mount| mount.dest == "/");
        let stack = match root.and_then(|mount| mount.input) {
            None => Vec::new(),
            Some(input) => self.layers_of(inputs, input)?.as_ref().clone(),
        };
        let given = self.mounts(vertex, op, inputs, cancel)?;
        let platform = vertex.platform.clone().unwrap_or_else(Platform::host);
        self.warn_of_one_id(vertex)?;
        let emulator = emulator_of(&self.host, &platform)?;
        let lowers = self.directories(&stack, cancel)?;
        let id = self.store.new_snapshot(&self.lease)?;
        let directory = self.store.snapshot_root().join(&id);
        self.keeper.prepare(&directory, cancel)?;
        let upper =
            UpperSpec { fs: HostPath::from(directory.join("fs")), work: HostPath::from(directory.join("work")) };
        let mut spec = ExecSpec::new(RootSpec::Overlay { lowers, upper: Some(upper) }, op.meta.args.clone());
        fill_spec(&mut spec, op);
        spec.env.extend(given.env.iter().cloned());
        spec.mounts.clone_from(&given.mounts);
        spec.emulator = emulator.spec;
        let watch = Watch::default();
        let emulating = emulator.emulating.as_ref();
        let outcome = self.run_logged(vertex, &spec, emulating, &watch, cancel);
        drop(given);
        let finished = outcome.and_then(|outcome| check_outcome(op, &outcome, emulating, &watch));
        if let Err(error) = finished {
            // The directory belongs to the lease: what cannot be removed now goes with the next collection.
            let _ = self.keeper.remove(&directory, &Cancel::new());
            return Err(explain_exec(error, op, &platform));
        }
        let layer = LayerId::of_process(&id);
        let mut stack = stack;
        stack.push(layer.clone());
        self.unpacker.keep(&layer, &LayerId::stack_name(&stack), &id, &directory, cancel)?;
        Ok(Output::layers(stack))
    }

    pub(crate) fn directories(&self, stack: &[LayerId], cancel: &Cancel) -> Result<Directories, BuildError> {
        self.unpacker.directories(stack, &self.fetcher, &|layer| self.shown_at(layer), cancel)
    }

    /// Says once, at the first process of a build, what cannot work when there is only one id.
    fn warn_of_one_id(&self, vertex: &Vertex) -> Result<(), BuildError> {
        let KeeperMode::OneId { reason } = self.keeper.mode()? else { return Ok(()) };
        if !self.warned_of_one_id.swap(true, Ordering::Relaxed) {
            let short =
                format!("SingleId: every file of a RUN step belongs to root here, and changing owners fails: {reason}");
            self.progress.emit(Event::Warning(Warning {
                vertex: vertex.digest,
                level: 1,
                short,
                detail: Vec::new(),
                url: String::new(),
            }));
        }
        Ok(())
    }

    /// Runs a step with its output going to the step's log; an emulated one is marked by a line that shows its time.
    fn run_logged(
        &self,
        vertex: &Vertex,
        spec: &ExecSpec,
        emulating: Option<&Emulating>,
        watch: &Watch,
        cancel: &Cancel,
    ) -> Result<ExecOutcome, BuildError> {
        let begin = |emulating: &Emulating| {
            Line::begin(&self.progress, vertex.digest, &format!("emulated by {}", emulating.name))
        };
        let mark = emulating.map(begin);
        let outcome = self.run_piped(vertex, spec, emulating.map(|_| watch), cancel);
        if let Some(line) = mark {
            line.done();
        }
        outcome
    }

    fn run_piped(
        &self,
        vertex: &Vertex,
        spec: &ExecSpec,
        watch: Option<&Watch>,
        cancel: &Cancel,
    ) -> Result<ExecOutcome, BuildError> {
        let (out_read, out_write) = pipe()?;
        let (err_read, err_write) = pipe()?;
        let stdio = ExecStdio { stdin: None, stdout: Some(out_write), stderr: Some(err_write) };
        std::thread::scope(|scope| {
            let (digest, progress) = (vertex.digest, &self.progress);
            scope.spawn(move || pump(out_read, 1, digest, progress, watch));
            scope.spawn(move || pump(err_read, 2, digest, progress, watch));
            // `exec` takes the write ends; when it returns or fails they are closed here, and the readers end.
            let running = self.keeper.exec(spec, stdio, cancel)?;
            Ok(running.wait()?)
        })
    }
}

/// How programs of a platform run on this host, with the emulator's name for messages.
pub(crate) fn emulator_of(host: &Host, platform: &Platform) -> Result<Emulator, BuildError> {
    Ok(match host.choose(platform)? {
        Means::Native => Emulator { spec: None, emulating: None },
        Means::Host { entry } => {
            let found = host.table().entries.iter().find(|registered| registered.name == entry);
            let path = found.map_or_else(|| entry.clone().into(), |registered| registered.interpreter.clone());
            Emulator { spec: None, emulating: Some(Emulating { name: entry, path }) }
        }
        Means::Private(found) if host.may_trace_instead() => own_emulator(found, EmulatorMeans::PrivateOrTrace),
        Means::Private(found) => own_emulator(found, EmulatorMeans::Private),
        Means::Trace(found) => own_emulator(found, EmulatorMeans::Trace),
    })
}

fn own_emulator(found: crossdock_emulation::Emulator, means: EmulatorMeans) -> Emulator {
    let name = found.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let qemu = HostPath::from(found.path.as_path());
    let spec = EmulatorSpec { architecture: found.architecture.to_owned(), qemu, means };
    Emulator { spec: Some(spec), emulating: Some(Emulating { name, path: found.path }) }
}

/// How a platform is run.
pub(crate) struct Emulator {
    pub spec: Option<EmulatorSpec>,
    /// `None` when it runs natively.
    emulating: Option<Emulating>,
}

/// Takes a variable out of `NAME=value` pairs.
pub(crate) fn drop_variable(env: &mut Vec<String>, name: &str) {
    env.retain(|pair| pair.split('=').next() != Some(name));
}

fn fill_spec(spec: &mut ExecSpec, op: &ExecOp) {
    let meta = &op.meta;
    spec.env.clone_from(&meta.env);
    for (name, value) in &meta.proxy_env {
        for name in [name.to_uppercase(), name.to_lowercase()] {
            // As in BuildKit, they go before what the image and ARG say.
            drop_variable(&mut spec.env, &name);
            spec.env.push(format!("{name}={value}"));
        }
    }
    spec.cwd.clone_from(&meta.cwd);
    spec.user.clone_from(&meta.user);
    spec.hostname.clone_from(&meta.hostname);
    spec.extra_hosts.clone_from(&meta.extra_hosts);
    spec.network = op.network;
    spec.security = op.security;
    spec.ulimits.clone_from(&meta.ulimits);
    spec.remove_mount_stubs_recursive = meta.remove_mount_stubs_recursive;
}

fn check_outcome(
    op: &ExecOp,
    outcome: &ExecOutcome,
    emulating: Option<&Emulating>,
    watch: &Watch,
) -> Result<(), BuildError> {
    let fine = if op.meta.valid_exit_codes.is_empty() {
        outcome.code == 0
    } else {
        op.meta.valid_exit_codes.contains(&outcome.code)
    };
    if fine {
        return Ok(());
    }
    let mut text = format!("exit code: {}", outcome.code);
    if let Some(crash) = emulating.and_then(|emulating| watch.explain(outcome.code, emulating)) {
        text.push_str(&format!(" ({crash})"));
    } else if outcome.signal == Some(9) {
        text.push_str(" (killed: if nobody killed it, memory ran out)");
    }
    Err(process_error(op, text))
}

fn process_error(op: &ExecOp, outcome: String) -> BuildError {
    BuildError::Process { process: quote(&op.meta.args.join(" ")), outcome }
}

/// A text in double quotes with Go's escapes, as BuildKit prints processes.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A program that did not start is told as BuildKit tells it, with the reason.
fn explain_exec(error: BuildError, op: &ExecOp, platform: &Platform) -> BuildError {
    match error {
        BuildError::Executor(failure @ ExecutorError::ExecFailed { .. }) => {
            let hint = if failure.errno() == Some(libc_enoexec()) {
                format!(" (is the program built for {platform}?)")
            } else {
                String::new()
            };
            process_error(op, format!("{failure}{hint}"))
        }
        BuildError::Executor(failure @ (ExecutorError::NoSuchId { .. } | ExecutorError::IdOutOfRange { .. })) => {
            process_error(op, failure.to_string())
        }
        other => other,
    }
}

/// ENOEXEC, the same number on every Linux.
const fn libc_enoexec() -> i32 {
    8
}

fn pipe() -> Result<(File, OwnedFd), BuildError> {
    let (read, write) =
        std::io::pipe().map_err(|source| BuildError::Io { path: "a pipe for the step's output".to_owned(), source })?;
    Ok((File::from(OwnedFd::from(read)), OwnedFd::from(write)))
}

fn pump(mut from: File, stream: u8, vertex: VertexDigest, progress: &Progress, watch: Option<&Watch>) {
    let mut buffer = vec![0; LOG_READ_BYTES];
    let mut tail = Tail::default();
    while let Ok(got) = from.read(&mut buffer) {
        if got == 0 {
            return;
        }
        if let Some(watch) = watch {
            watch.read(&mut tail, &buffer[..got]);
        }
        progress.emit(Event::Log(Log { vertex, stream, data: buffer[..got].to_vec(), timestamp: Timestamp::now() }));
    }
}
