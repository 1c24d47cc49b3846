//! In: the flags in front of the verb, Docker's config.json. Out: what Docker's client says of them before any verb. Never: a verb stopped by a configuration it does not need.

use crossdock_docker::DockerError;

use super::{Face, Session};
use crate::error::{CliError, say};

/// The words the log level may have.
const LEVELS: [&str; 8] = ["panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"];

/// Refuses a log level that is none; warns of a config.json that cannot be read. Behind Docker's client that client does.
pub fn before_any_verb(session: &Session) -> Result<(), CliError> {
    if let Some(level) = session.globals.log_level.as_deref()
        && !LEVELS.contains(&level.to_ascii_lowercase().as_str())
    {
        let text = CliError::Usage(format!("Unable to parse logging level: {level}"));
        return Err(CliError::Bare(Box::new(text)));
    }
    if session.face == Face::Plugin {
        return Ok(());
    }
    match session.docker().config_file() {
        Err(DockerError::ConfigParse { path, reason }) => {
            say(&format!("WARNING: Error parsing config file ({}): {reason}", path.display()));
        }
        Err(error) => say(&format!("WARNING: Error loading config file: {error}")),
        Ok(_) => {}
    }
    Ok(())
}
