//! In: the name this program was called by, and its words. Out: the face it shows: its own, Docker's plugin, or Docker's client. Never: a verb's work.

use std::path::Path;

use crate::args::globals::GlobalArgs;

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
