//! In: Ctrl-C or a request to terminate. Out: the engine told to stop; at the third one, the end at once. Never: a file left half-written by the first.

use crossdock_build::Engine;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::say;

/// Exit code of a program that had to be told three times.
const IMPATIENT: i32 = 130;

/// Signals that are caught, but not acted upon yet.
pub struct Caught {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

/// Catches signals from now on. Called before anything else starts an async runtime: a signal that comes between the
/// handler and its listener would be given to the listeners of the other runtime, and lost.
pub fn catch() -> Option<Caught> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let (interrupt, terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt()).ok()?, signal(SignalKind::terminate()).ok()?)
    };
    Some(Caught { runtime, interrupt, terminate })
}

impl Caught {
    /// Hands caught signals to the engine, on a thread of its own, for the life of the program.
    pub fn stop(self, engine: &Engine) {
        let engine = engine.clone();
        let Self { runtime, mut interrupt, mut terminate } = self;
        std::thread::spawn(move || {
            runtime.block_on(async {
                for count in 1.. {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    engine.cancel();
                    if count >= 3 {
                        say("ERROR: interrupted three times, ending at once");
                        #[allow(
                            clippy::exit,
                            reason = "the user insists; the keeper and its mounts end with this process"
                        )]
                        std::process::exit(IMPATIENT);
                    }
                }
            });
        });
    }
}
