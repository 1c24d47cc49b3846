//! In: a registry and a user's word for who he is. Out: whether the registry believes it; a repository's tags. Never: anything kept, a credential sent to another host.

use crossdock_oci::Reference;
use reqwest::StatusCode;
use reqwest::header::LINK;
use serde::Deserialize;

use crate::auth::Scopes;
use crate::client::Client;
use crate::exchange::{Call, Network, Request, Target, origin, read_limited, read_some, server_message};
use crate::host::Endpoint;
use crate::retry::Failure;
use crate::{Credentials, RegistryError};

/// Most tags of one repository that are listed.
pub const TAGS_MAX: usize = 10_000;
/// Most bytes of one page of tags.
const TAGS_SIZE_MAX: usize = 4 << 20;

#[derive(Deserialize)]
struct TagPage {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Client {
    /// Asks a registry whether it knows a user of this name and password (`docker.io` is Docker Hub). Nothing is kept.
    ///
    /// # Errors
    /// [`RegistryError::Unauthorized`] when it does not, and those of the connection.
    pub fn log_in(&self, server: &str, user: &str, password: &str) -> Result<(), RegistryError> {
        self.with_credentials(Credentials::given(user, password)).ping(server)
    }

    fn ping(&self, server: &str) -> Result<(), RegistryError> {
        self.run_login(server)
    }

    /// All tags of a repository.
    ///
    /// # Errors
    /// As [`Client::resolve`].
    pub fn tags(&self, name: &Reference) -> Result<Vec<String>, RegistryError> {
        self.run_tags(name)
    }
}

impl Network {
    /// One request to the registry's root, with a login when it asks for one.
    pub(crate) async fn ping(&self, server: &str) -> Result<(), RegistryError> {
        let endpoint = Endpoint::registry(self.host(server)?);
        self.retrying(endpoint.budget(), async || self.ping_once(&endpoint).await).await
    }

    async fn ping_once(&self, endpoint: &Endpoint) -> Result<(), Failure> {
        let host = &endpoint.host;
        let scheme = host.scheme(&self.transport, endpoint.stated_http).await?;
        let action = "log in".to_owned();
        let url = reqwest::Url::parse(&format!("{}://{}/v2/", scheme.name(), host.authority)).map_err(|error| {
            let (host, action) = (host.name.clone(), action.clone());
            RegistryError::Answer { host, action, reason: format!("its address makes no URL: {error}") }
        })?;
        let (headers, body) = (reqwest::header::HeaderMap::new(), None);
        let method = reqwest::Method::GET;
        let call = Call { host: &host.name, url, method, headers, body, action, may_downgrade: false };
        let first = self.dispatch(&call, None).await?;
        if first.status() != StatusCode::UNAUTHORIZED || origin(first.url()) != origin(&call.url) {
            return self.judge(endpoint, first).await;
        }
        let scopes = Scopes::none();
        let header = host.auth.answer_challenge(self, host, &scopes, first.headers(), None).await?;
        let Some(header) = header else { return self.judge(endpoint, first).await };
        read_some(first, "log in").await;
        let second = self.dispatch(&call, Some(header)).await?;
        self.judge(endpoint, second).await
    }

    async fn judge(&self, endpoint: &Endpoint, response: reqwest::Response) -> Result<(), Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = read_some(response, "log in").await;
        let message = server_message(&body, status);
        let host = endpoint.name();
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let credentials = endpoint.host.auth.credential_use();
                RegistryError::Unauthorized { host, message, credentials }.into()
            }
            StatusCode::NOT_FOUND => RegistryError::Answer {
                host,
                action: "log in".to_owned(),
                reason: "there is no registry (no /v2/) at this address".to_owned(),
            }
            .into(),
            status => {
                RegistryError::Status { host, action: "log in".to_owned(), status: status.as_u16(), message }.into()
            }
        })
    }

    /// All tags of a repository, page by page, from the registry itself or its mirrors.
    pub(crate) async fn tags(&self, name: &Reference) -> Result<Vec<String>, RegistryError> {
        self.first_of(name, async |endpoint| self.tags_at(endpoint, name).await).await
    }

    async fn tags_at(&self, endpoint: &Endpoint, name: &Reference) -> Result<Vec<String>, RegistryError> {
        let (subject, action) = (name.to_string(), format!("list the tags of {name}"));
        let repository = endpoint.repository(name);
        let scopes = Scopes::pull(&repository);
        let mut path = "tags/list".to_owned();
        let mut tags = Vec::new();
        loop {
            let mut request = Request::new(endpoint, &repository, &subject, &action, &scopes);
            request.target = Target::Path(&path);
            let response = self.send(&request).await?;
            if !response.status().is_success() {
                return Err(self.refusal(&request, response).await);
            }
            let next = response.headers().get(LINK).and_then(|link| next_query(link.to_str().ok()?));
            let call = Call {
                host: &endpoint.host.name,
                url: response.url().clone(),
                method: reqwest::Method::GET,
                headers: reqwest::header::HeaderMap::new(),
                body: None,
                action: action.clone(),
                may_downgrade: false,
            };
            let bytes = read_limited(response, TAGS_SIZE_MAX, &call).await.map_err(|failure| failure.error)?;
            let page: TagPage = serde_json::from_slice(&bytes).map_err(|_| RegistryError::Answer {
                host: endpoint.name(),
                action: action.clone(),
                reason: "its list of tags is not the expected JSON".to_owned(),
            })?;
            tags.extend(page.tags.unwrap_or_default());
            match next {
                Some(query) if tags.len() < TAGS_MAX => path = format!("tags/list?{query}"),
                _ => return Ok(tags),
            }
        }
    }
}

/// The query of `</v2/x/tags/list?n=9&last=a>; rel="next"`; the rest of the link is ours to know.
fn next_query(link: &str) -> Option<String> {
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    let (_, query) = target.split_once('?')?;
    rest.contains("next").then(|| query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_query_of_a_link_counts() {
        let next = next_query("<https://evil.example/v2/x/tags/list?n=9&last=a>; rel=\"next\"");
        assert_eq!(next.as_deref(), Some("n=9&last=a"));
        assert_eq!(next_query("</v2/x/tags/list>; rel=\"next\""), None);
    }
}
