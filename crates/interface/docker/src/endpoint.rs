//! In: flags, variables and config.json of Docker's client. Out: which context and which engine are meant. Never: a connection.
//!
//! Precedence, as Docker's client has it: `--context`, then `--host`, then `DOCKER_HOST`, then `DOCKER_CONTEXT`, then
//! `currentContext` of config.json, then the context `default`. The host of `default` is `--host`, then `DOCKER_HOST`,
//! then the socket every engine has.

use std::path::{Path, PathBuf};

use crate::config::ConfigFile;
use crate::context;
use crate::error::DockerError;

/// The name of the context that stands for `--host`, `DOCKER_HOST` and the socket every engine has.
pub const DEFAULT_CONTEXT: &str = "default";
/// Where an engine listens when nothing else is said.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
const DEFAULT_TCP_PORT: &str = "2375";
const DEFAULT_TLS_PORT: &str = "2376";

/// The variables that matter, empty ones left out.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub home: Option<PathBuf>,
    pub docker_config: Option<PathBuf>,
    pub docker_host: Option<String>,
    pub docker_context: Option<String>,
    pub docker_tls: bool,
    pub docker_tls_verify: bool,
}

impl Environment {
    /// Of this process.
    pub fn of_process() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            home: path("HOME"),
            docker_config: path("DOCKER_CONFIG"),
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_tls: text("DOCKER_TLS").is_some(),
            docker_tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
        }
    }
}

/// What was asked for in front of the verb, with the variables: everything that chooses an engine.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--context`
    pub context: Option<String>,
    /// `--host`, as often as it was given
    pub hosts: Vec<String>,
    /// `--tls` or `--tlsverify`
    pub tls: bool,
    pub environment: Environment,
}

impl Settings {
    /// The directory of the client's configuration: `--config`, then `DOCKER_CONFIG`, then `~/.docker`.
    pub fn config_dir(&self) -> PathBuf {
        let chosen = self.config.clone().or_else(|| self.environment.docker_config.clone());
        chosen.unwrap_or_else(|| self.environment.home.clone().unwrap_or_else(|| PathBuf::from("/")).join(".docker"))
    }

    /// `config.json`; one that is missing is empty.
    ///
    /// # Errors
    /// When it cannot be read or is not JSON.
    pub fn config_file(&self) -> Result<ConfigFile, DockerError> {
        ConfigFile::read(&self.config_dir().join("config.json"))
    }

    /// The name of the context that is meant; nothing says that it exists.
    ///
    /// # Errors
    /// When flags exclude each other, or config.json cannot be read.
    pub fn context_name(&self) -> Result<String, DockerError> {
        if self.hosts.len() > 1 {
            return Err(DockerError::SeveralHosts);
        }
        if let Some(name) = self.context.as_ref().filter(|name| !name.is_empty()) {
            if !self.hosts.is_empty() {
                return Err(DockerError::HostAndContext);
            }
            return Ok(name.clone());
        }
        if !self.hosts.is_empty() || self.environment.docker_host.is_some() {
            return Ok(DEFAULT_CONTEXT.to_owned());
        }
        if let Some(name) = &self.environment.docker_context {
            return Ok(name.clone());
        }
        let current = self.config_file()?.current_context();
        Ok(current.unwrap_or_else(|| DEFAULT_CONTEXT.to_owned()))
    }

    /// The engine of the context that is meant.
    ///
    /// # Errors
    /// Those of [`Settings::context_name`] and [`Settings::endpoint_of`].
    pub fn endpoint(&self) -> Result<Endpoint, DockerError> {
        self.endpoint_of(&self.context_name()?)
    }

    /// The engine of one context.
    ///
    /// # Errors
    /// When there is no such context, it names no engine, or its host cannot be understood.
    pub fn endpoint_of(&self, context: &str) -> Result<Endpoint, DockerError> {
        if context == DEFAULT_CONTEXT {
            let tls = self.tls || self.environment.docker_tls || self.environment.docker_tls_verify;
            let said = self.hosts.first().map(String::as_str).or(self.environment.docker_host.as_deref());
            let host = parse_host(said.unwrap_or_default(), tls)?;
            return Ok(Endpoint { context: context.to_owned(), host, tls });
        }
        let meta = context::read(&self.config_dir(), context)?;
        let host = parse_host(&meta.host, meta.tls)?;
        Ok(Endpoint { context: context.to_owned(), host, tls: meta.tls })
    }
}

/// One engine, as the user chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The name of the context, `default` for the one that needs no file.
    pub context: String,
    /// `unix:///path`, `tcp://host:port`, `ssh://…`
    pub host: String,
    /// Whether the connection is to be encrypted.
    pub tls: bool,
}

impl Endpoint {
    /// The key under which buildx remembers the builder in use: the context's name, for `default` the host.
    pub fn key(&self) -> &str {
        if self.context == DEFAULT_CONTEXT { &self.host } else { &self.context }
    }

    /// The socket's path, when the engine is reached by one.
    pub fn socket(&self) -> Option<&Path> {
        self.host.strip_prefix("unix://").map(Path::new)
    }
}

/// The host in the form Docker's client gives it: a scheme always, an address always.
///
/// # Errors
/// When the scheme is unknown or the address makes no sense.
pub fn parse_host(text: &str, tls: bool) -> Result<String, DockerError> {
    let text = text.trim();
    let bad = |reason| DockerError::Host { host: text.to_owned(), reason };
    if text.is_empty() {
        return Ok(DEFAULT_HOST.to_owned());
    }
    let (scheme, address) = text.split_once("://").unwrap_or(("tcp", text));
    match scheme {
        "unix" if address.is_empty() => Ok(format!("unix://{DEFAULT_SOCKET}")),
        "unix" | "fd" => Ok(format!("{scheme}://{address}")),
        "tcp" | "http" | "https" => tcp_host(scheme, address, tls).ok_or_else(|| bad("expected tcp://HOST:PORT")),
        "ssh" if !address.is_empty() => Ok(text.to_owned()),
        "npipe" => Err(bad("named pipes are for Windows")),
        _ => Err(bad("expected unix://, tcp:// or ssh://")),
    }
}

/// `tcp://host:port`; what is missing is filled in as Docker's client does.
fn tcp_host(scheme: &str, address: &str, tls: bool) -> Option<String> {
    let port_default = if tls { DEFAULT_TLS_PORT } else { DEFAULT_TCP_PORT };
    let (authority, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) || host.contains([' ', '@', '?', '#']) {
        return None;
    }
    let port = if port.is_empty() { port_default } else { port };
    port.parse::<u16>().ok()?;
    let host = if host.is_empty() { "localhost" } else { host };
    Some(format!("{scheme}://{host}:{port}{path}"))
}

#[cfg(test)]
mod tests;
