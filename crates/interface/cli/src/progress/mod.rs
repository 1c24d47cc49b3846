//! In: events from the engine. Out: BuildKit's screens: plain lines, a redrawn terminal, raw JSON, or nothing. Never: an event invented, a word on standard output.

mod plain;
mod rawjson;
mod trace;
mod tty;
mod units;

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossdock_progress::{Event, Sink};

pub use trace::Trace;

/// How often the screen is brought up to date.
const TICK: Duration = Duration::from_millis(80);

/// Which screen is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Plain,
    Tty,
    Quiet,
    RawJson,
}

impl Mode {
    /// Reads `--progress`; `auto` is a terminal's screen when standard error is one.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "auto" | "" if std::io::stderr().is_terminal() => Self::Tty,
            "auto" | "" | "plain" => Self::Plain,
            "tty" => Self::Tty,
            "quiet" | "none" => Self::Quiet,
            "rawjson" => Self::RawJson,
            _ => return None,
        })
    }
}

/// A screen is told what happened, and when to draw.
trait Screen: Send {
    /// Takes an event. The trace holds it already.
    fn event(&mut self, event: &Event, trace: &Trace);
    /// Brings the screen up to date.
    fn draw(&mut self, trace: &mut Trace, out: &mut dyn Write, finished: bool);
}

/// What the title of the terminal's screen says at its right end: `driver:builder`.
#[derive(Debug, Clone)]
pub struct Builder {
    pub name: String,
    pub driver: String,
}

/// Draws on a thread of its own; [`Display::finish`] ends it and hands out what was seen.
pub struct Display {
    events: Mutex<Sender<Message>>,
    thread: Mutex<Option<JoinHandle<Trace>>>,
}

enum Message {
    Event(Event),
    Finish,
}

impl Display {
    /// Begins to draw on standard error.
    pub fn start(mode: Mode, builder: &Builder) -> Arc<Self> {
        let (events, inbox) = channel();
        let mut screen: Box<dyn Screen> = match mode {
            Mode::Plain => Box::new(plain::Plain::new(builder)),
            Mode::Tty => Box::new(tty::Tty::new(builder)),
            Mode::RawJson => Box::new(rawjson::RawJson::default()),
            Mode::Quiet => Box::new(Nothing),
        };
        let thread = std::thread::spawn(move || run(&inbox, screen.as_mut()));
        Arc::new(Self { events: Mutex::new(events), thread: Mutex::new(Some(thread)) })
    }

    /// Draws the last state and ends. Called once; a second call sees nothing.
    pub fn finish(&self) -> Trace {
        let _ = self.events.lock().unwrap_or_else(PoisonError::into_inner).send(Message::Finish);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Sink for Display {
    fn emit(&self, event: Event) {
        let _ = self.events.lock().unwrap_or_else(PoisonError::into_inner).send(Message::Event(event));
    }
}

struct Nothing;

impl Screen for Nothing {
    fn event(&mut self, _event: &Event, _trace: &Trace) {}
    fn draw(&mut self, _trace: &mut Trace, _out: &mut dyn Write, _finished: bool) {}
}

fn run(inbox: &Receiver<Message>, screen: &mut dyn Screen) -> Trace {
    let mut trace = Trace::default();
    let mut out = std::io::stderr();
    let mut drawn = std::time::Instant::now();
    loop {
        let finished = match inbox.recv_timeout(TICK) {
            Ok(Message::Event(event)) => {
                trace.take(&event);
                screen.event(&event, &trace);
                false
            }
            Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        };
        if finished || drawn.elapsed() >= TICK {
            let mut text: Vec<u8> = Vec::new();
            screen.draw(&mut trace, &mut text, finished);
            // A closed standard error must not end the build.
            let _ = out.write_all(&text).and_then(|()| out.flush());
            drawn = std::time::Instant::now();
        }
        if finished {
            return trace;
        }
    }
}
