//! In: closures. Out: each run once on some thread, threads reused. Never: more threads than the limit; an order.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    idle: usize,
    closing: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

/// Threads that start when needed and stay until the pool is dropped. The drop waits for all work given.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    threads_max: usize,
}

impl Pool {
    pub(super) fn new(threads_max: usize) -> Self {
        Self { shared: Arc::default(), threads: Vec::new(), threads_max }
    }

    /// Runs `work` as soon as a thread is free. It must not panic.
    pub(super) fn run(&mut self, work: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.lock();
        state.queue.push_back(Box::new(work));
        let start = state.queue.len() > state.idle && self.threads.len() < self.threads_max;
        drop(state);
        if start {
            let shared = Arc::clone(&self.shared);
            self.threads.push(std::thread::spawn(move || shared.serve()));
        } else {
            self.shared.wake.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.queue.pop_front() {
                drop(state);
                work();
                state = self.lock();
            } else if state.closing {
                return;
            } else {
                state.idle += 1;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
