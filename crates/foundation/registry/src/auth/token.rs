//! In: the address of a token service, scopes, credentials. Out: a token. Never: a password over plain HTTP for a registry on HTTPS.
//!
//! Passwords go as Basic with a GET (distribution-spec token authentication); identity tokens as an OAuth2 refresh token
//! in a POST.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::{Scopes, Token, basic_header, bearer_header};
use crate::RegistryError;
use crate::credentials::{Credential, Secret};
use crate::exchange::{Call, Network, read_limited, server_message};
use crate::host::Host;
use crate::retry::Failure;

/// Most bytes of a token service's answer.
const TOKEN_SIZE_MAX: usize = 1 << 20;
/// How long a token counts when the service does not say (distribution-spec).
const LIFE_DEFAULT_S: u64 = 60;
/// The longest life believed, so that no number overflows a clock.
const LIFE_MAX_S: u64 = 24 * 3600;
/// So long before its end a token is not used any more, at most a quarter of its life.
const LIFE_MARGIN_S: u64 = 10;
/// Names this program at token services.
const CLIENT_ID: &str = "crossdock";

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    access_token: Option<Secret>,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// The registry's own words cannot be followed.
pub(super) fn unusable(host: &Host, what: &str) -> Failure {
    RegistryError::Token {
        host: host.name.clone(),
        service: "its token service".to_owned(),
        message: format!("{what} cannot be used in a header"),
        credentials: host.auth.credential_use(),
    }
    .into()
}

/// Asks the service.
pub(super) async fn fetch(
    network: &Network,
    host: &Host,
    realm: &str,
    service: &str,
    scopes: &Scopes,
    credential: Option<&Credential>,
) -> Result<Token, Failure> {
    let fail = |message: String| RegistryError::Token {
        host: host.name.clone(),
        service: printable(realm),
        message,
        credentials: host.auth.credential_use(),
    };
    let mut url = Url::parse(realm)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
        .ok_or_else(|| fail("the realm is no URL".to_owned()))?;
    if credential.is_some() && url.scheme() == "http" && !network.may_show_secrets_in_plain(host, &url) {
        return Err(fail("it is on plain HTTP, so no credentials are sent there".to_owned()).into());
    }
    let mut headers = HeaderMap::new();
    let (mut method, mut body, mut authorization) = (Method::GET, None, None);
    if let Some(Credential::IdentityToken(secret)) = credential {
        method = Method::POST;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        body = Some(Bytes::from(refresh_form(service, scopes, secret)));
    } else {
        let mut query = url.query_pairs_mut();
        if !service.is_empty() {
            query.append_pair("service", service);
        }
        for scope in scopes.iter() {
            query.append_pair("scope", scope);
        }
        if let Some(Credential::Password { user, password }) = credential {
            query.append_pair("account", user);
            authorization = basic_header(user, password.expose());
        }
        drop(query);
    }
    let call = Call {
        host: &host.name,
        url,
        method,
        headers,
        body,
        action: format!("get a token for {}", scopes.iter().collect::<Vec<_>>().join(" ")),
        may_downgrade: false,
    };
    let response = network.dispatch(&call, authorization).await?;
    let status = response.status();
    let bytes = read_limited(response, TOKEN_SIZE_MAX, &call).await?;
    if status.is_client_error() {
        let message = server_message(&bytes, status);
        // Whoever sent no credentials is told by the caller which image this was about.
        let refused = matches!(status.as_u16(), 401 | 403) || (credential.is_some() && status.as_u16() == 400);
        if refused {
            let credentials = host.auth.credential_use();
            return Err(RegistryError::Unauthorized { host: host.name.clone(), message, credentials }.into());
        }
        return Err(fail(message).into());
    }
    read_answer(&bytes).map_err(|message| fail(message).into())
}

/// The token in a service's answer, or what is wrong with it.
fn read_answer(bytes: &[u8]) -> Result<Token, String> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| "its answer is not the expected JSON".to_owned())?;
    let token =
        answer.token.filter(|token| !token.is_empty()).or(answer.access_token).filter(|token| !token.is_empty());
    let header = token.and_then(|token| bearer_header(token.expose()));
    let header = header.ok_or_else(|| "there is no token in its answer".to_owned())?;
    let life_s = answer.expires_in.unwrap_or(LIFE_DEFAULT_S).min(LIFE_MAX_S);
    let good_s = life_s - LIFE_MARGIN_S.min(life_s / 4);
    Ok(Token { header, good_until: Instant::now() + Duration::from_secs(good_s) })
}

/// The form that asks for an access token in exchange for an identity token.
fn refresh_form(service: &str, scopes: &Scopes, secret: &Secret) -> String {
    let joined = scopes.iter().collect::<Vec<_>>().join(" ");
    form(&[
        ("grant_type", "refresh_token"),
        ("service", service),
        ("client_id", CLIENT_ID),
        ("scope", &joined),
        ("refresh_token", secret.expose()),
    ])
}

/// `a=b&c=d`, percent-encoded.
fn form(fields: &[(&str, &str)]) -> String {
    // The URL crate's query writer is the encoder of forms.
    let mut url = Url::parse("http://form").expect("a constant URL parses");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

/// A realm without its query, user and password.
fn printable(realm: &str) -> String {
    match Url::parse(realm) {
        Ok(url) => format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or(""), url.path()),
        Err(_) => "its token service".to_owned(),
    }
}
