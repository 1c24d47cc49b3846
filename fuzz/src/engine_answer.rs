//! In: any bytes as an engine's answer. Out: nothing. Never: a panic, a hang, a body longer than its limit.

use std::io::Read;

use crossdock_docker::http::{HEADERS_MAX, Response};

/// Longest body asked for.
const BODY_BYTES_MAX: u64 = 64 << 10;

/// Gives its bytes one by one: line ends and numbers fall apart.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.len().min(buffer.len()).min(1);
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

/// Reads the answer at once and byte by byte: both say the same.
pub fn run(bytes: &[u8]) {
    let whole = answer(bytes);
    assert_eq!(whole, answer(Slow(bytes)), "the answer depends on how it arrives");
}

fn answer(stream: impl Read) -> Option<(u16, Option<Vec<u8>>)> {
    let mut response = Response::read(stream, false).ok()?;
    assert!(response.head.headers.len() <= HEADERS_MAX && response.head.status >= 100);
    let body = response.body(BODY_BYTES_MAX).ok();
    assert!(body.as_ref().is_none_or(|body| body.len() as u64 <= BODY_BYTES_MAX));
    Some((response.head.status, body))
}
