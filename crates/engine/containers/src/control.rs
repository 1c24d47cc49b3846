//! In: the wish to signal a container, or a tar for its files. Out: the process that runs it hears it. Never: a path longer than a socket's name may be.
//!
//! Names of sockets have at most 107 bytes, which state directories exceed: both sides go through /proc/self/fd.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossdock_executor::keeper::Running;
use rustix::fs::{Mode, OFlags};

const NAME: &str = "control";
/// Longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 256;
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// The request behind which a tar comes.
const UNPACK: &str = "unpack";
/// How long either side waits for the other.
const TIMEOUT: Duration = Duration::from_secs(5);

fn open(directory: &Path) -> io::Result<(OwnedFd, String)> {
    let directory = rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd());
    Ok((directory, path))
}

/// Unpacks a tar that comes out of a stream into the container's files, as the container sees them.
pub(crate) type Unpack = Box<dyn Fn(&UnixStream) -> Result<(), String> + Send>;

/// Listens until the program ends. The thread outlives the container; it holds nothing but the socket.
pub(crate) fn listen(directory: &Path, running: &Arc<Running>, unpack: Unpack) -> io::Result<()> {
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
            let _ = serve(&stream, &running, &unpack);
        }
    });
    Ok(())
}

fn serve(mut stream: &UnixStream, running: &Running, unpack: &Unpack) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    // Byte by byte: what follows the line is not ours to read.
    let mut line = Vec::new();
    while line.len() < REQUEST_BYTES_MAX && line.last() != Some(&b'\n') {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            break;
        }
        line.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&line);
    if line.trim() == UNPACK {
        stream.set_read_timeout(None)?;
        let answer = unpack(stream).err().unwrap_or_else(|| "ok".to_owned());
        return stream.write_all(answer.as_bytes());
    }
    let number = line.trim().strip_prefix("signal ").and_then(|number| number.parse::<i32>().ok());
    let answer = match number {
        Some(number) => running.signal(number).map_or_else(|error| error.to_string(), |()| "ok".to_owned()),
        None => "not understood".to_owned(),
    };
    stream.write_all(answer.as_bytes())
}

/// Opens a stream into the container's files: a tar goes in, then [`Unpacking::finish`] hears how it went.
pub(crate) fn unpacking(directory: &Path) -> io::Result<Unpacking> {
    let (held, path) = open(directory)?;
    let mut stream = UnixStream::connect(path)?;
    drop(held);
    stream.write_all(format!("{UNPACK}\n").as_bytes())?;
    Ok(Unpacking(stream))
}

/// The way of a tar into a container that runs.
pub(crate) struct Unpacking(UnixStream);

impl io::Write for Unpacking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Unpacking {
    /// Says that the tar is whole, and waits until it is unpacked.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.0.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        self.0.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
        if answer == "ok" { Ok(()) } else { Err(io::Error::other(answer)) }
    }
}

/// Sends a signal to the container's first process.
pub(crate) fn signal(directory: &Path, number: i32) -> io::Result<()> {
    let (held, path) = open(directory)?;
    let mut stream = UnixStream::connect(path)?;
    drop(held);
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("signal {number}\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    if answer == "ok" { Ok(()) } else { Err(io::Error::other(answer)) }
}
