//! In: `create|start|stop|ps|cp|rm|logs|wait|inspect`. Out: containers kept in the state directory, Docker's words. Never: a build.

use crate::args::containers::{CpArgs, InspectArgs, LogsArgs, PsArgs, RmArgs, StartArgs, StopArgs, WaitArgs};
use crate::args::run::RunArgs;
use crate::error::CliError;

/// `create`
pub fn create(_args: &RunArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "create".to_owned(), why: "it comes with the next version" })
}

/// `start`
pub fn start(_args: &StartArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "start".to_owned(), why: "it comes with the next version" })
}

/// `stop`
pub fn stop(_args: &StopArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "stop".to_owned(), why: "it comes with the next version" })
}

/// `ps`
pub fn list(_args: &PsArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "ps".to_owned(), why: "it comes with the next version" })
}

/// `cp`
pub fn copy(_args: &CpArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "cp".to_owned(), why: "it comes with the next version" })
}

/// `rm`
pub fn remove(_args: &RmArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "rm".to_owned(), why: "it comes with the next version" })
}

/// `logs`
pub fn logs(_args: &LogsArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "logs".to_owned(), why: "it comes with the next version" })
}

/// `wait`
pub fn wait(_args: &WaitArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "wait".to_owned(), why: "it comes with the next version" })
}

/// `inspect`
pub fn inspect(_args: &InspectArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "inspect".to_owned(), why: "it comes with the next version" })
}
