//! In: errors of every room. Out: what the user reads, and the exit code. Never: a decision elsewhere about either.

use std::process::ExitCode;

use crossdock_build::BuildError;
use crossdock_dockerfile::{LineRange, excerpt};
use crossdock_executor::{ExecFailure, ExecutorError};
use crossdock_frontend::outcome::SourceFile;

/// Exit code of a cancelled command (spec/cli.md §1).
const CANCELLED: u8 = 130;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("failed to build: {}", build_text(.source))]
    Build { source: Box<BuildError>, dockerfile: Option<SourceFile> },
    #[error("{0}")]
    Engine(#[from] BuildError),
    #[error(transparent)]
    Image(#[from] crossdock_image::ImageError),
    #[error(transparent)]
    Registry(#[from] crossdock_registry::RegistryError),
    #[error(transparent)]
    Content(#[from] crossdock_content::ContentError),
    #[error(transparent)]
    Reference(#[from] crossdock_oci::ReferenceError),
    #[error(transparent)]
    Platform(#[from] crossdock_oci::PlatformError),
    #[error(transparent)]
    List(#[from] crossdock_lists::ListError),
    #[error(transparent)]
    Output(#[from] crossdock_exporter::SpecError),
    #[error("{0}")]
    Container(#[source] crossdock_containers::ContainerError),
    #[error(transparent)]
    Docker(#[from] crossdock_docker::DockerError),
    #[error(transparent)]
    Builders(#[from] crossdock_builders::BuildersError),
    #[error(transparent)]
    Register(#[from] crossdock_emulation::register::RegisterError),
    #[error("{cause}\nThis takes root: {command}\n{hint}")]
    NoRights { cause: crossdock_emulation::register::RegisterError, command: String, hint: &'static str },
    /// A result that is kept here and did not reach the engine it was meant for.
    #[error("failed to load into the engine at {host}: {source}; the image is kept in the local store")]
    NotLoaded { host: String, source: Box<CliError> },
    #[error("the engine took the image, but does not know it as {0}")]
    LoadedElse(String),
    #[error("{0}")]
    Usage(String),
    #[error("{flag} is not supported yet: {why}")]
    NotYet { flag: String, why: &'static str },
    #[error("{action} {path}: {source}")]
    File { action: &'static str, path: String, source: std::io::Error },
    #[error(
        "the store is damaged: {count} findings; `crossdock check-store --repair` drops damaged blobs, so that they are fetched or made again"
    )]
    Damaged { count: usize },
    #[error("login to {server} as {user:?} failed: incorrect username or password, says the registry: {message}")]
    LoginRefused { server: String, user: String, message: String },
    /// A failure of a verb that is Docker's client's own: it says the text and nothing in front.
    #[error("{0}")]
    Bare(Box<CliError>),
    /// A failure whose exit code scripts know.
    #[error("{source}")]
    Code { source: Box<CliError>, code: u8 },
    /// The process that was run ended with this code; nothing is to be said.
    #[error("exit code {0}")]
    Exited(u8),
    #[error("context canceled")]
    Cancelled,
}

/// Errors of steps read `failed to solve: …`, as BuildKit's clients print them.
fn build_text(error: &BuildError) -> String {
    match error {
        BuildError::Step(_) | BuildError::Frontend(_) | BuildError::Bridge(_) => format!("failed to solve: {error}"),
        other => other.to_string(),
    }
}

impl From<crossdock_containers::ContainerError> for CliError {
    fn from(error: crossdock_containers::ContainerError) -> Self {
        use crossdock_containers::ContainerError;
        match error {
            ContainerError::Engine(error) => Self::Engine(*error),
            ContainerError::Executor(error) => Self::Engine(BuildError::Executor(error)),
            ContainerError::Content(error) => Self::Content(error),
            other => Self::Container(other),
        }
    }
}

impl CliError {
    /// A flag's value that Docker's client refuses while it reads the flags.
    pub fn bad_flag(flag: &str, value: &str, why: &str) -> Self {
        let text = format!("invalid argument {value:?} for {flag:?} flag: {why}");
        Self::Code { source: Box::new(Self::Bare(Box::new(Self::Usage(text)))), code: 125 }
    }

    /// The exit code of `docker run` for a container that did not start.
    pub const fn start_code(&self) -> u8 {
        match self {
            Self::Engine(BuildError::Executor(ExecutorError::ExecFailed { reason, .. })) => not_started(reason),
            _ => 125,
        }
    }

    /// Prints what the user should read and gives the exit code; with `debug` the step and its causes, too.
    pub fn report(&self, debug: bool) -> ExitCode {
        match self {
            Self::Exited(code) => return ExitCode::from(*code),
            Self::Code { source, code } => {
                let usual = source.report(debug);
                return if usual == ExitCode::FAILURE { ExitCode::from(*code) } else { usual };
            }
            Self::Bare(source) if matches!(**source, Self::List(_) | Self::Usage(_)) => {
                say(&source.to_string());
                return ExitCode::FAILURE;
            }
            Self::Bare(source) => return source.report(debug),
            Self::Cancelled => {
                say("ERROR: context canceled");
                return ExitCode::from(CANCELLED);
            }
            Self::Engine(source) if source.is_cancelled() => {
                say("ERROR: context canceled");
                return ExitCode::from(CANCELLED);
            }
            Self::Engine(BuildError::Executor(ExecutorError::ExecFailed { reason, .. })) => {
                say(&format!("ERROR: {self}"));
                return ExitCode::from(not_started(reason));
            }
            Self::Build { source, .. } if source.is_cancelled() => {
                say("ERROR: failed to build: context canceled");
                return ExitCode::from(CANCELLED);
            }
            Self::Build { source, dockerfile } => {
                if let Some(text) = excerpt_of(source, dockerfile.as_ref()) {
                    say(text.trim_end());
                }
            }
            _ => {}
        }
        let text = format!("ERROR: {self}");
        say(&text);
        if debug {
            self.details(&text);
        }
        ExitCode::FAILURE
    }

    /// The failed step's identity, and every cause whose words are not said yet.
    fn details(&self, said: &str) {
        if let Self::Build { source, .. } = self
            && let Some(step) = source.step()
        {
            let platform = step.platform.as_ref().map_or_else(String::new, |platform| format!(", {platform}"));
            say(&format!("  step: {} ({}{platform})", step.name, step.vertex));
        }
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.contains(&text) {
                say(&format!("  caused by: {text}"));
            }
            cause = error.source();
        }
    }
}

/// Exit codes of shells and Docker for a program that did not start: 127 not found, 126 not executable.
const fn not_started(reason: &ExecFailure) -> u8 {
    match reason {
        ExecFailure::NotInPath | ExecFailure::Stat { .. } => 127,
        _ => 126,
    }
}

/// The lines of the Dockerfile the failure belongs to.
fn excerpt_of(error: &BuildError, dockerfile: Option<&SourceFile>) -> Option<String> {
    let (location, file) = match error {
        BuildError::Step(step) => (step.locations.first()?, dockerfile?),
        BuildError::Frontend(error) => (error.location.as_ref()?, error.source_file.as_ref()?),
        _ => return None,
    };
    let lines = LineRange { first: location.first_line, last: location.last_line };
    excerpt::render(&file.name, &file.text, &[lines])
}

/// One failure of several: all but the last are said here, the last is the command's.
pub fn all(mut failures: Vec<CliError>) -> Result<(), CliError> {
    let Some(last) = failures.pop() else { return Ok(()) };
    failures.iter().for_each(|error| {
        error.report(false);
    });
    Err(last)
}

/// One line for the user, on standard error.
#[expect(clippy::print_stderr, reason = "this is where the program speaks to its user")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// A command's whole result; a disk that is full ends the command, a reader that went away does not.
pub fn whole_result(text: &str) -> Result<(), CliError> {
    use std::io::Write;
    let mut out = std::io::stdout();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::File { action: "write", path: "/dev/stdout".to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// One line of a command's result, on standard output. A reader that went away ends nothing: the work is done.
pub fn result(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}
