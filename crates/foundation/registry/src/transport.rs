//! In: a host's settings. Out: an HTTP client for it. Never: a CA bundle read before HTTPS is really used, a redirect followed unseen.

mod failure;
mod tls;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use crate::RegistryError;
use crate::config::{HostSettings, is_loopback};
pub(crate) use failure::{Attempt, classify};

/// How long a TCP and TLS connection may take to come up.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an idle connection is kept for the next request.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
const USER_AGENT: &str = concat!("crossdock/", env!("CARGO_PKG_VERSION"));

/// How a host is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The HTTP clients hosts share, each made when first needed.
#[derive(Default)]
pub(crate) struct Transport {
    ca_bundles: Vec<PathBuf>,
    plain: OnceLock<reqwest::Client>,
    plain_direct: OnceLock<reqwest::Client>,
    verified: OnceLock<reqwest::Client>,
}

impl Transport {
    pub(crate) fn new(ca_bundles: Vec<PathBuf>) -> Self {
        Self { ca_bundles, ..Self::default() }
    }

    /// The client for plain HTTP. Loopback is never behind a proxy.
    pub(crate) fn plain(&self, authority: &str) -> Result<reqwest::Client, RegistryError> {
        let direct = is_loopback(authority);
        let slot = if direct { &self.plain_direct } else { &self.plain };
        get_or_make(slot, || build(authority, tls::without_roots(), direct))
    }

    /// The client for HTTPS to a host: shared unless the host has settings of its own.
    pub(crate) fn secure(&self, authority: &str, settings: &HostSettings) -> Result<reqwest::Client, RegistryError> {
        let direct = is_loopback(authority);
        if settings.insecure {
            return build(authority, tls::unverified(authority, settings)?, direct);
        }
        if settings.ca.is_empty() && settings.keypairs.is_empty() && !direct {
            return get_or_make(&self.verified, || {
                build(authority, tls::verified(authority, settings, &self.ca_bundles)?, false)
            });
        }
        build(authority, tls::verified(authority, settings, &self.ca_bundles)?, direct)
    }
}

fn get_or_make(
    slot: &OnceLock<reqwest::Client>,
    make: impl FnOnce() -> Result<reqwest::Client, RegistryError>,
) -> Result<reqwest::Client, RegistryError> {
    if let Some(client) = slot.get() {
        return Ok(client.clone());
    }
    let made = make()?;
    Ok(slot.get_or_init(|| made).clone())
}

fn build(authority: &str, config: rustls::ClientConfig, direct: bool) -> Result<reqwest::Client, RegistryError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
        .pool_max_idle_per_host(crate::FETCHES_PER_REGISTRY_MAX + 1)
        .tcp_nodelay(true)
        .tls_backend_preconfigured(config);
    if direct {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| RegistryError::Tls { host: authority.to_owned(), reason: error.to_string() })
}
