//! In: Docker's contexts, engines' sockets, this machine. Out: what a builder's endpoint means and whether somebody answers there. Never: a change of any of them.

use std::fmt::Debug;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crossdock_docker::endpoint::{DEFAULT_HOST, parse_host};
use crossdock_docker::{Answer, CancelCheck, DEFAULT_CONTEXT, DockerError, Endpoint, EngineApi, Settings, context};
use crossdock_oci::Platform;

use crate::error::BuildersError;

/// How long a daemon elsewhere may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether an engine is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    Answers,
    /// Nobody who could be used: the reason.
    Nobody(String),
    /// It cannot be told, for want of a means to connect: the reason.
    Unknown(String),
}

/// What is asked of engines and daemons; tests answer without sockets.
pub trait Engines: Debug + Sync {
    /// Whether an engine answers.
    fn presence(&self, endpoint: &Endpoint) -> Presence;
    /// The state of a container (`running`, `exited`, …); `None` when there is no such container.
    ///
    /// # Errors
    /// When the engine does not say.
    fn container(&self, endpoint: &Endpoint, name: &str) -> Result<Option<String>, DockerError>;
    /// Whether a daemon answers at `unix://…` or `tcp://…`.
    ///
    /// # Errors
    /// The reason why not.
    fn daemon(&self, endpoint: &str) -> Result<(), String>;
}

/// The real ones.
#[derive(Debug, Default)]
pub struct Sockets;

impl Engines for Sockets {
    fn presence(&self, endpoint: &Endpoint) -> Presence {
        match EngineApi::find(endpoint, CancelCheck::default()) {
            Ok(Answer::Engine(_)) => Presence::Answers,
            Ok(Answer::Nobody(error)) => Presence::Nobody(error.to_string()),
            Err(error @ DockerError::NotYet { .. }) => Presence::Unknown(error.to_string()),
            Err(error) => Presence::Nobody(error.to_string()),
        }
    }

    fn container(&self, endpoint: &Endpoint, name: &str) -> Result<Option<String>, DockerError> {
        let Answer::Engine(api) = EngineApi::find(endpoint, CancelCheck::default())? else { return Ok(None) };
        match api.document(&format!("/containers/{name}/json")) {
            Ok(document) => Ok(Some(document["State"]["Status"].as_str().unwrap_or("unknown").to_owned())),
            Err(DockerError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn daemon(&self, endpoint: &str) -> Result<(), String> {
        let said = |error: std::io::Error| format!("failed to connect to {endpoint}: {error}");
        match endpoint.split_once("://") {
            Some(("unix", path)) => UnixStream::connect(path).map(drop).map_err(said),
            Some(("tcp", address)) => {
                let mut last = std::io::Error::other("the name has no address");
                for address in address.to_socket_addrs().map_err(said)? {
                    match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                        Ok(_) => return Ok(()),
                        Err(error) => last = error,
                    }
                }
                Err(said(last))
            }
            _ => Err(format!("{endpoint} cannot be asked yet: that comes with remote nodes")),
        }
    }
}

/// Everything outside the state that builders depend on.
#[derive(Debug)]
pub struct World<'a> {
    pub docker: &'a Settings,
    pub engines: &'a dyn Engines,
    /// The version of the embedded engine.
    pub version: String,
    /// What runs on this machine, its own platforms first.
    pub platforms: Vec<Platform>,
    /// The machine's name.
    pub host_name: String,
    /// `BUILDKIT_HOST`
    pub buildkit_host: Option<String>,
    /// `KUBECONFIG`
    pub kubeconfig: String,
}

impl World<'_> {
    /// The key of the engine that is meant: builders in use are remembered by it.
    ///
    /// # Errors
    /// When Docker's configuration does not make sense.
    pub fn key(&self) -> Result<String, BuildersError> {
        Ok(self.docker.endpoint()?.key().to_owned())
    }

    /// The context that is meant.
    ///
    /// # Errors
    /// When Docker's configuration does not make sense.
    pub fn current_context(&self) -> Result<String, BuildersError> {
        Ok(self.docker.context_name()?)
    }

    /// All contexts, `default` first.
    pub fn contexts(&self) -> Vec<String> {
        let named = context::list(&self.docker.config_dir()).into_iter().map(|meta| meta.name);
        std::iter::once(DEFAULT_CONTEXT.to_owned()).chain(named.filter(|name| name != DEFAULT_CONTEXT)).collect()
    }

    /// Whether a context of this name is there.
    pub fn has_context(&self, name: &str) -> bool {
        self.contexts().iter().any(|context| context == name)
    }

    /// The engine that a node's endpoint means: a context, or a host.
    ///
    /// # Errors
    /// When it is neither.
    pub fn engine_of(&self, endpoint: &str) -> Result<Endpoint, BuildersError> {
        if self.has_context(endpoint) || !endpoint.contains("://") {
            return Ok(self.docker.endpoint_of(endpoint)?);
        }
        let host = parse_host(endpoint, false)?;
        Ok(Endpoint { context: DEFAULT_CONTEXT.to_owned(), host, tls: false })
    }
}

/// Whether this is where an engine listens when nobody said anything: then its absence is no failure.
pub fn is_everybodys(endpoint: &Endpoint) -> bool {
    endpoint.host == DEFAULT_HOST
}

/// Whether a host is on this machine.
pub fn is_here(host: &str) -> bool {
    host.starts_with("unix://")
}
