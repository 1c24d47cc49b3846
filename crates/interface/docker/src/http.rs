//! In: one request. Out: one answer, its body streamed. Never: an answer's head, line or chunk longer than its limit; trust in a number that was sent.
//!
//! The part of HTTP/1.1 an engine speaks: a request with a body of known or unknown length, an answer whose body has a
//! length, comes in chunks, or ends with the connection. One connection carries one request.

use std::io::{self, BufRead, BufReader, Read, Write};

/// Largest head of an answer, in bytes.
pub const HEAD_SIZE_MAX: usize = 64 << 10;
/// Most header lines of an answer.
pub const HEADERS_MAX: usize = 128;
/// Longest line in front of a chunk, in bytes.
const CHUNK_LINE_MAX: usize = 4 << 10;
/// Answers `1xx` in front of the real one.
const INTERIM_MAX: usize = 8;
/// Bytes of a body sent as one chunk.
const CHUNK_SENT_BYTES: usize = 64 << 10;

/// Why an answer is none.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Malformed(&'static str),
}

impl From<HttpError> for io::Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Io(source) => source,
            HttpError::Malformed(reason) => Self::new(io::ErrorKind::InvalidData, reason),
        }
    }
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// Names in lower case, in the order sent.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// How the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// So many bytes of the chunk are left.
    Chunk(u64),
    /// In front of the line that begins a chunk; the first one has no line end in front.
    ChunkLine {
        first: bool,
    },
    Close,
    Ended,
}

/// An answer; reading it reads its body.
#[derive(Debug)]
pub struct Response<R> {
    pub head: Head,
    reader: BufReader<R>,
    framing: Framing,
}

impl<R: Read> Response<R> {
    /// Reads the head of an answer. `no_body` for answers to HEAD.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no HTTP/1 within the limits.
    pub fn read(stream: R, no_body: bool) -> Result<Self, HttpError> {
        let mut reader = BufReader::new(stream);
        for _ in 0..=INTERIM_MAX {
            let head = read_head(&mut reader)?;
            // 101 changes the protocol; everything else below 200 comes in front of the real answer.
            if (100..200).contains(&head.status) && head.status != 101 {
                continue;
            }
            let framing = framing(&head, no_body)?;
            return Ok(Self { head, reader, framing });
        }
        Err(HttpError::Malformed("too many interim answers"))
    }

    /// The whole body, when it is not longer than `max_bytes`.
    ///
    /// # Errors
    /// When it is longer, or the connection breaks.
    pub fn body(&mut self, max_bytes: u64) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        Read::take(&mut *self, max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max_bytes {
            return Err(HttpError::Malformed("the answer is too long"));
        }
        Ok(bytes)
    }

    fn next_chunk(&mut self, first: bool) -> Result<Framing, HttpError> {
        if !first && !line(&mut self.reader, 2)?.is_empty() {
            return Err(HttpError::Malformed("a chunk without its end"));
        }
        let text = line(&mut self.reader, CHUNK_LINE_MAX)?;
        let digits = text.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = hex(digits).ok_or(HttpError::Malformed("a chunk without its length"))?;
        if size > 0 {
            return Ok(Framing::Chunk(size));
        }
        for _ in 0..=HEADERS_MAX {
            if line(&mut self.reader, HEAD_SIZE_MAX)?.is_empty() {
                return Ok(Framing::Ended);
            }
        }
        Err(HttpError::Malformed("too many trailers"))
    }

    fn read_some(&mut self, buffer: &mut [u8], left: u64) -> io::Result<usize> {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.reader.read(&mut buffer[..wanted])?;
        if got == 0 && wanted > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer broke off"));
        }
        Ok(got)
    }
}

impl<R: Read> Read for Response<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.framing {
                Framing::Ended | Framing::Length(0) => return Ok(0),
                Framing::Length(left) => {
                    let got = self.read_some(buffer, left)?;
                    self.framing = Framing::Length(left - got as u64);
                    return Ok(got);
                }
                Framing::Chunk(left) => {
                    let got = self.read_some(buffer, left)?;
                    let left = left - got as u64;
                    self.framing = if left == 0 { Framing::ChunkLine { first: false } } else { Framing::Chunk(left) };
                    return Ok(got);
                }
                Framing::ChunkLine { first } => self.framing = self.next_chunk(first)?,
                Framing::Close => return self.reader.read(buffer),
            }
        }
    }
}

/// A line without its end, of at most `max` bytes with it.
fn line(reader: &mut impl BufRead, max: usize) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    Read::take(&mut *reader, max as u64).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        let reason = if bytes.len() + 1 >= max { "a line is too long" } else { "the answer broke off" };
        return Err(HttpError::Malformed(reason));
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(bytes)
}

/// Digits only: no sign, no blank, nothing that does not fit.
fn hex(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.is_empty())?;
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(text, 16).ok()
}

fn decimal(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) { None } else { text.parse().ok() }
}

fn read_head(reader: &mut impl BufRead) -> Result<Head, HttpError> {
    let first = line(reader, HEAD_SIZE_MAX)?;
    let text = String::from_utf8_lossy(&first);
    let mut words = text.splitn(3, ' ');
    let version = words.next().unwrap_or_default();
    if version != "HTTP/1.1" && version != "HTTP/1.0" {
        return Err(HttpError::Malformed("no HTTP/1 answer"));
    }
    let status = words.next().filter(|word| word.len() == 3).and_then(decimal);
    let status = status.and_then(|status| u16::try_from(status).ok()).filter(|status| *status >= 100);
    let status = status.ok_or(HttpError::Malformed("an answer without a status"))?;
    let mut headers = Vec::new();
    let mut left = HEAD_SIZE_MAX.saturating_sub(first.len());
    loop {
        let bytes = line(reader, left.max(2))?;
        if bytes.is_empty() {
            return Ok(Head { status, headers });
        }
        left = left.saturating_sub(bytes.len() + 2);
        if headers.len() >= HEADERS_MAX || left == 0 {
            return Err(HttpError::Malformed("the head of the answer is too long"));
        }
        let text = String::from_utf8_lossy(&bytes);
        let (name, value) = text.split_once(':').ok_or(HttpError::Malformed("a header without a colon"))?;
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(HttpError::Malformed("a header without a name"));
        }
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn framing(head: &Head, no_body: bool) -> Result<Framing, HttpError> {
    if no_body || head.status == 204 || head.status == 304 {
        return Ok(Framing::Ended);
    }
    if let Some(encoding) = head.header("transfer-encoding") {
        if !encoding.eq_ignore_ascii_case("chunked") {
            return Err(HttpError::Malformed("an unknown transfer encoding"));
        }
        return Ok(Framing::ChunkLine { first: true });
    }
    let mut lengths = head.headers.iter().filter(|(name, _)| name == "content-length").map(|(_, value)| value);
    let Some(length) = lengths.next() else { return Ok(Framing::Close) };
    if lengths.any(|other| other != length) {
        return Err(HttpError::Malformed("two different lengths"));
    }
    decimal(length).map(Framing::Length).ok_or(HttpError::Malformed("a length that is no number"))
}

/// What is sent behind the head.
pub enum Body<'a> {
    None,
    /// In chunks, as the function writes it. What follows a failure of the connection is the engine's answer.
    Tar(&'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>),
}

/// Sends a request. A connection the other side closed while the body went out is no failure: its answer says why.
///
/// # Errors
/// When the head cannot be sent, or the body cannot be read.
pub fn send(stream: &mut dyn Write, method: &str, target: &str, host: &str, body: Body<'_>) -> io::Result<()> {
    let length = match body {
        Body::Tar(_) => "Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n",
        Body::None if method == "POST" => "Content-Length: 0\r\n",
        Body::None => "",
    };
    let agent = concat!("crossdock/", env!("CARGO_PKG_VERSION"));
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n{length}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    if let Body::Tar(write) = body {
        let mut chunked = Chunked { stream, buffer: Vec::with_capacity(CHUNK_SENT_BYTES), refused: false };
        let outcome = write(&mut chunked).and_then(|()| chunked.finish());
        let refused = chunked.refused;
        match outcome {
            Err(_) if refused => return Ok(()),
            outcome => outcome?,
        }
    }
    stream.flush()
}

/// Bytes in chunks.
struct Chunked<'a> {
    stream: &'a mut dyn Write,
    buffer: Vec<u8>,
    refused: bool,
}

impl Chunked<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).inspect_err(|error| {
            self.refused = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        })
    }

    fn chunk(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut bytes = format!("{:x}\r\n", self.buffer.len()).into_bytes();
        bytes.append(&mut self.buffer);
        bytes.extend_from_slice(b"\r\n");
        self.put(&bytes)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.chunk()?;
        self.put(b"0\r\n\r\n")
    }
}

impl Write for Chunked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK_SENT_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() >= CHUNK_SENT_BYTES {
            self.chunk()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
