//! In: one wish to stop. Out: every request that runs under it ends. Never: a wait; the callers of the requests notice by themselves.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A wish to stop that many requests share; cheap to clone. Once cancelled it stays so.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    next_id: u64,
    /// The sending sides of running requests: shutting one down is how the keeper hears of it.
    running: BTreeMap<u64, UnixStream>,
}

impl Cancel {
    /// Nothing is cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops every request that runs under this wish, and every later one at once. Safe from any thread; returns without waiting.
    pub fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        for stream in state.running.values() {
            // A request that has just ended has nothing left to shut down.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// Puts a request under this wish until the guard is dropped.
    pub(crate) fn watch(&self, stream: &UnixStream) -> std::io::Result<Watch> {
        let stream = stream.try_clone()?;
        let mut state = self.lock();
        if state.cancelled {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let id = state.next_id;
        state.next_id += 1;
        state.running.insert(id, stream);
        Ok(Watch { cancel: self.clone(), id })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps one request under a wish to stop.
#[derive(Debug)]
pub(crate) struct Watch {
    cancel: Cancel,
    id: u64,
}

impl Watch {
    /// Whether the wish was uttered.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.cancel.lock().running.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn running_and_later_requests_see_the_end() {
        let cancel = Cancel::new();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let watch = cancel.watch(&ours).unwrap();
        cancel.cancel();
        assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0);
        assert!(watch.is_cancelled());
        let (later, mut other) = UnixStream::pair().unwrap();
        let _watch = cancel.watch(&later).unwrap();
        assert_eq!(other.read(&mut [0; 1]).unwrap(), 0);
    }
}
