//! In: rules of misbehaviour. Out: a registry that lies, breaks off, throttles, redirects, or wants tokens. Never: used outside tests.
//!
//! Clients are tested against what registries do on bad days. A [`Faults`] is given to a server and steered while it
//! runs; it also keeps a log of all requests, for tests that count them.

mod tokens;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::answer::with_headers;
use super::connection::Connection;
pub use tokens::TokenService;

/// One kind of misbehaviour.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answer with this status, these headers and this body.
    Status { status: u16, headers: Vec<(String, String)>, body: String },
    /// Send the right headers and one wrong byte in the body.
    LyingBytes,
    /// Send only so many bytes and claim that they are all.
    Truncate { keep_bytes: u64 },
    /// Break the connection behind so many bytes of the answer's body.
    DropAnswer { after_bytes: u64 },
    /// Break the connection behind so many bytes of the request's body.
    DropUpload { after_bytes: u64 },
    /// Wait before answering.
    Delay(Duration),
    /// Leave a header out of the answer.
    OmitHeader(&'static str),
    /// Put a header into the answer.
    SetHeader(&'static str, String),
    /// Answer as if no Range had been asked for.
    IgnoreRange,
}

impl Fault {
    /// A plain status without headers.
    pub fn status(status: u16) -> Self {
        Self::Status { status, headers: Vec::new(), body: String::new() }
    }

    /// 429 with this Retry-After.
    pub fn too_many_requests(retry_after: &str) -> Self {
        let headers = vec![("retry-after".to_owned(), retry_after.to_owned())];
        Self::Status { status: 429, headers, body: String::new() }
    }

    /// A redirect to another URL.
    pub fn redirect(location: &str) -> Self {
        let headers = vec![("location".to_owned(), location.to_owned())];
        Self::Status { status: 307, headers, body: String::new() }
    }
}

/// Which requests misbehave how.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Only requests of this method.
    pub method: Option<&'static str>,
    /// Only requests whose path and query hold this text.
    pub path_contains: String,
    /// So many fitting requests are answered rightly first.
    pub skip: u32,
    /// So many requests misbehave, then the rule is used up.
    pub times: u32,
    pub fault: Fault,
}

/// A request as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `Basic` or `Bearer`, when the request carried credentials.
    pub authorization: Option<String>,
    /// The connection it came on, counted from 1.
    pub connection: u64,
    /// Status of the answer; 0 while there is none.
    pub status: u16,
}

/// Misbehaviour of one server, shared with the test.
#[derive(Clone, Default)]
pub struct Faults {
    inner: Arc<Mutex<State>>,
    tokens: Option<TokenService>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<Seen>,
    /// Requests that were taken out of the log.
    taken: usize,
}

impl Faults {
    /// Nothing misbehaves yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants bearer tokens of this service, which the server itself offers under `/token`.
    #[must_use]
    pub fn with_tokens(mut self, tokens: TokenService) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Adds a rule.
    pub fn add(&self, rule: Rule) {
        self.state().rules.push(rule);
    }

    /// The next `times` requests whose path holds the text misbehave.
    pub fn next(&self, method: &'static str, path_contains: &str, times: u32, fault: Fault) {
        self.add(Rule { method: Some(method), path_contains: path_contains.to_owned(), skip: 0, times, fault });
    }

    /// Forgets all rules.
    pub fn clear(&self) {
        self.state().rules.clear();
    }

    /// The requests since the last call of this.
    pub fn take_seen(&self) -> Vec<Seen> {
        let mut state = self.state();
        state.taken += state.seen.len();
        std::mem::take(&mut state.seen)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, request: &Request, connection: &Connection) -> Turn {
        let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        let method = request.method().as_str().to_owned();
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let authorization = header.and_then(|text| text.split(' ').next()).map(str::to_owned);
        let mut state = self.state();
        let number = state.taken + state.seen.len();
        let mut faults = Vec::new();
        for rule in &mut state.rules {
            let fits = rule.method.is_none_or(|wanted| wanted == method) && path.contains(&rule.path_contains);
            if !fits || rule.times == 0 {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= 1;
            faults.push(rule.fault.clone());
        }
        state.seen.push(Seen { method, path, authorization, connection: connection.number, status: 0 });
        Turn { faults, number, all: self.clone(), connection: connection.clone() }
    }
}

/// One request's share of misbehaviour.
pub(super) struct Turn {
    faults: Vec<Fault>,
    number: usize,
    all: Faults,
    connection: Connection,
}

impl Turn {
    /// What happens before the server sees the request; an answer when it is not to see it.
    pub(super) async fn before(&self, mut request: Request) -> Result<Request, Response> {
        if let Some(tokens) = &self.all.tokens {
            request = tokens.check(request).await?;
        }
        for fault in &self.faults {
            match fault {
                Fault::Delay(time) => tokio::time::sleep(*time).await,
                Fault::Status { status, headers, body } => {
                    let headers: Vec<(&str, String)> =
                        headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
                    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    return Err(with_headers(status, &headers, Body::from(body.clone())));
                }
                Fault::IgnoreRange => {
                    request.headers_mut().remove("range");
                }
                Fault::DropUpload { after_bytes } => request = self.cut_upload(request, *after_bytes),
                _ => {}
            }
        }
        Ok(request)
    }

    /// What happens to the server's answer.
    pub(super) fn after(&self, mut response: Response) -> Response {
        for fault in &self.faults {
            response = match fault {
                Fault::LyingBytes => map_body(response, lie),
                Fault::Truncate { keep_bytes } => truncate(response, *keep_bytes),
                Fault::DropAnswer { after_bytes } => {
                    let (after, connection) = (*after_bytes, self.connection.clone());
                    map_body(response, move |body| cut_answer(body, after, connection))
                }
                Fault::OmitHeader(name) => {
                    response.headers_mut().remove(HeaderName::from_static(name));
                    response
                }
                Fault::SetHeader(name, value) => {
                    if let Ok(value) = HeaderValue::try_from(value) {
                        response.headers_mut().insert(HeaderName::from_static(name), value);
                    }
                    response
                }
                _ => response,
            };
        }
        self.end(response)
    }

    /// Notes the status.
    pub(super) fn end(&self, response: Response) -> Response {
        let mut state = self.all.state();
        let index = self.number.checked_sub(state.taken);
        if let Some(seen) = index.and_then(|index| state.seen.get_mut(index)) {
            seen.status = response.status().as_u16();
        }
        drop(state);
        response
    }

    fn cut_upload(&self, request: Request, after_bytes: u64) -> Request {
        let connection = self.connection.clone();
        let (parts, body) = request.into_parts();
        let pieces = stream::unfold((body.into_data_stream(), 0_u64), move |(mut pieces, done)| {
            let connection = connection.clone();
            async move {
                if done >= after_bytes {
                    connection.cut();
                    // An error, not an end: the handler must not take what came for the whole.
                    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                    return Some((Err(axum::Error::new(broken)), (pieces, done)));
                }
                let piece = pieces.next().await?;
                let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
                Some((piece, (pieces, done + length)))
            }
        });
        Request::from_parts(parts, Body::from_stream(pieces))
    }
}

fn map_body(response: Response, change: impl FnOnce(Body) -> Body) -> Response {
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, change(body))
}

/// Changes the first byte of each piece.
fn lie(body: Body) -> Body {
    Body::from_stream(body.into_data_stream().map(|piece| {
        piece.map(|piece| {
            let mut bytes = piece.to_vec();
            if let Some(first) = bytes.first_mut() {
                *first ^= 0x20;
            }
            Bytes::from(bytes)
        })
    }))
}

fn truncate(response: Response, keep_bytes: u64) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(CONTENT_LENGTH, keep_bytes.into());
    let pieces = stream::unfold((body.into_data_stream(), keep_bytes), |(mut pieces, left)| async move {
        if left == 0 {
            return None;
        }
        let piece = pieces
            .next()
            .await?
            .map(|piece| piece.slice(..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))));
        let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Some((piece, (pieces, left - length)))
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

fn cut_answer(body: Body, after_bytes: u64, connection: Connection) -> Body {
    let pieces = stream::unfold((body.into_data_stream(), after_bytes), move |(mut pieces, left)| {
        let connection = connection.clone();
        async move {
            if left == 0 {
                // Time for the bytes before to leave; then the end comes without warning.
                tokio::time::sleep(Duration::from_millis(20)).await;
                connection.cut();
                return std::future::pending().await;
            }
            let piece = pieces
                .next()
                .await?
                .map(|piece| piece.slice(..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))));
            let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
            Some((piece, (pieces, left - length)))
        }
    });
    Body::from_stream(pieces)
}
