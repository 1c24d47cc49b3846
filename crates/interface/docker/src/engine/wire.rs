//! In: an endpoint. Out: a connection that can be read and written within a time, and given up. Never: a wait nobody can end.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::error::DockerError;

/// How long a TCP connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a silent connection asks whether it is still wanted.
const POLL: Duration = Duration::from_millis(200);

/// Tells whether the user gave up.
#[derive(Clone, Default)]
pub struct CancelCheck(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl CancelCheck {
    /// Asks this function.
    pub fn new(check: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(check)))
    }

    /// Whether the user gave up.
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|check| check())
    }
}

impl std::fmt::Debug for CancelCheck {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("CancelCheck")
    }
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connection to an engine.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    authority: String,
    prefix: String,
    timeout: Duration,
    cancel: CancelCheck,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// [`DockerError::Connect`], or the name of a means that is not built.
    pub(super) fn connect(endpoint: &Endpoint, timeout: Duration, cancel: CancelCheck) -> Result<Self, DockerError> {
        let host = &endpoint.host;
        let failed = |source| DockerError::Connect { host: host.clone(), source };
        let not_yet = |means| DockerError::NotYet { host: host.clone(), means };
        let (scheme, address) = host.split_once("://").unwrap_or(("unix", host));
        let (stream, authority, prefix) = match scheme {
            _ if endpoint.tls && scheme != "unix" => return Err(not_yet("TLS")),
            "unix" => (Stream::Unix(UnixStream::connect(address).map_err(failed)?), "docker".to_owned(), ""),
            "tcp" | "http" => {
                let (authority, prefix) = address.split_at(address.find('/').unwrap_or(address.len()));
                let stream = connect_tcp(authority).map_err(failed)?;
                (Stream::Tcp(stream), authority.to_owned(), prefix)
            }
            "ssh" => return Err(not_yet("ssh")),
            "https" => return Err(not_yet("TLS")),
            _ => return Err(not_yet("an inherited descriptor")),
        };
        let prefix = prefix.trim_end_matches('/').to_owned();
        let wire = Self { stream, authority, prefix, timeout, cancel };
        wire.set_polling().map_err(failed)?;
        Ok(wire)
    }

    fn set_polling(&self) -> io::Result<()> {
        match &self.stream {
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(POLL))?;
                stream.set_write_timeout(Some(POLL))
            }
            Stream::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(POLL))?;
                stream.set_write_timeout(Some(POLL))
            }
        }
    }

    /// What stands behind `Host:`.
    pub(super) fn host_header(&self) -> String {
        self.authority.clone()
    }

    /// What stands in front of every path.
    pub(super) fn path_prefix(&self) -> &str {
        &self.prefix
    }

    /// Tries until something moves, the user gives up, or the time is over.
    fn patiently<T>(&mut self, mut attempt: impl FnMut(&mut Stream) -> io::Result<T>) -> io::Result<T> {
        let begin = Instant::now();
        loop {
            match attempt(&mut self.stream) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if self.cancel.is_cancelled() {
                        return Err(io::Error::other("cancelled"));
                    }
                    if begin.elapsed() >= self.timeout {
                        let text = format!("nothing moved for {} seconds", self.timeout.as_secs());
                        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                    }
                }
                outcome => return outcome,
            }
        }
    }
}

fn connect_tcp(authority: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patiently(|stream| match stream {
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tcp(stream) => stream.read(buffer),
        })
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|stream| match stream {
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tcp(stream) => stream.write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
