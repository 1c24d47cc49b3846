//! In: the trace. Out: numbered lines, one step at a time: `#3 [2/2] RUN …`. Never: a line taken back.
//!
//! Shapes: spec/cli.md §1.4 and the transcripts. A step is shown until it ends; when it has nothing to say while another
//! one has, `#n ...` marks the switch.

use std::io::Write;
use std::time::{Duration, Instant};

use crossdock_oci::Timestamp;
use crossdock_progress::{Event, Status};

use super::trace::StepTrace;
use super::units::{bytes, seconds};
use super::{Builder, Screen, Trace};

/// A silent step gives way to others after this time.
const PATIENCE: Duration = Duration::from_millis(400);

/// The plain screen.
pub struct Plain {
    title: String,
    titled: bool,
    /// What was shown of each step.
    shown: Vec<Shown>,
    /// Steps shown so far; the numbers of the lines.
    numbered: usize,
    current: Option<usize>,
    spoke: Instant,
}

#[derive(Default, Clone)]
struct Shown {
    number: Option<usize>,
    lines: usize,
    warnings: usize,
    unfinished: bool,
    ended: Option<Timestamp>,
}

impl Plain {
    /// A screen for this builder.
    pub fn new(builder: &Builder) -> Self {
        let title = format!("#0 building with {:?} instance using {} driver", builder.name, builder.driver);
        Self { title, titled: false, shown: Vec::new(), numbered: 0, current: None, spoke: Instant::now() }
    }

    /// Whether the step has something that was not shown.
    fn has_news(&self, step: &StepTrace, at: usize) -> bool {
        let shown = &self.shown[at];
        step.is_started()
            && (shown.number.is_none()
                || !step.changed.is_empty()
                || step.lines.len() > shown.lines
                || step.warnings.len() > shown.warnings
                || (step.is_done() && shown.ended != step.vertex.completed))
    }

    fn show(&mut self, trace: &mut Trace, at: usize, out: &mut dyn Write) {
        let step = &mut trace.steps[at];
        if self.current != Some(at) {
            self.switch_to(step, at, out);
        }
        let shown = &mut self.shown[at];
        let number = shown.number.unwrap_or(0);
        for changed in std::mem::take(&mut step.changed) {
            let _ = writeln!(out, "#{number} {}", status_line(&step.statuses[changed]));
        }
        for warning in &step.warnings[shown.warnings..] {
            let _ = writeln!(out, "#{number} WARN: {}", warning.short);
        }
        shown.warnings = step.warnings.len();
        for line in &step.lines[shown.lines..] {
            let _ = writeln!(out, "#{number} {line}");
        }
        shown.lines = step.lines.len();
        if step.is_done() && shown.ended != step.vertex.completed {
            if !shown.unfinished {
                for line in step.unfinished_lines() {
                    let _ = writeln!(out, "#{number} {line}");
                }
                shown.unfinished = true;
            }
            let _ = writeln!(out, "#{number} {}", end_line(step));
            shown.ended = step.vertex.completed;
            self.current = None;
        }
        self.spoke = Instant::now();
    }

    fn switch_to(&mut self, step: &StepTrace, at: usize, out: &mut dyn Write) {
        if let Some(number) = self.current.and_then(|current| self.shown[current].number) {
            let _ = writeln!(out, "#{number} ...");
        }
        let _ = writeln!(out);
        if self.shown[at].number.is_none() {
            self.numbered += 1;
            self.shown[at].number = Some(self.numbered);
        }
        let _ = writeln!(out, "#{} {}", self.shown[at].number.unwrap_or(0), step.vertex.name);
        self.current = Some(at);
    }

    /// The step to show next: the current one as long as it speaks or is still waited for.
    fn next(&self, trace: &Trace, finished: bool) -> Option<usize> {
        if let Some(current) = self.current {
            if self.has_news(&trace.steps[current], current) {
                return Some(current);
            }
            if !finished && self.spoke.elapsed() < PATIENCE {
                return None;
            }
        }
        let news = || (0..trace.steps.len()).filter(|at| self.has_news(&trace.steps[*at], *at));
        // Finished steps first: they are shown in one piece.
        news().find(|at| trace.steps[*at].is_done()).or_else(|| news().next())
    }
}

impl Screen for Plain {
    fn event(&mut self, _event: &Event, trace: &Trace) {
        self.shown.resize(trace.steps.len(), Shown::default());
    }

    fn draw(&mut self, trace: &mut Trace, out: &mut dyn Write, finished: bool) {
        if !self.titled && (finished || !trace.steps.is_empty()) {
            self.titled = true;
            let _ = writeln!(out, "{}", self.title);
        }
        while let Some(at) = self.next(trace, finished) {
            self.show(trace, at, out);
        }
    }
}

/// `transferring context: 2B 0.1s done`.
pub fn status_line(status: &Status) -> String {
    let mut line = status.id.clone();
    if status.total > 0 {
        line.push_str(&format!(" {} / {}", bytes(status.current), bytes(status.total)));
    } else if status.current > 0 {
        line.push_str(&format!(" {}", bytes(status.current)));
    }
    let end = status.completed.unwrap_or(status.timestamp);
    let took = status.started.map_or(0, |started| end.nanoseconds().saturating_sub(started.nanoseconds()));
    if took > 10_000_000 {
        line.push_str(&format!(" {}", seconds(took)));
    }
    if status.completed.is_some() {
        line.push_str(" done");
    }
    line
}

fn end_line(step: &StepTrace) -> String {
    if step.is_cancelled() {
        "CANCELED".to_owned()
    } else if !step.vertex.error.is_empty() {
        format!("ERROR: {}", step.vertex.error)
    } else if step.vertex.cached {
        "CACHED".to_owned()
    } else {
        format!("DONE {}", seconds(step.duration_ns(Timestamp::now())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crossdock_progress::{Progress, Recorder};

    use super::*;

    fn draw(tell: impl FnOnce(&Progress)) -> String {
        let recorder = Arc::new(Recorder::default());
        tell(&Progress::new(recorder.clone()));
        let mut trace = Trace::default();
        let mut plain = Plain::new(&Builder { name: "default".into(), driver: "embedded".into() });
        for event in recorder.events() {
            trace.take(&event);
            plain.event(&event, &trace);
        }
        let mut out = Vec::new();
        plain.draw(&mut trace, &mut out, true);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn steps_are_shown_one_after_another() {
        let text = draw(|progress| {
            let first = progress.step("[internal] load build definition from Dockerfile");
            let mut line = first.line("transferring dockerfile:");
            line.update(112, 0);
            line.done();
            first.done();
            progress.step("[2/2] RUN true").cached();
            let third = progress.step("[3/3] RUN false");
            third.log(1, b"out\nrest");
            third.failed("process \"false\" did not complete successfully: exit code: 1");
        });
        let expected = "#0 building with \"default\" instance using embedded driver\n\n#1 [internal] load build definition from Dockerfile\n#1 transferring dockerfile: 112B done\n#1 DONE 0.0s\n\n#2 [2/2] RUN true\n#2 CACHED\n\n#3 [3/3] RUN false\n#3 0.000 out\n#3 0.000 rest\n#3 ERROR: process \"false\" did not complete successfully: exit code: 1\n";
        assert_eq!(text, expected);
    }
}
