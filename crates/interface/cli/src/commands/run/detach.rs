//! In: a container that shall run in the background. Out: a process of this program that runs it, in a session of its own. Never: a process that is left when its container has ended.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crossdock_containers::{Container, Containers, Logger, Pump};
use crossdock_executor::keeper::ExecStdio;

use super::attach::tee;
use crate::error::CliError;

/// The answer of a container that runs.
const STARTED: &str = "started";
/// The longest message of one that does not, in bytes.
const MESSAGE_BYTES_MAX: u64 = 64 << 10;

/// Starts a container in the background; returns when its program runs.
pub fn spawn(container: &Container) -> Result<(), CliError> {
    let failed = |source| CliError::File { action: "start", path: "a process for the container".to_owned(), source };
    let mut child = Command::new("/proc/self/exe")
        .arg0("crossdock")
        .args(["container", "supervise", &container.config.id])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let mut answer = String::new();
    if let Some(pipe) = child.stdout.take() {
        BufReader::new(pipe.take(MESSAGE_BYTES_MAX)).read_line(&mut answer).map_err(failed)?;
    }
    let answer = answer.trim_end();
    if answer == STARTED {
        return Ok(());
    }
    let _ = child.wait();
    let (code, text) = answer.split_once(' ').unwrap_or(("125", "the process that was to run it died"));
    let text = serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned());
    let code = code.parse().unwrap_or(125);
    Err(CliError::Code { source: Box::new(CliError::Usage(text)), code })
}

/// `container supervise ID`: what [`spawn`] starts. Tells on standard output how it went, then says nothing more.
pub fn supervise(id: &str) -> Result<(), CliError> {
    // A session of its own: the terminal it was started from may close.
    let _ = rustix::process::setsid();
    let mut tell = std::io::stdout();
    match start(id) {
        Ok((live, pumps, _input)) => {
            let _ = writeln!(tell, "{STARTED}").and_then(|()| tell.flush());
            if let Ok(null) = fs_err::OpenOptions::new().write(true).open("/dev/null") {
                let _ = rustix::stdio::dup2_stdout(null.file());
            }
            live.wait(|| pumps.into_iter().for_each(Pump::join))?;
            Ok(())
        }
        Err(error) => {
            let text = serde_json::to_string(&error.to_string()).unwrap_or_default();
            let _ = writeln!(tell, "{} {text}", error.start_code()).and_then(|()| tell.flush());
            Err(CliError::Exited(1))
        }
    }
}

type Started = (crossdock_containers::Live, Vec<Pump>, Option<std::io::PipeWriter>);

fn start(id: &str) -> Result<Started, CliError> {
    let engine = super::super::engine()?;
    let containers = Containers::new(&engine);
    let container = containers.find(id)?;
    let logger = Arc::new(Logger::open(&container.log_path())?);
    let mut stdio = ExecStdio::default();
    let mut input = None;
    let mut pumps = Vec::new();
    let silent = crossdock_progress::Progress::silent();
    let has_terminal = container.config.request.terminal.is_some();
    if container.config.interactive && !has_terminal {
        // Open and empty, as a program that waits for input expects it.
        let failed = |source| CliError::File { action: "make", path: "a pipe".to_owned(), source };
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        stdio.stdin = Some(reader.into());
        input = Some(writer);
    }
    let pipes = if has_terminal { None } else { Some(tee(&mut stdio)?) };
    let mut live = containers.start(&container, stdio, None, &silent, &|| {})?;
    if let Some([out, err]) = pipes {
        pumps.push(Pump::start(out, "stdout", Some(Arc::clone(&logger)), None));
        pumps.push(Pump::start(err, "stderr", Some(logger), None));
    } else if let Some(terminal) = live.take_terminal() {
        pumps.push(Pump::start(terminal, "stdout", Some(logger), None));
    }
    Ok((live, pumps, input))
}
