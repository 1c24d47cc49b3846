//! In: one call of `cancel`. Out: a flag for those who look, actions run at once for those who wait. Never: a thread.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Action = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    cancelled: bool,
    next: u64,
    actions: BTreeMap<u64, Action>,
}

/// Tells work in progress to stop. Clones share the flag.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Mutex<State>>);

/// Keeps an action registered until dropped. After the drop the action is neither running nor going to run.
#[must_use = "the action is forgotten as soon as the registration is dropped"]
pub struct OnCancel {
    cancel: Cancel,
    id: u64,
}

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the work should stop.
    pub fn is_cancelled(&self) -> bool {
        self.state().cancelled
    }

    /// Sets the flag and runs the registered actions.
    pub fn cancel(&self) {
        let mut state = self.state();
        state.cancelled = true;
        for (_, action) in std::mem::take(&mut state.actions) {
            action();
        }
    }

    /// Runs `action` once when the flag is set, or now if it is. The action must be quick and must not touch this flag:
    /// it runs under its lock, so that dropping the registration waits for it.
    pub fn on_cancel(&self, action: impl FnOnce() + Send + 'static) -> OnCancel {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        if state.cancelled {
            action();
        } else {
            state.actions.insert(id, Box::new(action));
        }
        drop(state);
        OnCancel { cancel: self.clone(), id }
    }

    /// A panicking action leaves the flag usable: it was set before any action ran.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OnCancel {
    fn drop(&mut self) {
        let action = self.cancel.state().actions.remove(&self.id);
        drop(action);
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Cancel({})", self.is_cancelled())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn actions_run_once_while_registered_and_at_once_when_late() {
        let cancel = Cancel::new();
        let count = Arc::new(AtomicU32::new(0));
        let add = |n: u32| {
            let count = Arc::clone(&count);
            move || {
                count.fetch_add(n, Ordering::Relaxed);
            }
        };
        let kept = cancel.on_cancel(add(1));
        drop(cancel.on_cancel(add(10)));
        cancel.cancel();
        cancel.cancel();
        let late = cancel.on_cancel(add(100));
        assert_eq!(count.load(Ordering::Relaxed), 101);
        assert!(cancel.is_cancelled());
        drop((kept, late));
    }
}
