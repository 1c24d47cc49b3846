//! In: a container that runs. Out: how it ended, for all who wait for it, also when it is removed with its end. Never: an exit code nobody saw.

use std::io::{self, Read as _, Seek as _, Write as _};
use std::time::{Duration, Instant};

use crate::ContainerError;
use crate::state::{State, Status, UNSEEN_END};
use crate::store::{Container, Held, KILL, KILL_TIMEOUT, POLL, io_error};

/// The longest state, in bytes.
const STATE_BYTES_MAX: u64 = 64 << 10;

impl Held {
    /// Forgets how the container ended before.
    pub(crate) fn forget_end(&self) -> Result<(), ContainerError> {
        self.0.file().set_len(0).map_err(|source| io_error(self.0.path(), source))
    }

    /// Writes into the lock itself how the container ended: who has it open reads that when the container is gone.
    pub(crate) fn tell_end(&self, state: &State) -> Result<(), ContainerError> {
        let mut file = self.0.file();
        let written = serde_json::to_vec(state).map_err(io::Error::from).and_then(|bytes| {
            file.rewind()?;
            file.write_all(&bytes)
        });
        written.map_err(|source| io_error(self.0.path(), source))
    }
}

/// What [`Held::tell_end`] wrote; a container that was removed without a word was killed.
fn told_end(lock: &mut fs_err::File) -> State {
    let mut bytes = Vec::new();
    let read = lock.rewind().and_then(|()| lock.take(STATE_BYTES_MAX).read_to_end(&mut bytes));
    let state = read.ok().and_then(|_| serde_json::from_slice(&bytes).ok());
    state.unwrap_or(State { status: Status::Exited, exit_code: UNSEEN_END, ..State::default() })
}

/// Somebody who waits for a container. What he has open tells him the end when the container is gone.
#[derive(Debug)]
pub struct Waiting<'a> {
    container: &'a Container,
    /// `None`: it has never run.
    lock: Option<fs_err::File>,
}

impl Waiting<'_> {
    /// Waits until it does not run; gives how it ended. `timeout: None` waits for ever. `None` when the time was over.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<State>, ContainerError> {
        let end = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            match (self.container.again(), &mut self.lock) {
                (Ok(now), _) if now.state.status == Status::Running => {}
                (Ok(now), _) => return Ok(Some(now.state)),
                (Err(error), Some(lock)) if error.is_missing() => return Ok(Some(told_end(lock))),
                (Err(error), _) if error.is_missing() => return Err(self.container.not_found()),
                (Err(error), _) => return Err(error),
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Container {
    /// Begins to wait for its end.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn waiting(&self) -> Result<Waiting<'_>, ContainerError> {
        let path = self.lock_path();
        let lock = match fs_err::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            outcome => Some(outcome.map_err(|source| io_error(&path, source))?),
        };
        Ok(Waiting { container: self, lock })
    }

    pub(crate) fn not_found(&self) -> ContainerError {
        ContainerError::NotFound { name: self.config.name.clone() }
    }

    /// Asks it to end, then ends it.
    ///
    /// # Errors
    /// When its process does not answer.
    pub fn stop(&self, signal: i32, timeout: Duration) -> Result<(), ContainerError> {
        if !self.is_running() {
            return Ok(());
        }
        match self.signal(signal) {
            // It has just ended by itself.
            Err(ContainerError::NotRunning { .. }) => {}
            outcome => outcome?,
        }
        if self.ended_within(timeout)? {
            return Ok(());
        }
        match self.signal(KILL) {
            Err(ContainerError::NotRunning { .. }) => {}
            outcome => outcome?,
        }
        match self.ended_within(KILL_TIMEOUT)? {
            true => Ok(()),
            false => Err(ContainerError::Running { name: self.config.name.clone(), action: "it was killed" }),
        }
    }

    /// Whether it ended in time; one that was removed with its end did.
    fn ended_within(&self, timeout: Duration) -> Result<bool, ContainerError> {
        match self.waiting()?.wait(Some(timeout)) {
            Err(ContainerError::NotFound { .. }) => Ok(true),
            outcome => Ok(outcome?.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_read_from_a_lock_that_was_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = Held(fs_err::File::create(&path).unwrap());
        let mut waiting = fs_err::File::open(&path).unwrap();
        held.tell_end(&State { status: Status::Exited, exit_code: 300, ..State::default() }).unwrap();
        held.forget_end().unwrap();
        assert_eq!(told_end(&mut waiting).exit_code, UNSEEN_END);
        held.tell_end(&State { status: Status::Exited, exit_code: 3, ..State::default() }).unwrap();
        fs_err::remove_file(&path).unwrap();
        assert_eq!(told_end(&mut waiting).exit_code, 3);
    }
}
