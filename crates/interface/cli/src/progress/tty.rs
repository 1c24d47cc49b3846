//! In: the trace. Out: a screen that is redrawn in place: a title, a line a step, sub-lines, the last lines of running logs. Never: more lines than the terminal has.
//!
//! Layout: spec/cli.md §1.4 and transcript 10: `[+] Building 1.2s (3/5)` with `driver:builder` at the right end, steps as
//! ` => name   0.2s` in blue when done, red when failed, yellow when cancelled.

use std::io::Write;

use crossdock_oci::Timestamp;
use crossdock_progress::{Event, Status};

use super::trace::StepTrace;
use super::units::{bytes, seconds};
use super::{Builder, Screen, Trace};

/// Lines of a running step's output that are shown, unless BUILDKIT_TTY_LOG_LINES says another number.
const LOG_LINES: usize = 6;

/// The redrawn screen.
pub struct Tty {
    builder: String,
    /// Lines of the last drawing.
    height: usize,
    log_lines: usize,
    colours: bool,
}

impl Tty {
    /// A screen for this builder.
    pub fn new(builder: &Builder) -> Self {
        let log_lines =
            std::env::var("BUILDKIT_TTY_LOG_LINES").ok().and_then(|text| text.parse().ok()).unwrap_or(LOG_LINES);
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { builder: format!("{}:{}", builder.driver, builder.name), height: 0, log_lines, colours }
    }

    fn painted(&self, colour: &str, line: &str) -> String {
        if self.colours && !colour.is_empty() { format!("\u{1b}[{colour}m{line}\u{1b}[0m") } else { line.to_owned() }
    }

    fn lines(&self, trace: &Trace, width: usize, height: usize, finished: bool) -> Vec<String> {
        let now = Timestamp::now();
        let started: Vec<&StepTrace> = trace.steps.iter().filter(|step| step.is_started()).collect();
        let mut blocks: Vec<(bool, Vec<String>)> =
            started.iter().map(|step| (step.is_done(), self.step_lines(step, width, now))).collect();
        let room = height.saturating_sub(2).max(3);
        let total = |blocks: &[(bool, Vec<String>)]| blocks.iter().map(|(_, lines)| lines.len()).sum::<usize>();
        // The oldest finished steps give way first, then sub-lines of what is left.
        while !finished && total(&blocks) > room {
            match blocks.iter().position(|(done, _)| *done) {
                Some(at) if blocks.len() > 1 => drop(blocks.remove(at)),
                _ => break,
            }
        }
        let mut lines = vec![self.title(trace, &started, width, now, finished)];
        lines.extend(blocks.into_iter().flat_map(|(_, lines)| lines));
        if !finished {
            lines.truncate(room + 1);
        }
        lines
    }

    fn title(&self, trace: &Trace, started: &[&StepTrace], width: usize, now: Timestamp, finished: bool) -> String {
        let began = trace.began.unwrap_or(now).nanoseconds();
        let done = started.iter().filter(|step| step.is_done()).count();
        let mut left =
            format!("[+] Building {} ({done}/{})", seconds(now.nanoseconds().saturating_sub(began)), trace.steps.len());
        if finished {
            left.push_str(" FINISHED");
        }
        let gap = width.saturating_sub(left.len() + self.builder.len()).max(1);
        format!("{left}{}{}", " ".repeat(gap), self.builder)
    }

    fn step_lines(&self, step: &StepTrace, width: usize, now: Timestamp) -> Vec<String> {
        let (prefix, colour) = if step.is_cancelled() {
            ("CANCELED ", "33")
        } else if !step.vertex.error.is_empty() {
            ("ERROR ", "31")
        } else if step.vertex.cached {
            ("CACHED ", "34")
        } else if step.is_done() {
            ("", "34")
        } else {
            ("", "")
        };
        let time = seconds(step.duration_ns(now));
        let mut lines = vec![self.painted(colour, &fit(&format!(" => {prefix}{}", step.vertex.name), &time, width))];
        for status in &step.statuses {
            let took = status
                .started
                .map_or(0, |begin| status.completed.unwrap_or(now).nanoseconds().saturating_sub(begin.nanoseconds()));
            let colour = if status.completed.is_some() { "34" } else { "" };
            lines.push(self.painted(colour, &fit(&format!(" => => {}", status_text(status)), &seconds(took), width)));
        }
        if !step.is_done() {
            let skip = step.lines.len().saturating_sub(self.log_lines);
            for line in &step.lines[skip..] {
                let text: String = line.chars().filter(|c| !c.is_control()).take(width.saturating_sub(9)).collect();
                lines.push(self.painted("2", &format!(" => => # {text}")));
            }
        }
        lines
    }
}

impl Screen for Tty {
    fn event(&mut self, _event: &Event, _trace: &Trace) {}

    fn draw(&mut self, trace: &mut Trace, out: &mut dyn Write, finished: bool) {
        if trace.steps.is_empty() {
            return;
        }
        let (width, height) = terminal_size();
        let lines = self.lines(trace, width, height, finished);
        // Up to the title, then line by line, erasing what a shorter drawing leaves.
        if self.height > 0 {
            let _ = write!(out, "\u{1b}[{}A", self.height);
        }
        let _ = write!(out, "\u{1b}[0G\u{1b}[?25l");
        for line in &lines {
            let _ = writeln!(out, "\u{1b}[K{line}");
        }
        let _ = write!(out, "\u{1b}[J\u{1b}[?25h");
        self.height = lines.len();
        if finished {
            self.height = 0;
        }
    }
}

fn status_text(status: &Status) -> String {
    let mut text = status.id.clone();
    if status.total > 0 {
        text.push_str(&format!(" {} / {}", bytes(status.current), bytes(status.total)));
    } else if status.current > 0 {
        text.push_str(&format!(" {}", bytes(status.current)));
    }
    text
}

/// The text at the left, cut to fit, and the time at the right end.
fn fit(text: &str, time: &str, width: usize) -> String {
    let room = width.saturating_sub(time.len() + 1);
    let mut line: String = text.chars().filter(|c| !c.is_control()).take(room).collect();
    let gap = width.saturating_sub(line.chars().count() + time.len());
    line.push_str(&" ".repeat(gap));
    line.push_str(time);
    line
}

/// Columns and rows of the terminal at standard error; 80 × 40 when there is none.
fn terminal_size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stderr()) {
        Ok(size) if size.ws_col > 0 => (usize::from(size.ws_col), usize::from(size.ws_row.max(5))),
        _ => (80, 40),
    }
}
