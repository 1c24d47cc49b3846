//! In: `manifest …`. Out: lists in Docker's manifests directory and in registries. Never: a layer moved through this machine when the registry can mount it.

use crate::args::lists::{AnnotateArgs, ListCreateArgs, ListInspectArgs, ListPruneArgs, ListPushArgs, ListRmArgs};
use crate::error::CliError;

/// `manifest create`
pub fn create(_args: &ListCreateArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "manifest create".to_owned(), why: "it comes with the next version" })
}

/// `manifest annotate`
pub fn annotate(_args: &AnnotateArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "manifest annotate".to_owned(), why: "it comes with the next version" })
}

/// `manifest inspect`
pub fn inspect(_args: &ListInspectArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "manifest inspect".to_owned(), why: "it comes with the next version" })
}

/// `manifest push`
pub fn push(_args: &ListPushArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "manifest push".to_owned(), why: "it comes with the next version" })
}

/// `manifest rm`
pub fn remove(_args: &ListRmArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "manifest rm".to_owned(), why: "it comes with the next version" })
}

/// `manifest ls`
pub fn list() -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "manifest ls".to_owned(), why: "it comes with the next version" })
}

/// `manifest prune`
pub fn prune(_args: &ListPruneArgs) -> Result<(), CliError> {
    Err(CliError::NotYet { flag: "manifest prune".to_owned(), why: "it comes with the next version" })
}
