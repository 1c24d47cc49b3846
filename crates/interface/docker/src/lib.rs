//! In: the Docker client's configuration (contexts, hosts) and an engine's socket. Out: which engine is meant, whether it answers, images loaded into it. Never: a build; a credential.
//!
//! `docker` knows no image format and no store: it answers *which* engine the user means, as Docker's client would
//! ([`Settings`], [`Endpoint`]), and speaks the few words of the engine's HTTP interface that moving an image into it
//! needs ([`EngineApi`]).

pub mod config;
pub mod context;
pub mod endpoint;
pub mod engine;
pub mod error;
pub mod http;

pub use config::ConfigFile;
pub use context::ContextMeta;
pub use endpoint::{DEFAULT_CONTEXT, Endpoint, Environment, Settings};
pub use engine::{Answer, CancelCheck, EngineApi};
pub use error::DockerError;
