//! In: Ctrl-C or a request to terminate. Out: the engine told to stop, or the program of a container in the foreground told instead; at the third one, the end at once. Never: a file left half-written by the first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crossdock_build::Engine;
use crossdock_executor::keeper::Running;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::say;

/// Exit code of a program that had to be told three times.
const IMPATIENT: i32 = 130;
/// How often a user asks before he insists.
const TIMES: u32 = 3;

/// Who is told of signals.
#[derive(Debug)]
enum Hearer {
    Engine,
    /// The program of a container that is just being started: these are for it.
    Soon(Vec<SignalKind>),
    Program(Weak<Running>),
}

static HEARER: Mutex<Hearer> = Mutex::new(Hearer::Engine);
/// Whether the user insisted on the end of a container that heard him.
static INSISTED: AtomicBool = AtomicBool::new(false);

/// What a program hears besides SIGINT and SIGTERM.
const HEARD: [fn() -> SignalKind; 5] =
    [SignalKind::hangup, SignalKind::quit, SignalKind::user_defined1, SignalKind::user_defined2, SignalKind::alarm];

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
    /// Hands caught signals to the engine or to who hears them, on a thread of its own, for the life of the program.
    pub fn stop(self, engine: &Engine) {
        let engine = engine.clone();
        let Self { runtime, mut interrupt, mut terminate } = self;
        std::thread::spawn(move || {
            runtime.block_on(async {
                for count in 1.. {
                    let kind = tokio::select! {
                        _ = interrupt.recv() => SignalKind::interrupt(),
                        _ = terminate.recv() => SignalKind::terminate(),
                    };
                    if !pass(kind) {
                        engine.cancel();
                    } else if count == TIMES {
                        say("\ngot 3 SIGTERM/SIGINTs, forcefully exiting");
                        INSISTED.store(true, Ordering::Relaxed);
                        // Ends the container, which the caller sees and remembers.
                        engine.cancel();
                        continue;
                    }
                    if count >= TIMES && engine.is_cancelled() {
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

/// From now on signals are for the program of a container that is about to start: as with Docker's client, which passes
/// on every signal that has a meaning for programs. Until [`hear`] they are kept.
pub fn keep() {
    let listening = {
        let mut hearer = hearer();
        if !matches!(*hearer, Hearer::Engine) {
            return;
        }
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
        let inside = runtime.enter();
        let listening = HEARD.map(|kind| (kind(), signal(kind()))).into_iter();
        let listening: Vec<_> = listening.filter_map(|(kind, signal)| Some((kind, signal.ok()?))).collect();
        drop(inside);
        *hearer = Hearer::Soon(Vec::new());
        (runtime, listening)
    };
    std::thread::spawn(move || {
        let (runtime, listening) = listening;
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for (kind, mut signal) in listening {
                tasks.spawn(async move {
                    while signal.recv().await.is_some() {
                        pass(kind);
                    }
                });
            }
            tasks.join_all().await
        })
    });
}

/// The program runs: it hears what was kept, and what comes.
pub fn hear(running: &Arc<Running>) {
    let before = std::mem::replace(&mut *hearer(), Hearer::Program(Arc::downgrade(running)));
    if let Hearer::Soon(kept) = before {
        kept.into_iter().for_each(|kind| tell(running, kind));
    }
}

/// Whether the user insisted on the end of a container that heard him, and did not end.
pub fn insisted() -> bool {
    INSISTED.load(Ordering::Relaxed)
}

/// Tells who hears; false when it is for the engine. What comes after the program's end is for nobody.
fn pass(kind: SignalKind) -> bool {
    match &mut *hearer() {
        Hearer::Engine => return false,
        Hearer::Soon(kept) => kept.push(kind),
        Hearer::Program(program) => {
            if let Some(running) = program.upgrade() {
                tell(&running, kind);
            }
        }
    }
    true
}

fn tell(running: &Running, kind: SignalKind) {
    // It may be ending.
    let _ = running.signal(kind.as_raw_value());
}

fn hearer() -> MutexGuard<'static, Hearer> {
    HEARER.lock().unwrap_or_else(PoisonError::into_inner)
}
