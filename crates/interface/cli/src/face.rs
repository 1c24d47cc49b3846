//! In: the name this program was called by, and its words. Out: the face it shows: its own, Docker's plugin, or Docker's client. Never: a verb's work.

pub mod checks;
pub mod config;
pub mod words;

use std::path::Path;

use clap::{Command, CommandFactory as _};

use crate::args::globals::GlobalArgs;
use crate::args::{Cli, Plugin, switches, usages};

/// The version of buildx whose plugin face this is. Tools compare it; what follows the `+` says who really answers,
/// and does not count in comparisons (semver: build metadata).
pub const BUILDX_VERSION: &str = concat!("v0.29.1+crossdock.", env!("CARGO_PKG_VERSION"));
/// The version of Docker's client whose words the shim speaks.
pub const DOCKER_VERSION: &str = concat!("28.5.2+crossdock.", env!("CARGO_PKG_VERSION"));
/// Stands where Docker's tools name the commit they were built from.
pub const REVISION: &str = concat!("crossdock-", env!("CARGO_PKG_VERSION"));
/// The version of the engine's interface Docker 28 speaks.
pub const API_VERSION: &str = "1.51";
/// Set by Docker's client for its plugins.
const CLIENT_VARIABLE: &str = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND";

/// Which program is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// `crossdock`
    Own,
    /// `docker-buildx`, called by Docker's client or alone (spec/cli.md §5)
    Plugin,
    /// `docker`, on hosts without Docker's client
    Docker,
}

impl Face {
    /// The face that belongs to the name of the program.
    pub fn of(program: &str) -> Self {
        match Path::new(program).file_name().and_then(|name| name.to_str()) {
            Some("docker-buildx" | "buildx") => Self::Plugin,
            Some("docker") => Self::Docker,
            _ => Self::Own,
        }
    }

    /// The words in front of a verb, for usage lines.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Own => "crossdock",
            Self::Plugin => "docker buildx",
            Self::Docker => "docker",
        }
    }

    /// The parser of this face's command line.
    pub fn command(self) -> Command {
        switches::with_values(self.described())
    }

    /// The same as help shows it: without the values that switches may have.
    pub fn described(self) -> Command {
        let command = match self {
            Self::Own => Cli::command(),
            Self::Plugin => Plugin::command(),
            Self::Docker => Cli::command().name("docker").bin_name("docker").disable_version_flag(true),
        };
        usages::apply(command, self)
    }
}

/// Whether the plugin was called by hand and not by Docker's client.
pub fn standalone() -> bool {
    std::env::var_os(CLIENT_VARIABLE).is_none()
}

/// What holds for the whole call: the face and the flags in front of the verb.
#[derive(Debug, Clone)]
pub struct Session {
    pub face: Face,
    pub globals: GlobalArgs,
    pub debug: bool,
}

impl Session {
    /// What chooses Docker's configuration and engine: the flags in front of the verb, with the variables.
    pub fn docker(&self) -> crossdock_docker::Settings {
        let globals = &self.globals;
        crossdock_docker::Settings {
            config: globals.config.clone().map(Into::into),
            context: globals.context.clone(),
            hosts: globals.hosts.clone(),
            tls: globals.tls || globals.tlsverify,
            environment: crossdock_docker::Environment::of_process(),
        }
    }
}
