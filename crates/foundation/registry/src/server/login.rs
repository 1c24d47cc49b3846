//! In: an Authorization header. Out: whether it is the one user's. Never: the password in an answer.

use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossdock_oci::BlobDigest;

use super::answer::{Refusal, as_response};

/// One user name and password.
#[derive(Clone)]
pub struct BasicLogin {
    /// Digest of `user:password`, so that comparing takes the same time for every guess.
    expected: BlobDigest,
}

impl BasicLogin {
    /// Lets in who sends these.
    pub fn new(user: &str, password: &str) -> Self {
        Self { expected: BlobDigest::of(format!("{user}:{password}").as_bytes()) }
    }

    pub(super) fn accepts(&self, headers: &HeaderMap) -> bool {
        credentials(headers).is_some_and(|sent| BlobDigest::of(&sent) == self.expected)
    }

    pub(super) fn challenge(&self) -> Response {
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
        let mut response = as_response(Err(refusal));
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"crossdock\""));
        response
    }
}

/// `user:password` of a Basic header.
pub(super) fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(rest.trim()).ok()).flatten()
}
