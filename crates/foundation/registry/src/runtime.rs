//! In: futures. Out: their results, on the calling thread. Never: a thread before the first request, a call from inside a runtime.

use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::runtime::{Builder, Runtime};

use crate::RegistryError;

/// Threads that move bytes between sockets and callers.
const NETWORK_THREADS: usize = 2;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

/// The runtime all clients of the process share.
pub(crate) fn runtime() -> Result<&'static Runtime, RegistryError> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let _turn = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = Builder::new_multi_thread()
        .worker_threads(NETWORK_THREADS)
        .thread_name("registry")
        .enable_all()
        .build()
        .map_err(RegistryError::Runtime)?;
    Ok(RUNTIME.get_or_init(|| made))
}
