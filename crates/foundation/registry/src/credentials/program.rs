//! In: the name of a credential helper and a host. Out: the user name and secret it knows. Never: what it printed in an error, for that may be the secret.
//!
//! The protocol is docker-credential-helpers': `docker-credential-NAME get`, the host on standard input, JSON on standard
//! output; a failure prints a message on standard output, too, and `credentials not found…` is none.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Secret;

/// Most bytes taken from a helper.
const OUTPUT_SIZE_MAX: u64 = 1 << 20;
/// How long a helper may take: some ask the user or a cloud.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often a running helper is looked at.
const POLL: Duration = Duration::from_millis(5);

/// What a helper answered.
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(rename = "Username", default)]
    pub user: String,
    #[serde(rename = "Secret", default)]
    pub secret: Secret,
}

/// Gives a helper credentials to keep.
pub(super) fn store(
    name: &str,
    dirs: Option<&[PathBuf]>,
    host: &str,
    user: &str,
    secret: &Secret,
) -> Result<(), String> {
    let entry = serde_json::json!({ "ServerURL": host, "Username": user, "Secret": secret.expose() });
    call(name, dirs, "store", entry.to_string().as_bytes())?.map(|_| ())
}

/// Makes a helper forget; one that knew nothing is content.
pub(super) fn erase(name: &str, dirs: Option<&[PathBuf]>, host: &str) -> Result<(), String> {
    match call(name, dirs, "erase", host.as_bytes())? {
        Err(reason) if reason.contains("not found") => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}

/// Asks a helper; `None` when it knows no credentials for the host, the reason when it cannot be asked.
pub(super) fn get(name: &str, dirs: Option<&[PathBuf]>, host: &str) -> Result<Option<Answer>, String> {
    let bytes = match call(name, dirs, "get", host.as_bytes())? {
        Ok(bytes) => bytes,
        // All known helpers begin their "I know nothing" like this.
        Err(reason) if reason.starts_with("credentials not found") => return Ok(None),
        Err(reason) if reason.is_empty() => return Err("it failed without a message".to_owned()),
        Err(reason) => return Err(format!("it failed: {reason}")),
    };
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|_| "its answer is not the expected JSON".to_owned())?;
    Ok((!answer.secret.is_empty() || !answer.user.is_empty()).then_some(answer))
}

/// What the helper printed when it succeeded; else the first line of its message. The outer error: it could not be run.
type Called = Result<Vec<u8>, String>;

fn call(name: &str, dirs: Option<&[PathBuf]>, verb: &str, input: &[u8]) -> Result<Called, String> {
    if name.contains(['/', '\0']) {
        return Err("a helper's name must not hold a slash".to_owned());
    }
    let file = format!("docker-credential-{name}");
    let program = match dirs {
        Some(dirs) => dirs.iter().map(|dir| dir.join(&file)).find(|path| path.is_file()),
        None => Some(PathBuf::from(&file)),
    };
    let program = program.ok_or_else(|| "not found".to_owned())?;
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "executable file not found in $PATH".to_owned(),
            _ => format!("cannot run it: {error}"),
        })?;
    if let Some(mut pipe) = child.stdin.take() {
        // A helper that does not read its input still may answer.
        let _ = pipe.write_all(input);
    }
    let output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        output.map(|pipe| pipe.take(OUTPUT_SIZE_MAX).read_to_end(&mut bytes)).transpose().map(|_| bytes)
    });
    let succeeded = wait(&mut child)?;
    let bytes = reader.join().map_err(|_| "its output cannot be read".to_owned())?;
    let bytes = bytes.map_err(|error| format!("its output cannot be read: {error}"))?;
    if succeeded {
        return Ok(Ok(bytes));
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Err(text.trim().lines().next().unwrap_or_default().chars().take(200).collect()))
}

/// Waits for the helper's end; kills it when it takes too long.
fn wait(child: &mut Child) -> Result<bool, String> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer within {} s", TIMEOUT.as_secs()));
            }
            Err(error) => return Err(format!("cannot wait for it: {error}")),
        }
    }
}
