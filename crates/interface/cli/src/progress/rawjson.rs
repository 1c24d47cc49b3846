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
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let padded = [group[0], group.get(1).copied().unwrap_or(0), group.get(2).copied().unwrap_or(0)];
        let bits = u32::from(padded[0]) << 16 | u32::from(padded[1]) << 8 | u32::from(padded[2]);
        for at in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_padding() {
        assert_eq!([base64(b""), base64(b"a"), base64(b"ab"), base64(b"abc")], ["", "YQ==", "YWI=", "YWJj"]);
    }
}
