//! In: users, and who may do what. Out: a token service like those of the public registries. Never: real security.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;

use crate::server::answer::{Refusal, as_response, json};
use crate::server::login::credentials;
use crate::server::route::{Query, Route};

/// Most bytes of a token request's form.
const FORM_SIZE_MAX: usize = 64 << 10;

/// Gives tokens and checks them.
#[derive(Clone, Default)]
pub struct TokenService {
    options: TokenOptions,
    given: Arc<Mutex<HashMap<String, Given>>>,
}

/// How a token service behaves.
#[derive(Clone, Default)]
struct TokenOptions {
    users: Vec<(String, String)>,
    identity_tokens: Vec<String>,
    public: Vec<String>,
    uses_max: Option<u32>,
    life: Option<Duration>,
}

struct Given {
    scopes: Vec<String>,
    uses: u32,
    since: Instant,
}

impl TokenService {
    /// Knows nobody: nothing is granted.
    pub fn new() -> Self {
        Self::default()
    }

    /// A user who may do everything.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.options.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// An identity token whose owner may do everything.
    #[must_use]
    pub fn identity_token(mut self, token: &str) -> Self {
        self.options.identity_tokens.push(token.to_owned());
        self
    }

    /// A repository everybody may pull from.
    #[must_use]
    pub fn public(mut self, repository: &str) -> Self {
        self.options.public.push(repository.to_owned());
        self
    }

    /// Each token is good for so many requests.
    #[must_use]
    pub fn uses_max(mut self, uses: u32) -> Self {
        self.options.uses_max = Some(uses);
        self
    }

    /// Each token is good for so long, and says so.
    #[must_use]
    pub fn life(mut self, life: Duration) -> Self {
        self.options.life = Some(life);
        self
    }

    /// Answers `/token`; lets other requests through when their token allows them.
    pub(super) async fn check(&self, request: Request) -> Result<Request, Response> {
        if request.uri().path() == "/token" {
            return Err(self.give(request).await);
        }
        let Some(wanted) = wanted_scope(&request) else { return Ok(request) };
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|text| text.strip_prefix("Bearer "));
        match token.map(|token| self.allows(token, &wanted)) {
            Some(true) => {
                let (mut parts, body) = request.into_parts();
                self.drop_foreign_mount(token_of(&parts.headers).as_deref(), &mut parts.uri);
                Ok(Request::from_parts(parts, body))
            }
            None => Err(challenge(request.headers(), &wanted, None)),
            Some(false) => Err(challenge(request.headers(), &wanted, Some("insufficient_scope"))),
        }
    }

    async fn give(&self, request: Request) -> Response {
        let refused = || {
            let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "incorrect username or password");
            as_response(Err(refusal))
        };
        let (parts, body) = request.into_parts();
        let mut query = Query::parse(parts.uri.query().unwrap_or_default());
        let known = if parts.method == Method::POST {
            let form = axum::body::to_bytes(body, FORM_SIZE_MAX).await.unwrap_or_default();
            query = Query::parse(&String::from_utf8_lossy(&form));
            let token = query.get("refresh_token").unwrap_or_default();
            if !self.options.identity_tokens.iter().any(|known| known == token) {
                return refused();
            }
            true
        } else if let Some(sent) = credentials(&parts.headers) {
            let users = &self.options.users;
            if !users.iter().any(|(name, password)| format!("{name}:{password}").as_bytes() == sent) {
                return refused();
            }
            true
        } else {
            false
        };
        let scopes = query.all("scope").flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let scopes: Vec<String> = scopes.filter(|scope| known || self.is_public(scope)).collect();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let token = format!("token-{}-{}", given.len(), std::process::id());
        given.insert(token.clone(), Given { scopes, uses: 0, since: Instant::now() });
        let life_s = self.options.life.map_or(300, |life| life.as_secs());
        json(StatusCode::OK, &serde_json::json!({ "token": token, "expires_in": life_s }))
    }

    fn is_public(&self, scope: &str) -> bool {
        self.options.public.iter().any(|name| scope == format!("repository:{name}:pull"))
    }

    fn allows(&self, token: &str, wanted: &Scope) -> bool {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = given.get_mut(token) else { return false };
        token.uses += 1;
        let used_up = self.options.uses_max.is_some_and(|max| token.uses > max)
            || self.options.life.is_some_and(|life| token.since.elapsed() > life);
        !used_up && token.scopes.iter().any(|scope| wanted.is_in(scope))
    }

    /// A mount from a repository the token does not cover is an ordinary upload.
    fn drop_foreign_mount(&self, token: Option<&str>, uri: &mut axum::http::Uri) {
        let query = Query::parse(uri.query().unwrap_or_default());
        let Some(from) = query.get("from") else { return };
        let source = Scope { repository: from.to_owned(), action: "pull" };
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let covered = token
            .and_then(|token| given.get(token))
            .is_some_and(|given| given.scopes.iter().any(|scope| source.is_in(scope)));
        if !covered && let Ok(bare) = uri.path().parse() {
            *uri = bare;
        }
    }
}

struct Scope {
    repository: String,
    action: &'static str,
}

impl Scope {
    /// Whether `repository:NAME:pull,push` allows it.
    fn is_in(&self, scope: &str) -> bool {
        let mut parts = scope.rsplitn(2, ':');
        let actions = parts.next().unwrap_or_default();
        let name = parts.next().and_then(|rest| rest.strip_prefix("repository:"));
        name == Some(&self.repository) && actions.split(',').any(|action| action == self.action)
    }
}

fn token_of(headers: &HeaderMap) -> Option<String> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned)
}

fn wanted_scope(request: &Request) -> Option<Scope> {
    let route = Route::parse(request.uri().path())?;
    let action = if matches!(*request.method(), Method::GET | Method::HEAD) { "pull" } else { "push" };
    Some(Scope { repository: route.name()?.to_owned(), action })
}

fn challenge(headers: &HeaderMap, wanted: &Scope, error: Option<&str>) -> Response {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or("localhost");
    let actions = if wanted.action == "pull" { "pull" } else { "pull,push" };
    let mut value = format!(
        "Bearer realm=\"http://{host}/token\",service=\"crossdock\",scope=\"repository:{}:{actions}\"",
        wanted.repository
    );
    if let Some(error) = error {
        value.push_str(&format!(",error=\"{error}\""));
    }
    let mut response =
        as_response(Err(Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required")));
    if let Ok(value) = value.try_into() {
        response.headers_mut().insert("www-authenticate", value);
    }
    *response.body_mut() = Body::empty();
    response.headers_mut().remove("content-length");
    response
}
