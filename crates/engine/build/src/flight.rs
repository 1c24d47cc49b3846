//! In: keys of work that several threads may want at once. Out: the work done once at a time for each key. Never: a result kept (callers look again after they got the lock).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Locks by name: whoever holds the lock of a key is the only one at that work.
#[derive(Debug, Default)]
pub struct Flights(Mutex<HashMap<String, Arc<Mutex<()>>>>);

impl Flights {
    /// Runs `work` while no other thread runs work under the same key.
    pub fn alone<T>(&self, key: &str, work: impl FnOnce() -> T) -> T {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(key.to_owned()).or_default())
        };
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }
}
