//! In: a step that was started. Out: its terminal, signals to it, its end. Never: a step that outlives this value.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::channel;
use super::request::{Command, Reply};
use crate::cancel::Watch;
use crate::error::ExecutorError;
use crate::sandbox::ExecOutcome;

/// The descriptors a step gets; `None` is the null device. Ignored when the step has a terminal.
#[derive(Debug, Default)]
pub struct ExecStdio {
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
}

/// A running step. Dropping it kills the step.
#[derive(Debug)]
pub struct Running {
    pub(super) stream: UnixStream,
    pub(super) watch: Watch,
    pub(super) terminal: Option<OwnedFd>,
}

impl Running {
    /// The terminal's controlling side, when the step has a terminal; given out once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// Sends a signal (its number) to the step's first process. May be called from another thread than the one that waits.
    ///
    /// # Errors
    /// When the step has ended.
    pub fn signal(&self, number: i32) -> Result<(), ExecutorError> {
        channel::send(&self.stream, &Command::Signal(number), &[])
            .map_err(|error| ExecutorError::io("signal", "the step", &error))
    }

    /// Waits until the step and everything it started has ended and its mounts are gone.
    ///
    /// # Errors
    /// `Cancelled`, or what the keeper reports. An exit code other than 0 is no error here.
    pub fn wait(&self) -> Result<ExecOutcome, ExecutorError> {
        match next_reply(&self.stream, &self.watch, "a step")?.0 {
            Reply::Exited(outcome) => Ok(outcome),
            other => Err(unexpected(&other)),
        }
    }
}

/// The worker's next word, with failures and cancellation turned into errors.
pub(super) fn next_reply(
    stream: &UnixStream,
    watch: &Watch,
    request: &str,
) -> Result<(Reply, Vec<OwnedFd>), ExecutorError> {
    let answer = channel::receive::<Reply>(stream);
    if watch.is_cancelled() {
        // The worker ends what it started, then closes: until then the request counts as running.
        while let Ok(Some(_)) = channel::receive::<Reply>(stream) {}
        return Err(ExecutorError::Cancelled);
    }
    match answer {
        Ok(Some((Reply::Failed(error), _))) => Err(error),
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(ExecutorError::WorkerDied { request: request.to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(ExecutorError::Protocol { what: error.to_string() })
        }
        Err(_) => Err(ExecutorError::WorkerDied { request: request.to_owned() }),
    }
}

/// A reply that answers another question.
pub(super) fn unexpected(reply: &Reply) -> ExecutorError {
    ExecutorError::Protocol { what: format!("unexpected answer {reply:?}") }
}
