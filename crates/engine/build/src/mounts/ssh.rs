//! In: the socket of an ssh agent of the user's. Out: a socket of our own for one step, which leads there. Never: a key; a socket that outlives the step.

use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossdock_executor::HostPath;

use crate::BuildError;

/// The mode of a socket whose owner could not be set.
const OPEN_MODE: u32 = 0o666;

/// Carries every connection to the agent until dropped.
pub(super) struct Forward {
    dir: tempfile::TempDir,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Forward {
    /// Listens in a directory that only this user can enter. Owner and mode are what the step sees; without root the
    /// socket stays this user's, who is root inside of the step, and another owner's place is left open to all of the step.
    pub(super) fn start(agent: &Path, uid: u32, gid: u32, mode: u32) -> Result<Self, BuildError> {
        let failed = |source| BuildError::Io { path: "the socket of a forwarded ssh agent".to_owned(), source };
        let dir = tempfile::Builder::new().prefix("crossdock-ssh-").tempdir().map_err(failed)?;
        let path = dir.path().join("agent");
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let owned = (uid, gid) == (0, 0) || std::os::unix::fs::chown(&path, Some(uid), Some(gid)).is_ok();
        let mode = if owned { mode } else { OPEN_MODE };
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (agent, over) = (agent.to_owned(), Arc::clone(&is_over));
        let accepting = std::thread::spawn(move || accept(&listener, &agent, &over));
        Ok(Self { dir, is_over, accepting: Some(accepting) })
    }

    pub(super) fn socket(&self) -> HostPath {
        HostPath::from(self.path())
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("agent")
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // One more connection, so that the accepting thread looks at the flag.
        drop(UnixStream::connect(self.path()));
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &UnixListener, agent: &Path, is_over: &AtomicBool) {
    while let Ok((client, _)) = listener.accept() {
        if is_over.load(Ordering::Acquire) {
            return;
        }
        // An agent that is gone looks to the client like one that hangs up.
        if let Ok(server) = UnixStream::connect(agent) {
            std::thread::spawn(move || carry(&client, &server));
        }
    }
}

fn carry(client: &UnixStream, server: &UnixStream) {
    std::thread::scope(|scope| {
        scope.spawn(|| copy(client, server));
        copy(server, client);
    });
}

fn copy(mut from: &UnixStream, mut to: &UnixStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn bytes_go_both_ways_and_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let agent = dir.path().join("real");
        let listener = UnixListener::bind(&agent).unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            stream.write_all(&got).unwrap();
        });
        let forward = Forward::start(&agent, 0, 0, 0o600).unwrap();
        let path = forward.path();
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"list keys").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut back = String::new();
        client.read_to_string(&mut back).unwrap();
        assert_eq!(back, "list keys");
        answering.join().unwrap();
        drop(forward);
        assert!(!path.exists());
    }
}
