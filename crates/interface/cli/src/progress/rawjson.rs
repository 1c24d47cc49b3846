//! In: events. Out: one status object a line, in the shape `--progress=rawjson` has. Never: a summary.

use std::io::Write;

use crossdock_progress::Event;
use serde_json::{Value, json};

use super::{Screen, Trace};

/// Lines that wait to be written.
#[derive(Default)]
pub struct RawJson {
    lines: Vec<String>,
}

impl Screen for RawJson {
    fn event(&mut self, event: &Event, _trace: &Trace) {
        self.lines.push(line(event).to_string());
    }

    fn draw(&mut self, _trace: &mut Trace, out: &mut dyn Write, _finished: bool) {
        for line in self.lines.drain(..) {
            let _ = writeln!(out, "{line}");
        }
    }
}

/// The status object of one event; log data is base64, as Go's encoder writes bytes.
fn line(event: &Event) -> Value {
    match event {
        Event::Vertex(vertex) => json!({ "vertexes": [vertex] }),
        Event::Status(status) => json!({ "statuses": [status] }),
        Event::Log(log) => json!({ "logs": [{
            "vertex": log.vertex, "stream": log.stream, "data": base64(&log.data), "timestamp": log.timestamp,
        }] }),
        Event::Warning(warning) => json!({ "warnings": [{
            "vertex": warning.vertex, "level": warning.level, "short": base64(warning.short.as_bytes()),
            "detail": warning.detail.iter().map(|text| base64(text.as_bytes())).collect::<Vec<_>>(), "url": warning.url,
        }] }),
    }
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_padding() {
        assert_eq!([base64(b""), base64(b"a"), base64(b"ab"), base64(b"abc")], ["", "YQ==", "YWI=", "YWJj"]);
    }
}
