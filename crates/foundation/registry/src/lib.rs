//! In: references, descriptors, streams. Out: manifests and blobs moved between this machine and registries. Never: printing, an unverified byte handed on as good, a credential sent to another host or shown.
//!
//! `registry` knows no build, no layer and no platform: it moves bytes named by digests. Nothing here is `async` to
//! its callers: every call blocks, from any thread that is not itself inside an async runtime.
//!
//! [`Client`] speaks the distribution protocol; [`Config`] is what the host and the user say about registries
//! (architecture decision 16); [`Credentials`] finds user names and tokens where `docker login` left them;
//! [`server`] is the small registry of our own.

mod auth;
pub mod client;
pub mod config;
pub mod credentials;
mod download;
pub mod error;
mod exchange;
mod fetch;
mod host;
pub mod login;
mod push;
mod resolve;
pub mod retry;
mod runtime;
pub mod server;
mod transport;

pub use client::{Client, ClientOptions, HeadAnswer, PushSource, Pushed, Resolved};
pub use config::{Config, ConfigPaths};
pub use credentials::{CredentialPaths, Credentials, Kept, SavedWhere};
pub use download::{Download, DownloadFacts, DownloadRequest, Piece};
pub use error::{CredentialUse, HostFailure, RegistryError};

/// Blob transfers at once with one registry (spec/engine.md §4; small documents are not counted).
pub const FETCHES_PER_REGISTRY_MAX: usize = 4;
