//! In: a container and the caller's terminal or streams. Out: the container run before the caller's eyes. Never: the terminal left in another mode.

use std::io::{IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crossdock_build::{Engine, inherited_stdio};
use crossdock_containers::{Container, Containers, Live, Logger, Pump};
use crossdock_executor::keeper::ExecStdio;
use crossdock_executor::sandbox::TerminalSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use super::super::interrupt;
use super::super::transfer::shown;
use crate::args::run::RunArgs;
use crate::error::CliError;

/// How often the caller's terminal is measured.
const SIZE_POLL: std::time::Duration = std::time::Duration::from_millis(200);

/// Exit code of a client that had to be told three times, as Docker's.
const INSISTED: u8 = 1;

/// How the caller takes part in a container.
#[derive(Debug, Clone, Copy)]
pub struct Taking {
    /// It gets the caller's input.
    pub interactive: bool,
    /// It hears the signals the caller gets, when it has no terminal.
    pub sig_proxy: bool,
    /// What it writes is seen; with a terminal it always is.
    pub stdout: bool,
    pub stderr: bool,
}

/// The streams of `--attach`, in lower case.
pub fn streams(words: &[String]) -> Result<Vec<String>, CliError> {
    let stream = |word: &String| match word.to_ascii_lowercase() {
        known if matches!(known.as_str(), "stdin" | "stdout" | "stderr") => Ok(known),
        _ => Err(CliError::Usage(format!(
            "invalid argument {word:?} for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"
        ))),
    };
    words.iter().map(stream).collect()
}

/// What the flags of `run` say of that.
pub fn taking(args: &RunArgs) -> Result<Taking, CliError> {
    let streams = streams(&args.attach)?;
    let bare = |text: &str| {
        let source = Box::new(CliError::Bare(Box::new(CliError::Usage(text.to_owned()))));
        CliError::Code { source, code: 1 }
    };
    if args.detach && !streams.is_empty() {
        return Err(bare("conflicting options: cannot specify both --attach and --detach"));
    }
    let has = |stream: &str| streams.is_empty() || streams.iter().any(|word| word == stream);
    let interactive = args.interactive && has("stdin");
    if args.tty && interactive && !args.detach && !std::io::stdin().is_terminal() {
        return Err(bare("the input device is not a TTY"));
    }
    Ok(Taking { interactive, sig_proxy: args.sig_proxy, stdout: has("stdout"), stderr: has("stderr") })
}

/// Runs a container in the foreground; gives its exit code.
pub fn foreground(engine: &Engine, container: &Container, taking: Taking) -> Result<i32, CliError> {
    let interactive = taking.interactive;
    let containers = Containers::new(engine);
    let logger = match container.config.auto_remove {
        // Nobody can ask for the log of what is gone.
        true => None,
        false => Some(Arc::new(Logger::open(&container.log_path())?)),
    };
    let code = if container.config.request.terminal.is_some() {
        let size = Some(terminal_size());
        let live = shown(true, |progress| containers.start(container, ExecStdio::default(), size, progress, &|| {}))?;
        with_terminal(live, interactive, logger)?
    } else {
        let mut stdio = inherited_stdio(interactive)?;
        for (stream, seen) in [(&mut stdio.stdout, taking.stdout), (&mut stdio.stderr, taking.stderr)] {
            stream.take_if(|_| !seen);
        }
        let pipes = logger.as_ref().map(|_| tee(&mut stdio)).transpose()?;
        let about_to_run = || {
            if taking.sig_proxy {
                interrupt::keep();
            }
        };
        let live = shown(true, |progress| containers.start(container, stdio, None, progress, &about_to_run))?;
        if taking.sig_proxy {
            interrupt::hear(&live.running());
        }
        let pumps: Vec<Pump> = match (pipes, logger) {
            (Some([out, err]), Some(logger)) => vec![
                Pump::start(out, "stdout", Some(Arc::clone(&logger)), onward(taking.stdout, std::io::stdout())),
                Pump::start(err, "stderr", Some(logger), onward(taking.stderr, std::io::stderr())),
            ],
            _ => Vec::new(),
        };
        live.wait(|| pumps.into_iter().for_each(Pump::join))?
    };
    if interrupt::insisted() {
        return Err(CliError::Exited(INSISTED));
    }
    if engine.is_cancelled() {
        return Err(CliError::Cancelled);
    }
    Ok(code)
}

/// Where a stream goes that is seen.
fn onward(seen: bool, out: impl Write + Send + 'static) -> Option<Box<dyn Write + Send>> {
    seen.then(|| Box::new(out) as Box<dyn Write + Send>)
}

/// Puts pipes in place of output and errors; gives their reading ends.
pub fn tee(stdio: &mut ExecStdio) -> Result<[OwnedFd; 2], CliError> {
    let failed = |source| CliError::File { action: "make", path: "a pipe".to_owned(), source };
    let (out, out_far) = std::io::pipe().map_err(failed)?;
    let (err, err_far) = std::io::pipe().map_err(failed)?;
    stdio.stdout = Some(out_far.into());
    stdio.stderr = Some(err_far.into());
    Ok([out.into(), err.into()])
}

pub fn terminal_size() -> TerminalSize {
    match tcgetwinsize(std::io::stdin()) {
        Ok(size) if size.ws_col > 0 => TerminalSize { rows: size.ws_row, columns: size.ws_col },
        _ => TerminalSize { rows: 24, columns: 80 },
    }
}

/// Puts the caller's terminal back when dropped.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter() -> Self {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Self(None);
        }
        let Ok(before) = tcgetattr(&stdin) else { return Self(None) };
        let mut raw = before.clone();
        raw.make_raw();
        let set = tcsetattr(&stdin, OptionalActions::Now, &raw);
        Self(set.ok().map(|()| before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Carries bytes between the caller's terminal and the container's until it ends.
fn with_terminal(mut live: Live, interactive: bool, logger: Option<Arc<Logger>>) -> Result<i32, CliError> {
    let terminal = live.take_terminal();
    let _raw = if interactive { RawTerminal::enter() } else { RawTerminal(None) };
    let failed = |source| CliError::File { action: "use", path: "the terminal".to_owned(), source };
    let pump = match terminal {
        Some(descriptor) => {
            if interactive {
                follow_size(descriptor.try_clone().map_err(failed)?);
                let mut input = std::fs::File::from(descriptor.try_clone().map_err(failed)?);
                // Ends with the program: a blocked read of the terminal cannot be interrupted.
                std::thread::spawn(move || copy(&mut std::io::stdin(), &mut input));
            }
            Some(Pump::start(descriptor, "stdout", logger, Some(Box::new(std::io::stdout()))))
        }
        None => None,
    };
    Ok(live.wait(|| {
        if let Some(pump) = pump {
            pump.join();
        }
    })?)
}

/// Keeps the container's terminal as large as the caller's, as long as the program lives.
fn follow_size(terminal: OwnedFd) {
    std::thread::spawn(move || {
        let mut known = None;
        loop {
            std::thread::sleep(SIZE_POLL);
            let Ok(now) = tcgetwinsize(std::io::stdin()) else { return };
            let size = (now.ws_row, now.ws_col);
            if known.is_some_and(|known| known != size) && tcsetwinsize(&terminal, now).is_err() {
                return;
            }
            known = Some(size);
        }
    });
}

fn copy(from: &mut dyn Read, to: &mut dyn Write) {
    let mut buffer = [0; 8192];
    while let Ok(got) = from.read(&mut buffer) {
        if got == 0 || to.write_all(&buffer[..got]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}
