//! In: arguments for the user's git. Out: what it printed, or why it failed. Never: a prompt, a process that outlives its call, a password in an error.
//!
//! Git runs with the user's configuration, credential helpers and `url.….insteadOf`, in this process's own place: never
//! in the keeper. What a surrounding repository may have put into the environment (a build called from a hook) is taken
//! out again.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use super::error::GitError;

/// Variables that point git at a repository.
const REPOSITORY_VARIABLES: [&str; 10] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_QUARANTINE_PATH",
];

/// Nothing may go on in the background when a call is over.
const SETTINGS: [&str; 4] =
    ["gc.auto=0", "maintenance.auto=false", "advice.detachedHead=false", "core.hooksPath=/dev/null"];

/// How often the wish to stop is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Most that is kept of what git prints.
const OUTPUT_BYTES_MAX: u64 = 64 << 20;
/// Most of an error of git's that is shown.
const MESSAGE_BYTES_MAX: usize = 2_000;

/// How git is called for one repository.
pub(super) struct Calls<'a> {
    /// As people may see it.
    pub url: String,
    /// True once the build is to end.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// What ssh is to be called with, where nobody said.
    pub ssh: Option<String>,
    /// Further variables: a secret belongs here, never among the arguments, which everybody on the machine can read.
    pub variables: Vec<(String, OsString)>,
}

/// One call.
pub(super) struct Call<'a> {
    action: &'static str,
    arguments: Vec<&'a str>,
    directory: Option<&'a Path>,
    variables: Vec<(&'static str, PathBuf)>,
}

impl<'a> Call<'a> {
    /// `action` completes "cannot … URL".
    pub fn new(action: &'static str, arguments: &[&'a str]) -> Self {
        Self { action, arguments: arguments.to_vec(), directory: None, variables: Vec::new() }
    }

    /// In this directory.
    pub const fn within(mut self, directory: &'a Path) -> Self {
        self.directory = Some(directory);
        self
    }

    /// With this variable.
    pub fn with(mut self, name: &'static str, value: &Path) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }
}

impl Calls<'_> {
    /// Runs git; gives what it printed.
    ///
    /// # Errors
    /// `NoProgram`, `Start`, `Refused`, `Cancelled`.
    pub fn run(&self, call: &Call<'_>) -> Result<String, GitError> {
        let mut command = Command::new("git");
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(&call.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Of its own group, so that ssh and the helpers of git end with it.
        command.process_group(0);
        for name in REPOSITORY_VARIABLES {
            command.env_remove(name);
        }
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        if let Some(ssh) = &self.ssh {
            command.env("GIT_SSH_COMMAND", ssh);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(call.variables.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = call.directory {
            command.current_dir(directory);
        }
        let child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if call.directory.is_none_or(Path::is_dir) => {
                GitError::NoProgram { url: self.url.clone() }
            }
            _ => GitError::Start { url: self.url.clone(), source },
        })?;
        self.wait(child, call.action)
    }

    /// Sets one more value of git's configuration, behind those that the environment has already.
    pub fn configure(&mut self, key: &str, value: &str) {
        let count = std::env::var("GIT_CONFIG_COUNT").ok().and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
        let pairs = [
            ("GIT_CONFIG_COUNT".to_owned(), (count + 1).to_string()),
            (format!("GIT_CONFIG_KEY_{count}"), key.to_owned()),
            (format!("GIT_CONFIG_VALUE_{count}"), value.to_owned()),
        ];
        self.variables.extend(pairs.map(|(name, value)| (name, value.into())));
    }

    /// Whether git does it; an answer, not an error.
    pub fn succeeds(&self, call: &Call<'_>) -> Result<bool, GitError> {
        match self.run(call) {
            Ok(_) => Ok(true),
            Err(GitError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn wait(&self, mut child: Child, action: &'static str) -> Result<String, GitError> {
        let failed = |source| GitError::Start { url: self.url.clone(), source };
        let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
        let status = loop {
            if (self.cancelled)() {
                end(&mut child);
                return Err(GitError::Cancelled);
            }
            match child.try_wait().map_err(failed)? {
                Some(status) => break status,
                None => std::thread::sleep(LOOK_AGAIN),
            }
        };
        if status.success() {
            return Ok(String::from_utf8_lossy(&out.join().unwrap_or_default()).into_owned());
        }
        let message = message_of(&err.join().unwrap_or_default());
        Err(GitError::Refused { url: self.url.clone(), action, message })
    }
}

/// Ends git and everything it started. Fails only when it is over already.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

/// A pipe to its end; a broken one ends where it broke.
fn read(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Git's last words on one line, without the passwords of URLs in them.
fn message_of(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("hint:"));
    let words = |line: &str| line.split(' ').map(hide_password).collect::<Vec<_>>().join(" ");
    let mut message = lines.map(words).collect::<Vec<_>>().join("; ");
    if message.len() > MESSAGE_BYTES_MAX {
        let at = message.ceil_char_boundary(message.len() - MESSAGE_BYTES_MAX);
        message.replace_range(..at, "…");
    }
    if message.is_empty() { "it says nothing more".to_owned() } else { message }
}

fn hide_password(word: &str) -> String {
    let start = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
    format!("{}{}", &word[..start], crossdock_llb::url::redact(&word[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_and_hide_passwords() {
        let text = b"hint: x\nfatal: unable to access 'https://u:secret@h/r.git/': no\n\nremote: y\n";
        assert_eq!(message_of(text), "fatal: unable to access 'https://u:xxxxx@h/r.git/': no; remote: y");
        assert_eq!(message_of(b""), "it says nothing more");
        assert!(message_of("ä".repeat(5_000).as_bytes()).len() < MESSAGE_BYTES_MAX + 10);
    }

    #[test]
    fn a_cancelled_call_ends_its_process() {
        let calls = Calls { url: "u".to_owned(), cancelled: &|| true, ssh: None, variables: Vec::new() };
        let began = std::time::Instant::now();
        let outcome = calls.run(&Call::new("wait for", &["-c", "alias.w=!sleep 30", "w"]));
        assert!(began.elapsed() < Duration::from_secs(20));
        assert!(matches!(outcome, Err(GitError::Cancelled | GitError::NoProgram { .. })));
    }
}
