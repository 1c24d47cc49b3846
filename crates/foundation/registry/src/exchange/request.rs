//! In: a request to a repository. Out: its answer, after logging in where that was asked for. Never: a third try with the same credentials.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode, Url};

use super::{Call, Network, origin, read_some, server_message};
use crate::RegistryError;
use crate::auth::Scopes;
use crate::error::CredentialUse;
use crate::host::{Endpoint, Host};
use crate::retry::Failure;

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// Where a request goes.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// Behind `/v2/REPOSITORY/`: `manifests/latest`.
    Path(&'a str),
    /// Where a Location header led.
    Url(&'a Url),
}

/// One request to a repository of a registry or mirror.
#[derive(Clone)]
pub(crate) struct Request<'a> {
    pub endpoint: &'a Endpoint,
    /// The repository's name at that place.
    pub repository: &'a str,
    /// The image or blob this is about, for error texts.
    pub subject: &'a str,
    pub action: &'a str,
    pub access: Access,
    pub scopes: &'a Scopes,
    pub method: Method,
    pub target: Target<'a>,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    pub may_downgrade: bool,
}

impl<'a> Request<'a> {
    /// A request without headers and body.
    pub(crate) fn new(
        endpoint: &'a Endpoint,
        repository: &'a str,
        subject: &'a str,
        action: &'a str,
        scopes: &'a Scopes,
    ) -> Self {
        Self {
            endpoint,
            repository,
            subject,
            action,
            access: Access::Pull,
            scopes,
            method: Method::GET,
            target: Target::Path(""),
            headers: HeaderMap::new(),
            body: None,
            may_downgrade: false,
        }
    }

    fn host(&self) -> &'a Host {
        &self.endpoint.host
    }
}

impl Network {
    /// Sends a request, logs in when asked to, tries again when that may help. Answers from 400 on are the caller's.
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<Response, RegistryError> {
        self.retrying(request.endpoint.budget(), async || self.send_once(request).await).await
    }

    /// As [`Self::send`], without trying again.
    pub(crate) async fn send_once(&self, request: &Request<'_>) -> Result<Response, Failure> {
        let host = request.host();
        let url = self.url(request).await?;
        let own = self.is_own(request, &url).await?;
        let call = Call {
            host: &host.name,
            url,
            method: request.method.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            action: request.action.to_owned(),
            may_downgrade: request.may_downgrade,
        };
        if !own {
            return self.dispatch(&call, None).await;
        }
        let named = |failure: Failure| Failure { error: name_subject(request, failure.error), kind: failure.kind };
        let first = host.auth.header(self, host, request.scopes).await.map_err(named)?;
        let response = self.dispatch(&call, first.clone()).await?;
        // Only the host itself may challenge: behind a redirect there is another one.
        if response.status() != StatusCode::UNAUTHORIZED || origin(response.url()) != origin(&call.url) {
            return Ok(response);
        }
        let answer = host.auth.answer_challenge(self, host, request.scopes, response.headers(), first.as_ref()).await;
        match answer.map_err(named)? {
            Some(header) => {
                read_some(response, request.action).await;
                self.dispatch(&call, Some(header)).await
            }
            None => Ok(response),
        }
    }

    /// The full URL of a request.
    pub(crate) async fn url(&self, request: &Request<'_>) -> Result<Url, Failure> {
        let path = match request.target {
            Target::Url(url) => return Ok(url.clone()),
            Target::Path(path) => path,
        };
        let host = request.host();
        let scheme = host.scheme(&self.transport, request.endpoint.stated_http).await?;
        let text = format!("{}://{}/v2/{}/{path}", scheme.name(), host.authority, request.repository);
        Url::parse(&text).map_err(|error| {
            let (host, action) = (host.name.clone(), request.action.to_owned());
            RegistryError::Answer { host, action, reason: format!("its address makes no URL: {error}") }.into()
        })
    }

    /// Whether a URL belongs to the host itself, so that its credentials may go there.
    pub(crate) async fn is_own(&self, request: &Request<'_>, url: &Url) -> Result<bool, Failure> {
        let Target::Url(_) = request.target else { return Ok(true) };
        let base = self.url(&Request { target: Target::Path(""), ..request.clone() }).await?;
        Ok(origin(&base) == origin(url))
    }

    /// Names the failure of an answer from 400 on.
    pub(crate) async fn refusal(&self, request: &Request<'_>, response: Response) -> RegistryError {
        self.refusal_with_body(request, response).await.0
    }

    /// As [`Self::refusal`], with the beginning of the answer's body.
    pub(crate) async fn refusal_with_body(&self, request: &Request<'_>, response: Response) -> (RegistryError, Bytes) {
        let status = response.status();
        let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(bearer_error);
        let host = request.endpoint.name();
        let body = read_some(response, request.action).await;
        let message = match challenge {
            Some(error) if body.is_empty() || status == StatusCode::UNAUTHORIZED => {
                format!("{error}: authorization failed")
            }
            _ => server_message(&body, status),
        };
        let auth = &request.host().auth;
        let error = match status.as_u16() {
            401 | 403 => {
                let credentials = auth.credential_use();
                let sent = matches!(*credentials, CredentialUse::From { .. });
                if status == StatusCode::UNAUTHORIZED && auth.is_basic() && sent {
                    RegistryError::Unauthorized { host, message, credentials }
                } else {
                    denied(request, message, credentials)
                }
            }
            404 if request.access == Access::Pull => {
                RegistryError::NotFound { reference: request.subject.to_owned(), host }
            }
            status => RegistryError::Status { host, action: request.action.to_owned(), status, message },
        };
        (error, body)
    }
}

/// A token service that refuses somebody without credentials says that the image is not public.
fn name_subject(request: &Request<'_>, error: RegistryError) -> RegistryError {
    match error {
        RegistryError::Unauthorized { message, credentials, .. }
            if matches!(*credentials, CredentialUse::Anonymous { .. }) =>
        {
            denied(request, message, credentials)
        }
        other => other,
    }
}

fn denied(request: &Request<'_>, message: String, credentials: Box<CredentialUse>) -> RegistryError {
    let (reference, host) = (request.subject.to_owned(), request.endpoint.name());
    match request.access {
        Access::Pull => RegistryError::PullDenied { reference, host, message, credentials },
        Access::Push => RegistryError::PushDenied { reference, host, message, credentials },
    }
}

/// The `error` of a Bearer challenge: `insufficient_scope`.
fn bearer_error(header: &HeaderValue) -> Option<String> {
    crate::auth::challenge_error(header.as_bytes())
}
