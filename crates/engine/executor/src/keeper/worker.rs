//! In: one request on its own socket. Out: its answer on the same socket. Never: a second request.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::channel;
use super::request::{Reply, Request};
use crate::error::ExecutorError;
use crate::sandbox;

/// What every worker knows about its keeper.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// A directory that private mounts may cover.
    pub(crate) place: PathBuf,
    /// Whether this is a user namespace, where overlay's marks are user attributes.
    pub(crate) userxattr: bool,
}

/// Serves one request.
pub(super) fn run(stream: &UnixStream, context: &Context) {
    let (request, descriptors) = match channel::receive::<Request>(stream) {
        Ok(Some(received)) => received,
        Ok(None) => return,
        Err(error) => {
            let _ = channel::send(stream, &Reply::Failed(ExecutorError::Protocol { what: error.to_string() }), &[]);
            return;
        }
    };
    let answer = dispatch(request, descriptors, stream, context).unwrap_or_else(Reply::Failed);
    // When the program is gone there is nobody left to tell.
    let _ = channel::send(stream, &answer, &[]);
}

fn dispatch(
    request: Request,
    descriptors: Vec<OwnedFd>,
    stream: &UnixStream,
    context: &Context,
) -> Result<Reply, ExecutorError> {
    match request {
        Request::Ping => Ok(Reply::Pong),
        Request::Prepare { directory } => prepare(directory.as_path()).map(|()| Reply::Done),
        Request::Commit { directory } => remove(&directory.as_path().join("work")).map(|()| Reply::Done),
        Request::Remove { directory } => remove(directory.as_path()).map(|()| Reply::Done),
        Request::Exec(spec) => sandbox::run(&spec, descriptors, stream, context).map(Reply::Exited),
        other => Err(ExecutorError::Protocol { what: format!("{} is not known", other.name()) }),
    }
}

fn prepare(directory: &Path) -> Result<(), ExecutorError> {
    for name in ["fs", "work"] {
        let path = directory.join(name);
        fs_err::create_dir_all(&path).map_err(|error| ExecutorError::io("make directory", path.display(), &error))?;
    }
    Ok(())
}

fn remove(directory: &Path) -> Result<(), ExecutorError> {
    match fs_err::remove_dir_all(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ExecutorError::io("remove", directory.display(), &error)),
    }
}
