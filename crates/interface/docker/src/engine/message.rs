//! In: the body of an answer to work. Out: the messages in it, one by one. Never: a message longer than its limit.

use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;

use crate::http::HttpError;

/// Longest message, in bytes.
const MESSAGE_SIZE_MAX: u64 = 1 << 20;

/// One message of an engine at work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Message {
    /// `Downloading`, `Pull complete`, …
    pub status: Option<String>,
    /// The layer it is about.
    pub id: Option<String>,
    pub progress_detail: Option<ProgressDetail>,
    /// Words of `load`: `Loaded image: …`.
    pub stream: Option<String>,
    error: Option<String>,
    error_detail: Option<ErrorDetail>,
}

/// How far a layer is, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    pub current: u64,
    pub total: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    message: Option<String>,
}

impl Message {
    /// Why the work failed, when this is the message that says so.
    pub fn failure(&self) -> Option<&str> {
        let detail = self.error_detail.as_ref().and_then(|detail| detail.message.as_deref());
        detail.or(self.error.as_deref())
    }
}

/// The messages of a body: JSON objects, one a line.
pub(super) struct Messages<R> {
    reader: BufReader<R>,
    ended: bool,
}

impl<R: Read> Messages<R> {
    pub(super) fn new(body: R) -> Self {
        Self { reader: BufReader::new(body), ended: false }
    }

    fn read(&mut self) -> Result<Option<Message>, HttpError> {
        loop {
            let mut line = Vec::new();
            (&mut self.reader).take(MESSAGE_SIZE_MAX).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(None);
            }
            if line.len() as u64 >= MESSAGE_SIZE_MAX {
                return Err(HttpError::Malformed("a message is too long"));
            }
            if !line.trim_ascii().is_empty() {
                let message = serde_json::from_slice(&line);
                return message.map(Some).map_err(|_| HttpError::Malformed("a message is not the expected JSON"));
            }
        }
    }
}

impl<R: Read> Iterator for Messages<R> {
    type Item = Result<Message, HttpError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_to_the_first_that_is_none() {
        let text = "{\"status\":\"Downloading\",\"id\":\"ab\",\"progressDetail\":{\"current\":3,\"total\":9}}\r\n\r\n\
            {\"status\":\"x\",\"progressDetail\":{}}\n{\"errorDetail\":{\"message\":\"no\"},\"error\":\"no\"}\r\n";
        let messages: Vec<Message> = Messages::new(text.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(messages.len(), 3);
        assert_eq!(messages[0].progress_detail, Some(ProgressDetail { current: 3, total: 9 }));
        assert_eq!(messages[2].failure(), Some("no"));
        let mut broken = Messages::new("{\"status\":1}\n{}\n".as_bytes());
        assert!(broken.next().unwrap().is_err());
        assert!(broken.next().is_none());
    }

    #[test]
    fn an_endless_message_is_refused() {
        let mut messages = Messages::new(std::io::repeat(b'x'));
        assert!(messages.next().unwrap().is_err());
    }
}
