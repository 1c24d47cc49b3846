//! In: private keys of files. Out: an ssh agent that serves them for one build. Never: a key kept by us, a passphrase asked for.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long an agent may take to listen.
const START_MAX: Duration = Duration::from_secs(5);

/// OpenSSH's agent with these keys; it ends when this is dropped.
pub struct KeyAgent {
    dir: tempfile::TempDir,
    child: Child,
}

impl KeyAgent {
    /// Starts `ssh-agent` and adds the keys.
    pub fn start(keys: &[PathBuf]) -> Result<Self, String> {
        let dir = tempfile::Builder::new()
            .prefix("crossdock-keys-")
            .tempdir()
            .map_err(|error| format!("make a directory for an ssh agent: {error}"))?;
        let socket = dir.path().join("agent");
        let child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                format!("start ssh-agent: {error}; keys given as files need OpenSSH's client (package openssh-client)")
            })?;
        let agent = Self { dir, child };
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            if began.elapsed() > START_MAX {
                return Err("ssh-agent does not listen; give a running agent's socket instead".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        keys.iter().try_for_each(|key| agent.add(key))?;
        Ok(agent)
    }

    /// The key goes through a pipe: OpenSSH refuses files that others can read, and a copy would have to be wiped.
    fn add(&self, key: &Path) -> Result<(), String> {
        let text = fs_err::read(key).map_err(|error| error.to_string())?;
        let mut adding = Command::new("ssh-add")
            .args(["-q", "-"])
            .env("SSH_AUTH_SOCK", self.socket())
            .env("SSH_ASKPASS_REQUIRE", "never")
            .env_remove("DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("start ssh-add: {error}"))?;
        if let Some(mut stdin) = adding.stdin.take() {
            // A key it does not like ends it early; its words say more than the broken pipe.
            let _ = stdin.write_all(&text);
        }
        let added = adding.wait_with_output().map_err(|error| format!("wait for ssh-add: {error}"))?;
        if added.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&added.stderr);
        Err(format!("{}: {}; keys with a passphrase must be in an agent", key.display(), why.trim()))
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("agent")
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
