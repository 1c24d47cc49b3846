//! In: the name of a registry or mirror. Out: everything one client knows about it while it lives. Never: a second state for the same host.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossdock_oci::Reference;
use tokio::sync::{OnceCell, Semaphore};

use crate::auth::HostAuth;
use crate::config::{HUB_DOMAIN, HUB_HOST, HostSettings, Mirror, is_loopback};
use crate::retry::{Budget, Failure, FailureKind};
use crate::transport::{Attempt, Scheme, Transport, classify};
use crate::{FETCHES_PER_REGISTRY_MAX, RegistryError};

/// How long a mirror that could not be reached is left out.
const MIRROR_DOWN_TIME: Duration = Duration::from_secs(30);
/// How long the question whether a host speaks HTTPS may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A host requests are sent to.
pub(crate) struct Host {
    /// As people know it: `docker.io`, `localhost:5000`.
    pub name: String,
    /// As it is connected to: `registry-1.docker.io`.
    pub authority: String,
    pub settings: HostSettings,
    pub auth: HostAuth,
    /// Held by each transfer of a blob.
    pub transfers: Semaphore,
    scheme: OnceCell<Scheme>,
    secure: OnceLock<reqwest::Client>,
    health: Mutex<Health>,
}

/// Whether a mirror is worth asking.
#[derive(Debug, Clone, Copy)]
enum Health {
    Good,
    DownUntil(Instant),
    /// It served wrong bytes.
    Corrupt,
}

impl Host {
    pub(crate) fn new(authority: &str, settings: HostSettings) -> Self {
        let name = if authority == HUB_HOST { HUB_DOMAIN } else { authority };
        Self {
            name: name.to_owned(),
            authority: authority.to_owned(),
            settings,
            auth: HostAuth::default(),
            transfers: Semaphore::new(FETCHES_PER_REGISTRY_MAX),
            scheme: OnceCell::new(),
            secure: OnceLock::new(),
            health: Mutex::new(Health::Good),
        }
    }

    /// HTTP or HTTPS, found out at the first call. `stated` is what a mirror's URL said.
    ///
    /// # Errors
    /// When the host does not accept connections at all.
    pub(crate) async fn scheme(&self, transport: &Transport, stated: Option<bool>) -> Result<Scheme, Failure> {
        match stated.or(self.settings.http) {
            Some(true) => return Ok(Scheme::Http),
            Some(false) => return Ok(Scheme::Https),
            None if !self.settings.insecure && !is_loopback(&self.authority) => return Ok(Scheme::Https),
            None => {}
        }
        self.scheme.get_or_try_init(|| self.probe(transport)).await.copied()
    }

    /// Whether HTTPS answers; anything that is no TLS counts as plain HTTP (architecture decision 16).
    async fn probe(&self, transport: &Transport) -> Result<Scheme, Failure> {
        let anyone = HostSettings { insecure: true, ..self.settings.clone() };
        let client = transport.secure(&self.authority, &anyone)?;
        let answer = client.get(format!("https://{}/v2/", self.authority)).timeout(PROBE_TIMEOUT).send().await;
        let error = match answer {
            // A failure behind the handshake (the server wants a client certificate, say) is one of HTTPS, too.
            Err(error) if error.is_connect() || error.is_timeout() => error,
            _ => return Ok(Scheme::Https),
        };
        let attempt = Attempt {
            host: &self.name,
            address: &self.authority,
            action: "find out whether it speaks HTTPS",
            https: true,
        };
        let failure = classify(&error, &attempt);
        let has_port = self.authority != crate::config::host_of(&self.authority);
        match failure.error {
            // Without a port, plain HTTP is another port, which may be open.
            RegistryError::ConnectionRefused { .. } if has_port => Err(failure),
            RegistryError::UnknownHost { .. } => Err(failure),
            RegistryError::Tls { .. } => Ok(Scheme::Https),
            _ => Ok(Scheme::Http),
        }
    }

    /// The client that speaks this scheme with this host.
    pub(crate) fn client(&self, transport: &Transport, scheme: Scheme) -> Result<reqwest::Client, RegistryError> {
        if scheme == Scheme::Http {
            return transport.plain(&self.authority);
        }
        if let Some(client) = self.secure.get() {
            return Ok(client.clone());
        }
        let made = transport.secure(&self.authority, &self.settings)?;
        Ok(self.secure.get_or_init(|| made).clone())
    }

    /// Remembers that the host served wrong bytes.
    pub(crate) fn mark_corrupt(&self) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = Health::Corrupt;
    }

    /// Remembers that the host could not be reached.
    pub(crate) fn mark_down(&self) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*health, Health::Corrupt) {
            *health = Health::DownUntil(Instant::now() + MIRROR_DOWN_TIME);
        }
    }

    /// Why the host is to be left out, if it is.
    fn left_out(&self) -> Option<&'static str> {
        match *self.health.lock().unwrap_or_else(PoisonError::into_inner) {
            Health::Good => None,
            Health::DownUntil(until) if until <= Instant::now() => None,
            Health::DownUntil(_) => Some("left out: it could not be reached a moment ago"),
            Health::Corrupt => Some("left out: it served wrong bytes"),
        }
    }
}

/// A place to ask for a repository: the registry itself, or one of its mirrors.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub host: std::sync::Arc<Host>,
    /// Path of a mirror in front of the repository's name.
    pub prefix: String,
    /// Whether the mirror's URL named plain HTTP or HTTPS.
    pub stated_http: Option<bool>,
    pub is_mirror: bool,
}

impl Endpoint {
    pub(crate) fn registry(host: std::sync::Arc<Host>) -> Self {
        Self { host, prefix: String::new(), stated_http: None, is_mirror: false }
    }

    pub(crate) fn mirror(host: std::sync::Arc<Host>, mirror: &Mirror) -> Self {
        Self { host, prefix: mirror.prefix.clone(), stated_http: mirror.http, is_mirror: true }
    }

    /// As it is named to people.
    pub(crate) fn name(&self) -> String {
        if self.prefix.is_empty() { self.host.name.clone() } else { format!("{}/{}", self.host.name, self.prefix) }
    }

    /// The repository's name at this place.
    pub(crate) fn repository(&self, name: &Reference) -> String {
        self.repository_path(name.path())
    }

    /// As [`Self::repository`], for another repository of the same registry.
    pub(crate) fn repository_path(&self, path: &str) -> String {
        if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) }
    }

    pub(crate) const fn budget(&self) -> Budget {
        if self.is_mirror { Budget::MIRROR } else { Budget::REGISTRY }
    }

    /// Why a mirror is not asked this time.
    pub(crate) fn left_out(&self) -> Option<RegistryError> {
        let reason = self.is_mirror.then(|| self.host.left_out()).flatten()?;
        let host = self.name();
        Some(RegistryError::Connection { host, action: "use it as a mirror".to_owned(), reason: reason.to_owned() })
    }

    /// Draws conclusions from a failure of a mirror.
    pub(crate) fn note_failure(&self, error: &RegistryError) {
        if error.is_corrupt_content() {
            self.host.mark_corrupt();
        } else if matches!(
            error,
            RegistryError::UnknownHost { .. }
                | RegistryError::ConnectionRefused { .. }
                | RegistryError::Timeout { .. }
                | RegistryError::Tls { .. }
                | RegistryError::UnknownCa { .. }
                | RegistryError::PlainHttp { .. }
        ) {
            self.host.mark_down();
        }
    }
}

impl Failure {
    /// Whether an upload or download may go on after it.
    pub(crate) fn is_passing(&self) -> bool {
        !matches!(self.kind, FailureKind::Final)
    }
}
