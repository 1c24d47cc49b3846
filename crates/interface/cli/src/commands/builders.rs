//! In: `buildx create|use|ls|inspect|rm|stop`. Out: builders made, chosen, shown. Never: a build.

use crate::args::builders::{CreateArgs, InspectArgs, LsArgs, RmArgs, StopArgs, UseArgs};
use crate::error::CliError;
use crate::face::Session;

/// `buildx create`
pub fn create(_session: &Session, _args: &CreateArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "buildx create".to_owned(), why: "it comes with the next version" })
}

/// `buildx use`
pub fn choose(_session: &Session, _args: &UseArgs, _builder: Option<&str>) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "buildx use".to_owned(), why: "it comes with the next version" })
}

/// `buildx ls`
pub fn list(_session: &Session, _args: &LsArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "buildx ls".to_owned(), why: "it comes with the next version" })
}

/// `buildx inspect`
pub fn inspect(_session: &Session, _args: &InspectArgs, _builder: Option<&str>) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "buildx inspect".to_owned(), why: "it comes with the next version" })
}

/// `buildx rm`
pub fn remove(_session: &Session, _args: &RmArgs, _builder: Option<&str>) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "buildx rm".to_owned(), why: "it comes with the next version" })
}

/// `buildx stop`
pub fn stop(_session: &Session, _args: &StopArgs, _builder: Option<&str>) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "buildx stop".to_owned(), why: "it comes with the next version" })
}
