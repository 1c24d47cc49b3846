//! In: the state file of a container and its lock. Out: what it does now. Never: a state believed whose writer is gone.

use crossdock_oci::Timestamp;
use serde::{Deserialize, Serialize};

/// Exit code of a container whose end nobody saw: as if it had been killed.
pub(crate) const UNSEEN_END: i32 = 137;

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Created,
    Running,
    Exited,
}

/// What became of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub status: Status,
    /// The process that runs it, or ran it last; 0 = none yet.
    #[serde(default)]
    pub pid: u32,
    #[serde(default)]
    pub started: Option<Timestamp>,
    #[serde(default)]
    pub finished: Option<Timestamp>,
    #[serde(default)]
    pub exit_code: i32,
    /// Why it did not start.
    #[serde(default)]
    pub error: String,
}

impl Default for State {
    fn default() -> Self {
        Self { status: Status::Created, pid: 0, started: None, finished: None, exit_code: 0, error: String::new() }
    }
}

impl State {
    /// What is true when the lock is held, or not.
    pub(crate) fn seen_with_lock(mut self, held: bool) -> Self {
        if self.status == Status::Running && !held {
            self.status = Status::Exited;
            self.exit_code = UNSEEN_END;
            self.finished = self.finished.or(self.started);
            self.error = "the process that ran it was killed".to_owned();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_whose_lock_is_free_does_not_run() {
        let running = State { status: Status::Running, started: Some(Timestamp::from_seconds(5)), ..State::default() };
        assert_eq!(running.clone().seen_with_lock(true).status, Status::Running);
        let dead = running.seen_with_lock(false);
        assert_eq!((dead.status, dead.exit_code), (Status::Exited, 137));
        assert_eq!(State::default().seen_with_lock(false).status, Status::Created);
    }
}
