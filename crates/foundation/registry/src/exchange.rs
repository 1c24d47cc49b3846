//! In: one request and the credentials for it. Out: the answer at the end of its redirects. Never: a credential sent to another host than the one it is for.

mod answer;
mod request;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use crossdock_oci::Reference;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use crate::config::{HUB_DOMAIN, HUB_HOST};
use crate::host::{Endpoint, Host};
use crate::retry::{Budget, Failure, FailureKind, Pause, pause};
use crate::transport::{Attempt, Scheme, Transport, classify};
use crate::{Config, Credentials, RegistryError};
pub(crate) use answer::{misses_content, next_chunk, read_limited, read_some, server_message};
pub(crate) use request::{Access, Request, Target};

/// Redirects followed for one request (the limit of Go's client, which registries are used to).
const REDIRECTS_MAX: usize = 10;
/// How long a host may take before its answer begins.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything the calls of one client share.
pub(crate) struct Network {
    pub config: Config,
    pub credentials: Credentials,
    pub transport: Transport,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    pause: Option<Pause>,
}

/// One HTTP request, without credentials.
pub(crate) struct Call<'a> {
    /// Whose request this is, for error texts.
    pub host: &'a str,
    pub url: Url,
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    pub action: String,
    /// The bytes that come are checked against a digest known before, so a redirect may lead to plain HTTP.
    pub may_downgrade: bool,
}

impl Network {
    pub(crate) fn new(config: Config, credentials: Credentials, pause: Option<Pause>) -> Self {
        let transport = Transport::new(config.ca_bundles().to_vec());
        Self { config, credentials, transport, hosts: Mutex::default(), pause }
    }

    /// What is known of a host.
    pub(crate) fn host(&self, authority: &str) -> Result<Arc<Host>, RegistryError> {
        let authority = if authority == HUB_DOMAIN { HUB_HOST } else { authority };
        if let Some(host) = self.hosts.lock().unwrap_or_else(PoisonError::into_inner).get(authority) {
            return Ok(Arc::clone(host));
        }
        // Reading certificate directories takes its time, so the map is not locked meanwhile.
        let host = Arc::new(Host::new(authority, self.config.host(authority)?));
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(hosts.entry(authority.to_owned()).or_insert(host)))
    }

    /// The registry that a reference names.
    pub(crate) fn registry(&self, name: &Reference) -> Result<Endpoint, RegistryError> {
        Ok(Endpoint::registry(self.host(name.domain())?))
    }

    /// The places to pull from, in order: mirrors, then the registry itself.
    pub(crate) fn endpoints(&self, name: &Reference) -> Result<Vec<Endpoint>, RegistryError> {
        let mut endpoints = Vec::new();
        for mirror in self.config.mirrors(name.domain()) {
            endpoints.push(Endpoint::mirror(self.host(&mirror.authority)?, &mirror));
        }
        endpoints.push(self.registry(name)?);
        Ok(endpoints)
    }

    /// Tries again as long as the budget allows.
    pub(crate) async fn retrying<T>(
        &self,
        budget: Budget,
        mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, RegistryError> {
        let mut tries = 0;
        loop {
            let failure = match attempt().await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            tries += 1;
            match budget.next_wait(tries, failure.kind) {
                Some(wait) => self.wait(wait).await,
                None => return Err(failure.error),
            }
        }
    }

    /// Waits before the next try.
    pub(crate) async fn wait(&self, wait: Duration) {
        pause(self.pause.as_ref(), wait).await;
    }

    /// Whether credentials for a host may go over plain HTTP to this URL: only when the host itself is spoken to
    /// like that, or the URL stays on this machine.
    pub(crate) fn may_show_secrets_in_plain(&self, host: &Host, url: &Url) -> bool {
        host.settings.http == Some(true) || host.settings.insecure || crate::config::is_loopback(&authority_of(url))
    }

    /// Sends a request and follows its redirects. Passing failures come back as such; every other answer is the caller's.
    pub(crate) async fn dispatch(
        &self,
        call: &Call<'_>,
        mut authorization: Option<HeaderValue>,
    ) -> Result<Response, Failure> {
        let mut url = call.url.clone();
        let mut method = call.method.clone();
        let mut body = call.body.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.send_hop(call, &url, &method, body.clone(), authorization.as_ref()).await?;
            let Some(next) = redirect_target(call, &url, &method, &response)? else { return Ok(response) };
            if origin(&next) != origin(&url) {
                authorization = None;
            }
            if response.status() == StatusCode::SEE_OTHER {
                method = if method == Method::HEAD { Method::HEAD } else { Method::GET };
                body = None;
            }
            // Read to its end, so that the connection can be used again.
            read_some(response, &call.action).await;
            url = next;
        }
        let reason = format!("more than {REDIRECTS_MAX} redirects");
        Err(RegistryError::Redirect { host: call.host.to_owned(), action: call.action.clone(), reason }.into())
    }

    async fn send_hop(
        &self,
        call: &Call<'_>,
        url: &Url,
        method: &Method,
        body: Option<Bytes>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Failure> {
        let (client, attempt_address) = self.client_for(url)?;
        let mut headers = call.headers.clone();
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let mut request = client.request(method.clone(), url.clone()).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let https = url.scheme() == "https";
        let attempt = Attempt { host: call.host, address: &attempt_address, action: &call.action, https };
        let response = match tokio::time::timeout(RESPONSE_TIMEOUT, request.send()).await {
            Ok(answer) => answer.map_err(|error| classify(&error, &attempt))?,
            Err(_) => {
                let (host, action) = (call.host.to_owned(), call.action.clone());
                let error = RegistryError::Timeout { host, action, seconds: RESPONSE_TIMEOUT.as_secs() };
                return Err(Failure { error, kind: FailureKind::Connect });
            }
        };
        answer::passing_failure(call.host, &call.action, response).await
    }

    /// The HTTP client for a URL, and the host and port it leads to.
    pub(crate) fn client_for(&self, url: &Url) -> Result<(reqwest::Client, String), RegistryError> {
        let authority = authority_of(url);
        let scheme = if url.scheme() == "http" { Scheme::Http } else { Scheme::Https };
        let host = self.host(&authority)?;
        Ok((host.client(&self.transport, scheme)?, authority))
    }
}

/// Host and port as a URL spells them; the port is left out when it is the scheme's own.
pub(crate) fn authority_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// What credentials belong to: scheme, host, port.
pub(crate) fn origin(url: &Url) -> (String, String, Option<u16>) {
    (url.scheme().to_owned(), url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default())
}

/// Where a Location header leads, seen from the URL that was asked.
///
/// A registry behind a proxy that ends TLS often writes `http://` and its own name: that is the same place, and we stay
/// on HTTPS.
pub(crate) fn join_location(base: &Url, location: &HeaderValue) -> Option<Url> {
    let mut next = base.join(location.to_str().ok()?).ok()?;
    if !matches!(next.scheme(), "http" | "https") || next.host_str().is_none() {
        return None;
    }
    if base.scheme() == "https" && next.scheme() == "http" && next.host_str() == base.host_str() {
        let port = next.port().or(base.port());
        next.set_scheme("https").ok()?;
        next.set_port(port).ok()?;
    }
    Some(next)
}

fn redirect_target(call: &Call<'_>, url: &Url, method: &Method, response: &Response) -> Result<Option<Url>, Failure> {
    let follows = match response.status().as_u16() {
        301 | 302 => matches!(*method, Method::GET | Method::HEAD),
        303 | 307 | 308 => true,
        _ => false,
    };
    let Some(location) = response.headers().get(LOCATION).filter(|_| follows) else { return Ok(None) };
    let fail = |reason: &str| RegistryError::Redirect {
        host: call.host.to_owned(),
        action: call.action.clone(),
        reason: reason.to_owned(),
    };
    let next = join_location(url, location).ok_or_else(|| fail("its Location is no HTTP URL"))?;
    if url.scheme() == "https" && next.scheme() == "http" && !call.may_downgrade {
        return Err(fail("it leads from HTTPS to plain HTTP on another host").into());
    }
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, location: &str) -> Option<String> {
        join_location(&Url::parse(base).unwrap(), &HeaderValue::from_str(location).unwrap()).map(String::from)
    }

    #[test]
    fn locations_are_relative_or_absolute() {
        let rows = [
            (
                "http://r:5000/v2/a/blobs/uploads/",
                "/v2/a/blobs/uploads/1?x=y",
                Some("http://r:5000/v2/a/blobs/uploads/1?x=y"),
            ),
            ("http://r:5000/v2/a/blobs/uploads/", "2", Some("http://r:5000/v2/a/blobs/uploads/2")),
            ("https://r/v2/", "https://cdn/x", Some("https://cdn/x")),
            ("https://r/v2/", "http://r/x", Some("https://r/x")),
            ("https://r:8443/v2/", "http://r/x", Some("https://r:8443/x")),
            ("https://r/v2/", "http://other/x", Some("http://other/x")),
            ("https://r/v2/", "ftp://r/x", None),
            ("https://r/v2/", "http://", None),
        ];
        for (base, location, want) in rows {
            assert_eq!(joined(base, location).as_deref(), want, "{base} {location}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let of = |text: &str| origin(&Url::parse(text).unwrap());
        assert_eq!(of("https://r/x"), of("https://r:443/y?z"));
        assert_ne!(of("https://r/x"), of("http://r/x"));
        assert_ne!(of("https://r/x"), of("https://r:5000/x"));
        assert_ne!(of("https://r/x"), of("https://r.evil/x"));
    }
}
