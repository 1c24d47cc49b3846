//! In: a stream of the client's, standard input. Out: its bytes, as often as they are asked for. Never: the stream read twice, or before somebody wants it.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::file::{Spool, Spooled};
use crate::BuildError;
use crate::perform::locked;

/// Host name of what a client uploads, in identifiers of sources.
pub(crate) const SESSION_HOST: &str = "buildkit-session";

const BUFFER_BYTES: usize = 256 << 10;

/// Bytes a client sends with its request.
#[derive(Clone)]
pub struct Upload(Arc<Mutex<State>>);

enum State {
    Waiting(Box<dyn Read + Send>),
    Here(Arc<Spooled>),
    Broken,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Upload")
    }
}

impl Upload {
    /// Of this stream.
    pub fn new(stream: impl Read + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(State::Waiting(Box::new(stream)))))
    }

    /// The URL that names an upload in options and graphs.
    pub fn url(name: &str) -> String {
        format!("http://{SESSION_HOST}/{name}")
    }

    /// The bytes, read to their end at the first call. `report` gets how many have come.
    pub(crate) fn spooled(
        &self,
        directory: &Path,
        cancelled: &dyn Fn() -> bool,
        report: &mut dyn FnMut(u64),
    ) -> Result<Arc<Spooled>, BuildError> {
        let mut state = locked(&self.0);
        let failed = |source| BuildError::Io { path: "the upload".to_owned(), source };
        let stream = match &*state {
            State::Here(spooled) => return Ok(Arc::clone(spooled)),
            State::Broken => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
            State::Waiting(_) => std::mem::replace(&mut *state, State::Broken),
        };
        let State::Waiting(mut stream) = stream else { return Err(failed(io::ErrorKind::UnexpectedEof.into())) };
        let mut spool = Spool::new(directory)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            if cancelled() {
                return Err(BuildError::Cancelled);
            }
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => spool.take(&buffer[..count]).map_err(failed)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
            report(spool.size_bytes());
        }
        let spooled = Arc::new(spool.finish());
        *state = State::Here(Arc::clone(&spooled));
        Ok(spooled)
    }
}
