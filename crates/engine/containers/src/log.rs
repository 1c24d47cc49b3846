//! In: what a container writes. Out: its log, line by line with stream and time; and back. Never: a line without a time.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crossdock_oci::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ContainerError;

/// A longer line is cut in pieces, in bytes.
const LINE_BYTES_MAX: usize = 16 << 10;

/// A line of the log, or a piece of a long one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// With its line feed, when it had one.
    pub log: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    pub time: Timestamp,
}

/// Appends to a container's log; used by several threads.
#[derive(Debug)]
pub struct Logger(Mutex<fs_err::File>);

impl Logger {
    /// Opens a log for appending.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ContainerError> {
        let file = fs_err::OpenOptions::new().create(true).append(true).open(path);
        Ok(Self(Mutex::new(file.map_err(|source| ContainerError::Io { path: path.display().to_string(), source })?)))
    }

    /// Adds one line or piece. A log that cannot be written does not stop the container.
    pub fn add(&self, stream: &str, bytes: &[u8]) {
        let line = LogLine {
            log: String::from_utf8_lossy(bytes).into_owned(),
            stream: stream.to_owned(),
            time: Timestamp::now(),
        };
        let Ok(mut text) = serde_json::to_vec(&line) else { return };
        text.push(b'\n');
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text);
    }
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    /// Takes bytes; gives every line that is complete, or long enough.
    pub(crate) fn take(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        self.0.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(at) = self.0[from..].iter().position(|byte| *byte == b'\n') {
            line(&self.0[from..=from + at]);
            from += at + 1;
        }
        while self.0.len() - from > LINE_BYTES_MAX {
            line(&self.0[from..from + LINE_BYTES_MAX]);
            from += LINE_BYTES_MAX;
        }
        self.0.drain(..from);
    }

    /// What is left at the end of the stream.
    pub(crate) fn rest(self, mut line: impl FnMut(&[u8])) {
        if !self.0.is_empty() {
            line(&self.0);
        }
    }
}

/// Reads a log, also while it grows.
#[derive(Debug)]
pub struct LogReader {
    file: BufReader<fs_err::File>,
    /// The beginning of a line whose end is not written yet.
    partial: String,
}

impl LogReader {
    /// Opens a log; `None` when nothing was ever written.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Option<Self>, ContainerError> {
        match fs_err::File::open(path) {
            Ok(file) => Ok(Some(Self { file: BufReader::new(file), partial: String::new() })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ContainerError::Io { path: path.display().to_string(), source }),
        }
    }

    /// The next line; `None` when there is none yet. What cannot be read is passed over.
    pub fn next_line(&mut self) -> Option<LogLine> {
        loop {
            let count = self.file.read_line(&mut self.partial).ok()?;
            if count == 0 || !self.partial.ends_with('\n') {
                return None;
            }
            let text = std::mem::take(&mut self.partial);
            if let Ok(line) = serde_json::from_str(&text) {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_where_they_end() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in [&b"one\ntw"[..], b"o\n\nthr", b"ee"] {
            lines.take(piece, |line| seen.push(String::from_utf8_lossy(line).into_owned()));
        }
        lines.rest(|line| seen.push(String::from_utf8_lossy(line).into_owned()));
        assert_eq!(seen, ["one\n", "two\n", "\n", "three"]);
    }

    #[test]
    fn endless_lines_do_not_fill_the_memory() {
        let mut lines = Lines::default();
        let mut pieces = 0;
        for _ in 0..100 {
            lines.take(&[b'x'; 4096], |_| pieces += 1);
            assert!(lines.0.len() <= LINE_BYTES_MAX);
        }
        assert_eq!(pieces, 24);
    }

    #[test]
    fn a_log_is_read_while_it_grows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert!(LogReader::open(&path).unwrap().is_none());
        let logger = Logger::open(&path).unwrap();
        logger.add("stdout", b"a\n");
        let mut reader = LogReader::open(&path).unwrap().unwrap();
        assert_eq!(reader.next_line().unwrap().log, "a\n");
        assert!(reader.next_line().is_none());
        logger.add("stderr", b"b");
        let line = reader.next_line().unwrap();
        assert_eq!((line.log.as_str(), line.stream.as_str()), ("b", "stderr"));
    }
}
