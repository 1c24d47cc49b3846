//! In: Ctrl-C or a request to terminate. Out: the engine told to stop; at the third one, the end at once. Never: a file left half-written by the first.

use crossdock_build::Engine;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::say;

/// Exit code of a program that had to be told three times.
const IMPATIENT: i32 = 130;

/// Watches for signals on a thread of its own, for the life of the program.
pub fn watch(engine: &Engine) {
    let engine = engine.clone();
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            for count in 1.. {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                engine.cancel();
                if count >= 3 {
                    say("ERROR: interrupted three times, ending at once");
                    #[expect(
                        clippy::exit,
                        reason = "the user insists; the keeper and its mounts end with this process"
                    )]
                    std::process::exit(IMPATIENT);
                }
            }
        });
    });
}
