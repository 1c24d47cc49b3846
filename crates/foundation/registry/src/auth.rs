//! In: challenges of a registry and the user's credentials. Out: Authorization headers for its requests. Never: a header for another host, a token in a log or an error.

mod challenge;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use tokio::sync::OnceCell;

use crate::credentials::{Credential, Lookup};
use crate::error::CredentialUse;
use crate::exchange::Network;
use crate::host::Host;
use crate::retry::Failure;
pub(crate) use challenge::Challenge;

/// What a token must allow: sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scopes(Vec<String>);

impl Scopes {
    /// Nothing but who one is.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn pull(repository: &str) -> Self {
        Self(vec![format!("repository:{repository}:pull")])
    }

    pub(crate) fn push(repository: &str) -> Self {
        Self(vec![format!("repository:{repository}:pull,push")])
    }

    fn sorted(mut self) -> Self {
        self.0.sort();
        self.0.dedup();
        self
    }

    /// One token that may also read another repository, to mount blobs from there.
    pub(crate) fn and_pull(mut self, repository: &str) -> Self {
        self.0.push(format!("repository:{repository}:pull"));
        self.sorted()
    }

    fn union(&self, more: &[String]) -> Self {
        let mut all = self.clone();
        all.0.extend(more.iter().cloned());
        all.sorted()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// What one client knows about logging in to one host.
#[derive(Default)]
pub(crate) struct HostAuth {
    state: Mutex<State>,
    /// Held while a token is fetched, so that many threads fetch it once.
    fetching: tokio::sync::Mutex<()>,
    lookup: OnceCell<Arc<Lookup>>,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    tokens: HashMap<Scopes, Token>,
}

/// A token as the header that carries it.
#[derive(Clone)]
pub(crate) struct Token {
    pub header: HeaderValue,
    pub good_until: Instant,
}

impl HostAuth {
    /// The header to send first: what worked before, or nothing.
    pub(crate) async fn header(
        &self,
        network: &Network,
        host: &Host,
        scopes: &Scopes,
    ) -> Result<Option<HeaderValue>, Failure> {
        let challenge = self.state().challenge.clone();
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(self.basic(network, host).await?),
            Some(Challenge::Bearer { .. }) => self.token(network, host, scopes, scopes, None).await.map(Some),
        }
    }

    /// The header to send after a 401; `None` when there is none better than the one that was refused.
    pub(crate) async fn answer_challenge(
        &self,
        network: &Network,
        host: &Host,
        scopes: &Scopes,
        headers: &HeaderMap,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Failure> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes);
        let Some(challenge) = challenge::choose(values) else { return Ok(None) };
        self.state().challenge = Some(challenge.clone());
        let header = match &challenge {
            Challenge::Basic => self.basic(network, host).await?,
            Challenge::Bearer { scopes: more, .. } => {
                let wanted = scopes.union(more);
                Some(self.token(network, host, scopes, &wanted, refused).await?)
            }
        };
        Ok(header.filter(|header| Some(header) != refused))
    }

    /// Which credentials requests to the host carry, for error texts.
    pub(crate) fn credential_use(&self) -> Box<CredentialUse> {
        let Some(lookup) = self.lookup.get() else { return Box::new(CredentialUse::Anonymous { note: None }) };
        Box::new(match &lookup.credential {
            None => CredentialUse::Anonymous { note: lookup.note.clone() },
            Some(credential) => {
                let user = match credential {
                    Credential::Password { user, .. } => Some(user.clone()),
                    Credential::IdentityToken(_) | Credential::RegistryToken(_) => None,
                };
                CredentialUse::From { user, origin: lookup.origin.clone() }
            }
        })
    }

    /// Whether user name and password themselves are sent to the registry.
    pub(crate) fn is_basic(&self) -> bool {
        self.state().challenge == Some(Challenge::Basic)
    }

    async fn basic(&self, network: &Network, host: &Host) -> Result<Option<HeaderValue>, Failure> {
        let lookup = self.lookup(network, host).await?;
        Ok(match &lookup.credential {
            Some(Credential::Password { user, password }) => basic_header(user, password.expose()),
            _ => None,
        })
    }

    /// A token for `scopes`, from memory or from the service, which is asked for `wanted`.
    async fn token(
        &self,
        network: &Network,
        host: &Host,
        scopes: &Scopes,
        wanted: &Scopes,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, Failure> {
        let good = |token: &Token| token.good_until > Instant::now() && Some(&token.header) != refused;
        let known = |auth: &Self| auth.state().tokens.get(scopes).filter(|token| good(token)).map(|t| t.header.clone());
        if let Some(header) = known(self) {
            return Ok(header);
        }
        let _turn = self.fetching.lock().await;
        if let Some(header) = known(self) {
            return Ok(header);
        }
        let lookup = self.lookup(network, host).await?;
        if let Some(Credential::RegistryToken(token)) = &lookup.credential {
            return bearer_header(token.expose()).ok_or_else(|| token::unusable(host, "the registrytoken"));
        }
        let challenge = self.state().challenge.clone();
        let Some(Challenge::Bearer { realm, service, .. }) = challenge else {
            return Err(token::unusable(host, "the challenge"));
        };
        let token = token::fetch(network, host, &realm, &service, wanted, lookup.credential.as_ref()).await?;
        let header = token.header.clone();
        self.state().tokens.insert(scopes.clone(), token);
        Ok(header)
    }

    async fn lookup(&self, network: &Network, host: &Host) -> Result<Arc<Lookup>, Failure> {
        let credentials = network.credentials.clone();
        let name = host.name.clone();
        let found = self.lookup.get_or_try_init(|| async move {
            // Reads files and may run a program: not on the network's threads.
            tokio::task::spawn_blocking(move || credentials.find(&name))
                .await
                .unwrap_or_else(|_| Ok(Lookup::default()))
                .map(Arc::new)
        });
        Ok(Arc::clone(found.await?))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The `error` of a Bearer challenge: `insufficient_scope`.
pub(crate) fn challenge_error(header: &[u8]) -> Option<String> {
    match challenge::choose([header].into_iter()) {
        Some(Challenge::Bearer { error, .. }) => error,
        _ => None,
    }
}

/// `Basic base64(user:password)`, marked so that nobody prints it.
pub(crate) fn basic_header(user: &str, password: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// `Bearer token`, marked so that nobody prints it.
pub(crate) fn bearer_header(token: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}
