//! In: the wish to signal a container. Out: the process that runs it hears it. Never: a path longer than a socket's name may be.
//!
//! Names of sockets have at most 107 bytes, which state directories exceed: both sides go through /proc/self/fd.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossdock_executor::keeper::Running;
use rustix::fs::{Mode, OFlags};

const NAME: &str = "control";
/// Longest request, in bytes.
const REQUEST_BYTES_MAX: u64 = 256;
/// How long either side waits for the other.
const TIMEOUT: Duration = Duration::from_secs(5);

fn open(directory: &Path) -> io::Result<(OwnedFd, String)> {
    let directory = rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd());
    Ok((directory, path))
}

/// Listens until the program ends. The thread outlives the container; it holds nothing but the socket.
pub(crate) fn listen(directory: &Path, running: &Arc<Running>) -> io::Result<()> {
    let (held, path) = open(directory)?;
    match fs_err::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    drop(held);
    let running = Arc::downgrade(running);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), Some(running)) = (stream, running.upgrade()) else { return };
            // One that says nothing must not keep others waiting for long.
            let _ = serve(&stream, &running);
        }
    });
    Ok(())
}

fn serve(stream: &UnixStream, running: &Running) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut line = String::new();
    BufReader::new(stream.take(REQUEST_BYTES_MAX)).read_line(&mut line)?;
    let number = line.trim().strip_prefix("signal ").and_then(|number| number.parse::<i32>().ok());
    let answer = match number {
        Some(number) => running.signal(number).map_or_else(|error| error.to_string(), |()| "ok".to_owned()),
        None => "not understood".to_owned(),
    };
    (&*stream).write_all(answer.as_bytes())
}

/// Sends a signal to the container's first process.
pub(crate) fn signal(directory: &Path, number: i32) -> io::Result<()> {
    let (held, path) = open(directory)?;
    let mut stream = UnixStream::connect(path)?;
    drop(held);
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("signal {number}\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(REQUEST_BYTES_MAX).read_to_string(&mut answer)?;
    if answer == "ok" { Ok(()) } else { Err(io::Error::other(answer)) }
}
