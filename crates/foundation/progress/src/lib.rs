//! In: what rooms report. Out: events in BuildKit's shapes, to whoever listens. Never: printing, a terminal.
//!
//! The four shapes are those of the status stream (spec/engine.md §15): a vertex with its times, a status line under
//! it, a piece of its log, a warning. A room gets a [`Progress`] and reports; the command line draws.

use std::sync::Arc;

use crossdock_oci::{Timestamp, VertexDigest};
use serde::{Deserialize, Serialize};

/// A step as the screen shows it. Sent again whenever one of its facts changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vertex {
    pub digest: VertexDigest,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<VertexDigest>,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// Why it failed. The text `context canceled` means it was cancelled.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// A line under a step: `sha256:… 1.2MB / 3.4MB`, `exporting layers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub id: String,
    pub vertex: VertexDigest,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Bytes (or items) done.
    pub current: u64,
    /// Bytes (or items) in all; 0 when unknown.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub total: u64,
    pub timestamp: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if hands out references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Output of a step's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub vertex: VertexDigest,
    /// 1 for standard output, 2 for standard error.
    pub stream: u8,
    pub data: Vec<u8>,
    pub timestamp: Timestamp,
}

/// A warning that belongs to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub vertex: VertexDigest,
    pub level: u32,
    /// One line: `RuleName: text (line n)`.
    pub short: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Vertex(Vertex),
    Status(Status),
    Log(Log),
    Warning(Warning),
}

/// Whoever listens. Called from any thread; must be quick.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: Event);
}

/// Nobody listens.
#[derive(Debug, Default)]
pub struct Silent;

impl Sink for Silent {
    fn emit(&self, _event: Event) {}
}

/// Keeps every event, for tests and for callers that draw later.
#[derive(Debug, Default)]
pub struct Recorder(std::sync::Mutex<Vec<Event>>);

impl Recorder {
    /// The events so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Sink for Recorder {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event);
    }
}

/// The handle rooms report through; cheap to clone.
#[derive(Clone)]
pub struct Progress(Arc<dyn Sink>);

impl std::fmt::Debug for Progress {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Progress")
    }
}

impl Progress {
    /// Reports go to this sink.
    pub fn new(sink: Arc<dyn Sink>) -> Self {
        Self(sink)
    }

    /// Reports go nowhere.
    pub fn silent() -> Self {
        Self(Arc::new(Silent))
    }

    /// Reports an event as it is.
    pub fn emit(&self, event: Event) {
        self.0.emit(event);
    }

    /// Begins a step that is no vertex of the graph (`[internal] load metadata for …`); its name is its identity.
    pub fn step(&self, name: &str) -> Step {
        self.begin(VertexDigest::of(name.as_bytes()), name, Vec::new())
    }

    /// Begins a step with a known identity.
    pub fn begin(&self, digest: VertexDigest, name: &str, inputs: Vec<VertexDigest>) -> Step {
        let vertex = Vertex {
            digest,
            inputs,
            name: name.to_owned(),
            started: Some(Timestamp::now()),
            completed: None,
            cached: false,
            error: String::new(),
        };
        self.emit(Event::Vertex(vertex.clone()));
        Step { progress: self.clone(), vertex }
    }
}

/// A running step. Dropped without [`Step::done`] it counts as cancelled.
#[derive(Debug)]
pub struct Step {
    progress: Progress,
    vertex: Vertex,
}

impl Step {
    /// The step's identity.
    pub const fn digest(&self) -> VertexDigest {
        self.vertex.digest
    }

    /// The handle this step reports through.
    pub const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Ends the step well.
    pub fn done(self) {
        self.end(false, "");
    }

    /// Ends the step: nothing had to run.
    pub fn cached(self) {
        self.end(true, "");
    }

    /// Ends the step with an error; `context canceled` marks it as cancelled.
    pub fn failed(self, error: &str) {
        self.end(false, error);
    }

    fn end(mut self, cached: bool, error: &str) {
        self.vertex.completed = Some(Timestamp::now());
        self.vertex.cached = cached;
        error.clone_into(&mut self.vertex.error);
        self.progress.emit(Event::Vertex(self.vertex.clone()));
    }

    /// Begins a line under the step.
    pub fn line(&self, id: &str) -> Line {
        Line::begin(&self.progress, self.vertex.digest, id)
    }

    /// Output of the step's process: stream 1 or 2.
    pub fn log(&self, stream: u8, data: &[u8]) {
        self.progress.emit(Event::Log(Log {
            vertex: self.vertex.digest,
            stream,
            data: data.to_vec(),
            timestamp: Timestamp::now(),
        }));
    }

    /// A warning of one line.
    pub fn warn(&self, short: &str) {
        self.progress.emit(Event::Warning(Warning {
            vertex: self.vertex.digest,
            level: 1,
            short: short.to_owned(),
            detail: Vec::new(),
            url: String::new(),
        }));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if self.vertex.completed.is_none() {
            self.vertex.completed = Some(Timestamp::now());
            self.vertex.error = "context canceled".to_owned();
            self.progress.emit(Event::Vertex(self.vertex.clone()));
        }
    }
}

/// A running line under a step.
#[derive(Debug, Clone)]
pub struct Line {
    progress: Progress,
    status: Status,
}

impl Line {
    /// Begins a line under the step with this identity.
    pub fn begin(progress: &Progress, vertex: VertexDigest, id: &str) -> Self {
        let now = Timestamp::now();
        let status = Status {
            id: id.to_owned(),
            vertex,
            name: String::new(),
            current: 0,
            total: 0,
            timestamp: now,
            started: Some(now),
            completed: None,
        };
        progress.emit(Event::Status(status.clone()));
        Self { progress: progress.clone(), status }
    }

    /// So much is done of so much (0: unknown).
    pub fn update(&mut self, current: u64, total: u64) {
        self.status.current = current;
        self.status.total = total;
        self.status.timestamp = Timestamp::now();
        self.progress.emit(Event::Status(self.status.clone()));
    }

    /// Ends the line.
    pub fn done(mut self) {
        let now = Timestamp::now();
        self.status.timestamp = now;
        self.status.completed = Some(now);
        self.progress.emit(Event::Status(self.status));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_step_is_cancelled() {
        let recorder = Arc::new(Recorder::default());
        let progress = Progress::new(recorder.clone());
        progress.step("a").done();
        drop(progress.step("b"));
        let errors: Vec<String> = recorder
            .events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Vertex(vertex) if vertex.completed.is_some() => Some(vertex.error),
                _ => None,
            })
            .collect();
        assert_eq!(errors, ["", "context canceled"]);
    }
}
