//! In: one request on its own socket. Out: its answer on the same socket. Never: a second request.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::request::{Reply, Request};
use super::{channel, layers, pack};
use crate::error::ExecutorError;
use crate::sandbox;

/// What every worker knows about its keeper.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// A directory that private mounts may cover.
    pub(crate) place: PathBuf,
    /// Whether this is a user namespace, where overlay's marks are user attributes.
    pub(crate) userxattr: bool,
    /// Whether only one id exists here.
    pub(crate) one_id: bool,
}

/// A reply and the descriptor that goes with it.
type Answer = (Reply, Option<OwnedFd>);

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
    let (answer, file) =
        dispatch(request, descriptors, stream, context).unwrap_or_else(|error| (Reply::Failed(error), None));
    let attached: Vec<_> = file.iter().map(AsFd::as_fd).collect();
    // When the program is gone there is nobody left to tell.
    let _ = channel::send(stream, &answer, &attached);
}

fn dispatch(
    request: Request,
    descriptors: Vec<OwnedFd>,
    stream: &UnixStream,
    context: &Context,
) -> Result<Answer, ExecutorError> {
    let plain = |reply: Reply| (reply, None);
    Ok(match request {
        Request::Ping => plain(Reply::Pong),
        Request::Apply(request) => plain(Reply::Applied(layers::apply(&request, only(descriptors)?, context)?)),
        Request::Diff(request) => plain(Reply::Diffed(layers::diff(&request, only(descriptors)?, context)?)),
        Request::Walk(request) => plain(layers::walk(&request, only(descriptors)?, context).map(|()| Reply::Done)?),
        Request::Export(request) => plain(layers::export(&request, only(descriptors)?, context).map(|()| Reply::Done)?),
        Request::ReadFile(request) => {
            let file = layers::open_file(&request, context)?;
            (Reply::Opened { found: file.is_some() }, file)
        }
        Request::Look(request) => plain(Reply::Looked(pack::look(&request, context)?)),
        Request::Pack(request) => plain(pack::pack(&request, only(descriptors)?, context).map(|()| Reply::Done)?),
        Request::Probe { snapshots } => plain(layers::probe(snapshots.as_path(), context).map(|()| Reply::Done)?),
        Request::Prepare { directory } => plain(layers::prepare(directory.as_path()).map(|()| Reply::Done)?),
        Request::Commit { directory } => plain(layers::commit(directory.as_path()).map(|()| Reply::Done)?),
        Request::Remove { directory } => plain(layers::remove(directory.as_path()).map(|()| Reply::Done)?),
        Request::Exec(spec) => plain(Reply::Exited(sandbox::run(&spec, descriptors, stream, context)?)),
    })
}

/// The one descriptor that comes with a request about layers.
fn only(mut descriptors: Vec<OwnedFd>) -> Result<OwnedFd, ExecutorError> {
    match descriptors.len() {
        1 => Ok(descriptors.remove(0)),
        count => Err(ExecutorError::Protocol { what: format!("{count} descriptors where one is needed") }),
    }
}
