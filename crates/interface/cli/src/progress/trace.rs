//! In: events. Out: what is known of each step: times, lines, logs, warnings, in the order the steps were first seen. Never: drawing.

use std::collections::HashMap;

use crossdock_oci::{Timestamp, VertexDigest};
use crossdock_progress::{Event, Log, Status, Vertex, Warning};

use super::units::log_seconds;

/// Log lines of a failed step that are shown again at the end.
const FAILED_LOG_LINES_MAX: usize = 10;
/// Log bytes kept of a step.
const LOG_KEPT_BYTES_MAX: usize = 2 << 20;

/// A step with everything said of it.
#[derive(Debug, Clone)]
pub struct StepTrace {
    pub vertex: Vertex,
    pub statuses: Vec<Status>,
    /// Statuses that changed since they were last drawn, by position.
    pub changed: Vec<usize>,
    /// Complete log lines with their time: `0.371 text`.
    pub lines: Vec<String>,
    /// Bytes of a line that is not complete, by stream.
    partial: [Vec<u8>; 2],
    kept_bytes: usize,
    pub warnings: Vec<Warning>,
    /// When its first start was.
    pub began: Option<Timestamp>,
    /// Time it ran in earlier starts, in nanoseconds.
    pub earlier_ns: u64,
}

/// A step that failed, for the summary.
#[derive(Debug, Clone)]
pub struct FailedStep {
    pub name: String,
    pub lines: Vec<String>,
}

/// Everything seen.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    pub steps: Vec<StepTrace>,
    by_digest: HashMap<VertexDigest, usize>,
    /// The first event's time.
    pub began: Option<Timestamp>,
}

impl Trace {
    /// Takes an event.
    pub fn take(&mut self, event: &Event) {
        self.began.get_or_insert_with(Timestamp::now);
        match event {
            Event::Vertex(vertex) => self.take_vertex(vertex),
            Event::Status(status) => {
                if let Some(step) = self.step_mut(status.vertex) {
                    step.take_status(status);
                }
            }
            Event::Log(log) => {
                if let Some(step) = self.step_mut(log.vertex) {
                    step.take_log(log);
                }
            }
            Event::Warning(warning) => {
                if let Some(step) = self.step_mut(warning.vertex) {
                    step.warnings.push(warning.clone());
                }
            }
        }
    }

    fn take_vertex(&mut self, vertex: &Vertex) {
        match self.by_digest.get(&vertex.digest) {
            None => {
                self.by_digest.insert(vertex.digest, self.steps.len());
                self.steps.push(StepTrace::new(vertex.clone()));
            }
            Some(at) => self.steps[*at].take_vertex(vertex),
        }
    }

    /// Position of a step.
    pub fn position(&self, digest: VertexDigest) -> Option<usize> {
        self.by_digest.get(&digest).copied()
    }

    fn step_mut(&mut self, digest: VertexDigest) -> Option<&mut StepTrace> {
        let at = self.position(digest)?;
        self.steps.get_mut(at)
    }

    /// The steps that failed, not those that were cancelled because of them.
    pub fn failed(&self) -> Vec<FailedStep> {
        self.steps
            .iter()
            .filter(|step| !step.vertex.error.is_empty() && !step.is_cancelled())
            .map(|step| {
                let mut lines: Vec<String> = step.lines.clone();
                lines.extend(step.unfinished_lines());
                let skip = lines.len().saturating_sub(FAILED_LOG_LINES_MAX);
                FailedStep { name: step.vertex.name.clone(), lines: lines.split_off(skip) }
            })
            .collect()
    }

    /// All warnings, in order.
    pub fn warnings(&self) -> Vec<Warning> {
        self.steps.iter().flat_map(|step| step.warnings.iter().cloned()).collect()
    }
}

impl StepTrace {
    fn new(vertex: Vertex) -> Self {
        let began = vertex.started;
        Self {
            vertex,
            statuses: Vec::new(),
            changed: Vec::new(),
            lines: Vec::new(),
            partial: [Vec::new(), Vec::new()],
            kept_bytes: 0,
            warnings: Vec::new(),
            began,
            earlier_ns: 0,
        }
    }

    /// A step may start again (a base image is looked up, and unpacked later): the times add up.
    fn take_vertex(&mut self, vertex: &Vertex) {
        if vertex.started.is_some() && vertex.completed.is_none() && self.vertex.completed.is_some() {
            self.earlier_ns = self.duration_ns(Timestamp::now());
        }
        self.began = self.began.or(vertex.started);
        self.vertex = vertex.clone();
    }

    fn take_status(&mut self, status: &Status) {
        let at = self.statuses.iter().position(|known| known.id == status.id).unwrap_or_else(|| {
            self.statuses.push(status.clone());
            self.statuses.len() - 1
        });
        self.statuses[at] = status.clone();
        if !self.changed.contains(&at) {
            self.changed.push(at);
        }
    }

    fn take_log(&mut self, log: &Log) {
        let stream = usize::from(log.stream == 2);
        let time =
            log_seconds(log.timestamp.nanoseconds().saturating_sub(self.began.map_or(0, Timestamp::nanoseconds)));
        self.partial[stream].extend_from_slice(&log.data);
        while let Some(end) = self.partial[stream].iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial[stream].drain(..=end).collect();
            let text = String::from_utf8_lossy(&line[..end]);
            let line = format!("{time} {}", text.trim_end_matches('\r'));
            self.kept_bytes += line.len();
            self.lines.push(line);
        }
        // Screens have shown the oldest lines long ago; a summary needs the last ones only.
        if self.kept_bytes > 4 * LOG_KEPT_BYTES_MAX {
            let half = self.lines.len() / 2;
            for line in &mut self.lines[..half] {
                line.clear();
            }
            self.kept_bytes = self.lines.iter().map(String::len).sum();
        }
    }

    /// What a process wrote without ending the line.
    pub fn unfinished_lines(&self) -> Vec<String> {
        let now = self.vertex.completed.unwrap_or_else(Timestamp::now).nanoseconds();
        let time = log_seconds(now.saturating_sub(self.began.map_or(0, Timestamp::nanoseconds)));
        self.partial
            .iter()
            .filter(|bytes| !bytes.is_empty())
            .map(|bytes| format!("{time} {}", String::from_utf8_lossy(bytes)))
            .collect()
    }

    /// Time it ran, in nanoseconds.
    pub fn duration_ns(&self, now: Timestamp) -> u64 {
        let end = self.vertex.completed.unwrap_or(now).nanoseconds();
        self.earlier_ns + self.vertex.started.map_or(0, |started| end.saturating_sub(started.nanoseconds()))
    }

    /// Whether it ended because something else did.
    pub fn is_cancelled(&self) -> bool {
        self.vertex.error.ends_with("context canceled")
    }

    /// Whether it was started at all.
    pub const fn is_started(&self) -> bool {
        self.vertex.started.is_some()
    }

    /// Whether it ended.
    pub const fn is_done(&self) -> bool {
        self.vertex.completed.is_some()
    }
}
