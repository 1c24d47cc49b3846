//! In: `run …`. Out: the process, its terminal, its exit code. Never: a container that stays.

use std::io::{IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use crossdock_build::{Engine, RunRequest, RunningImage, inherited_stdio};
use crossdock_executor::HostPath;
use crossdock_executor::keeper::ExecStdio;
use crossdock_executor::sandbox::{MountSource, SandboxMount, TerminalSize};
use crossdock_image::LocalImage;
use crossdock_llb::Network;
use crossdock_oci::{Platform, Reference};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::engine;
use super::transfer::shown;
use crate::args::run::RunArgs;
use crate::error::CliError;

/// `run`
pub fn run(args: &RunArgs) -> Result<(), CliError> {
    let request = request(args)?;
    let engine = engine()?;
    let image = find_or_pull(&engine, &args.image, request.platform.as_ref())?;
    let stdio = if args.tty { ExecStdio::default() } else { inherited_stdio(args.interactive)? };
    let running = shown(true, |progress| engine.run(&image, &request, stdio, progress))?;
    let code = if args.tty {
        with_terminal(running, args.interactive)?
    } else {
        running.running.wait().map_err(crossdock_build::BuildError::from)?.code
    };
    if engine.is_cancelled() {
        return Err(CliError::Cancelled);
    }
    match code {
        0 => Ok(()),
        code => Err(CliError::Exited(u8::try_from(code).unwrap_or(255))),
    }
}

fn request(args: &RunArgs) -> Result<RunRequest, CliError> {
    let default = std::env::var("DOCKER_DEFAULT_PLATFORM").ok().filter(|text| !text.is_empty());
    let platform = args.platform.clone().or(default).map(|text| text.parse::<Platform>()).transpose()?;
    let env = args.env.iter().filter_map(|word| {
        if word.contains('=') {
            Some(word.clone())
        } else {
            std::env::var(word).ok().map(|value| format!("{word}={value}"))
        }
    });
    let network = match args.network.as_str() {
        "host" | "default" | "bridge" => Network::Host,
        "none" => Network::None,
        other => return Err(CliError::Usage(format!("--network {other}: host and none are supported"))),
    };
    let mounts = args.volumes.iter().map(|text| volume(text)).collect::<Result<Vec<_>, _>>()?;
    let mut env: Vec<String> = env.collect();
    if args.tty && !env.iter().any(|pair| pair.starts_with("TERM=")) {
        env.push("TERM=xterm".to_owned());
    }
    Ok(RunRequest {
        platform,
        entrypoint: args.entrypoint.clone(),
        args: args.command.clone(),
        env,
        cwd: args.workdir.clone(),
        user: args.user.clone(),
        hostname: args.hostname.clone().unwrap_or_default(),
        network,
        mounts,
        terminal: args.tty.then(terminal_size),
        readonly: false,
    })
}

/// `HOST:CONTAINER[:ro|rw]`
fn volume(text: &str) -> Result<SandboxMount, CliError> {
    let bad = |why: &str| CliError::Usage(format!("invalid volume {text:?}: {why}; write HOST:CONTAINER[:ro]"));
    let mut parts = text.split(':');
    let (Some(host), Some(dest)) = (parts.next(), parts.next()) else { return Err(bad("it has no colon")) };
    let readonly = match parts.next() {
        None | Some("rw" | "z" | "Z") => false,
        Some("ro") => true,
        Some(_) => return Err(bad("unknown option")),
    };
    if !dest.starts_with('/') {
        return Err(bad("the container's path must be absolute"));
    }
    let path = fs_err::canonicalize(Path::new(host)).map_err(|_| bad("the host's path does not exist"))?;
    Ok(SandboxMount { dest: dest.to_owned(), readonly, source: MountSource::Host(HostPath::from(path)) })
}

fn find_or_pull(engine: &Engine, name: &str, platform: Option<&Platform>) -> Result<LocalImage, CliError> {
    let missing = match engine.images().find(name) {
        Ok(image) => {
            let has = platform.is_none_or(|platform| engine.images().choose(&image, platform).is_ok());
            if has || image.row.kind == crossdock_image::ImageKind::Built {
                return Ok(image);
            }
            None
        }
        Err(error) => Some(error),
    };
    let reference: Reference = name.parse()?;
    let wanted = platform.cloned().unwrap_or_else(Platform::host);
    match engine.pull(&reference, &[wanted], platform.is_some(), &crossdock_progress::Progress::silent()) {
        Ok(report) => Ok(report.image),
        // The store's answer says what to do; the registry's says why pulling did not help.
        Err(error) => Err(missing.map_or_else(|| CliError::from(error), CliError::from)),
    }
}

fn terminal_size() -> TerminalSize {
    match tcgetwinsize(std::io::stdin()) {
        Ok(size) if size.ws_col > 0 => TerminalSize { rows: size.ws_row, columns: size.ws_col },
        _ => TerminalSize { rows: 24, columns: 80 },
    }
}

/// Puts the caller's terminal back when dropped.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter() -> Self {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Self(None);
        }
        let Ok(before) = tcgetattr(&stdin) else { return Self(None) };
        let mut raw = before.clone();
        raw.make_raw();
        let set = tcsetattr(&stdin, OptionalActions::Now, &raw);
        Self(set.ok().map(|()| before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Carries bytes between the caller's terminal and the process's until it ends.
fn with_terminal(mut running: RunningImage, interactive: bool) -> Result<i32, CliError> {
    let terminal: Option<OwnedFd> = running.running.take_terminal();
    let _raw = RawTerminal::enter();
    let failed = |source| CliError::File { action: "use", path: "the terminal".to_owned(), source };
    let reader = match terminal {
        Some(descriptor) => {
            let mut output = std::fs::File::from(descriptor);
            let mut input = output.try_clone().map_err(failed)?;
            if interactive {
                // Ends with the program: a blocked read of the terminal cannot be interrupted.
                std::thread::spawn(move || copy(&mut std::io::stdin(), &mut input));
            }
            Some(std::thread::spawn(move || copy(&mut output, &mut std::io::stdout())))
        }
        None => None,
    };
    let outcome = running.running.wait().map_err(crossdock_build::BuildError::from)?;
    if let Some(reader) = reader {
        let _ = reader.join();
    }
    Ok(outcome.code)
}

fn copy(from: &mut dyn Read, to: &mut dyn Write) {
    let mut buffer = [0; 8192];
    while let Ok(got) = from.read(&mut buffer) {
        if got == 0 || to.write_all(&buffer[..got]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}
