//! In: an endpoint. Out: the engine's answers. Never: a connection kept open behind an answer, a wait without an end.
//!
//! Of the engine's interface only what moving an image into it needs. Paths carry the version the engine itself names,
//! so that engines old and new understand them.

mod message;
mod wire;

use std::io::Write;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use message::{Message, ProgressDetail};
pub use wire::CancelCheck;

use crate::endpoint::Endpoint;
use crate::error::DockerError;
use crate::http::{Body, HttpError, Response, send};
use message::Messages;
use wire::Wire;

/// Largest answer that is read as a whole, in bytes.
const ANSWER_SIZE_MAX: u64 = 8 << 20;
/// How long an engine may take for a small answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an engine that pulls or loads may say nothing.
const WORK_TIMEOUT: Duration = Duration::from_secs(300);
/// The version of the interface when the engine names none: that of Docker 20.10.
const API_VERSION_OLDEST: &str = "1.41";

/// What `/version` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EngineVersion {
    pub version: String,
    pub api_version: String,
    pub os: String,
    pub arch: String,
}

/// What `/images/NAME/json` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EngineImage {
    pub id: String,
    pub repo_tags: Option<Vec<String>>,
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImageRow {
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

/// An engine that answered.
#[derive(Debug, Clone)]
pub struct EngineApi {
    endpoint: Endpoint,
    version: String,
    cancel: CancelCheck,
}

/// Whether an engine is there.
#[derive(Debug)]
pub enum Answer {
    Engine(EngineApi),
    /// Nobody listens there: no socket, or no process behind it.
    Nobody(DockerError),
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl EngineApi {
    /// Asks the engine for its name (`/_ping`).
    ///
    /// # Errors
    /// When somebody is there but cannot be used: no permission, no HTTP, a way of connecting that is not built.
    pub fn find(endpoint: &Endpoint, cancel: CancelCheck) -> Result<Answer, DockerError> {
        let mut api = Self { endpoint: endpoint.clone(), version: String::new(), cancel };
        let mut response = match api.request("GET", "/_ping", "asking whether it is there", Body::None, ANSWER_TIMEOUT)
        {
            Ok(response) => response,
            Err(error @ DockerError::Connect { .. }) if error.is_nobody() => return Ok(Answer::Nobody(error)),
            Err(error) => return Err(error),
        };
        let named = response.head.header("api-version").filter(|version| is_version(version)).map(str::to_owned);
        let said = std::env::var("DOCKER_API_VERSION").ok().filter(|version| is_version(version));
        api.check(&mut response, "asking whether it is there")?;
        api.version = said.or(named).unwrap_or_else(|| API_VERSION_OLDEST.to_owned());
        Ok(Answer::Engine(api))
    }

    /// The same engine, asked by somebody who gives up at other times.
    #[must_use]
    pub fn with_cancel(&self, cancel: CancelCheck) -> Self {
        Self { cancel, ..self.clone() }
    }

    /// Which engine this is.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The version of the interface that is spoken.
    pub fn api_version(&self) -> &str {
        &self.version
    }

    /// The engine's version and platform.
    ///
    /// # Errors
    /// Those of the conversation.
    pub fn version(&self) -> Result<EngineVersion, DockerError> {
        self.get("/version", "asking for its version")
    }

    /// `/version` or `/info` as it is.
    ///
    /// # Errors
    /// Those of the conversation.
    pub fn document(&self, path: &str) -> Result<serde_json::Value, DockerError> {
        self.get(path, &format!("asking for {path}"))
    }

    /// What the engine has under a name, a digest or an ID; `None` when nothing.
    ///
    /// # Errors
    /// Those of the conversation.
    pub fn image(&self, name: &str) -> Result<Option<EngineImage>, DockerError> {
        match self.get(&format!("/images/{}/json", escape(name, true)), &format!("looking at {name}")) {
            Ok(image) => Ok(Some(image)),
            Err(DockerError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names (`repository:tag`) the engine has that fit a pattern, `*` standing for anything but a slash.
    ///
    /// # Errors
    /// Those of the conversation.
    pub fn names(&self, pattern: &str) -> Result<Vec<String>, DockerError> {
        let filters = serde_json::json!({ "reference": [pattern] }).to_string();
        let path = format!("/images/json?filters={}", escape(&filters, false));
        let rows: Vec<ImageRow> = self.get(&path, &format!("looking for {pattern}"))?;
        Ok(rows.into_iter().flat_map(|row| row.repo_tags.unwrap_or_default()).collect())
    }

    /// Lets the engine pull `repository:tag` for a platform (`os/arch[/variant]`).
    ///
    /// # Errors
    /// When it cannot, in its own words.
    pub fn pull(
        &self,
        repository: &str,
        tag: &str,
        platform: Option<&str>,
        told: &mut dyn FnMut(&Message),
    ) -> Result<(), DockerError> {
        let mut path = format!("/images/create?fromImage={}&tag={}", escape(repository, false), escape(tag, false));
        if let Some(platform) = platform {
            path.push_str(&format!("&platform={}", escape(platform, false)));
        }
        let action = format!("pulling {repository}:{tag}");
        self.work("POST", &path, &action, Body::None, told)
    }

    /// An image as `docker save` gives it: the archive, to be read from the connection.
    ///
    /// # Errors
    /// When the engine has no such image.
    pub fn save(&self, name: &str) -> Result<Box<dyn std::io::Read + Send>, DockerError> {
        let (path, action) = (format!("/images/{}/get", escape(name, true)), format!("saving {name}"));
        let mut response = self.request("GET", &path, &action, Body::None, WORK_TIMEOUT)?;
        if response.head.status >= 300 {
            self.check(&mut response, &action)?;
        }
        Ok(Box::new(response))
    }

    /// Sends an archive as `docker save` makes it.
    ///
    /// # Errors
    /// When the archive cannot be written, or the engine refuses it.
    pub fn load(
        &self,
        write: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
        told: &mut dyn FnMut(&Message),
    ) -> Result<(), DockerError> {
        self.work("POST", "/images/load?quiet=0", "loading an archive", Body::Tar(write), told)
    }

    /// Gives an image one more name.
    ///
    /// # Errors
    /// When the engine has no such image or refuses the name.
    pub fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<(), DockerError> {
        let (repository, tag) = (escape(repository, false), escape(tag, false));
        let path = format!("/images/{}/tag?repo={repository}&tag={tag}", escape(image, true));
        self.empty("POST", &path, &format!("tagging {image}"))
    }

    /// Takes a name away; the image stays while another name leads to it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn remove_name(&self, name: &str) -> Result<(), DockerError> {
        let path = format!("/images/{}?noprune=1", escape(name, true));
        match self.empty("DELETE", &path, &format!("taking the name {name} away")) {
            Err(DockerError::Refused { status: 404, .. }) => Ok(()),
            outcome => outcome,
        }
    }

    fn get<T: DeserializeOwned>(&self, path: &str, action: &str) -> Result<T, DockerError> {
        let mut response = self.request("GET", path, action, Body::None, ANSWER_TIMEOUT)?;
        let body = self.check(&mut response, action)?;
        serde_json::from_slice(&body).map_err(|_| self.protocol(action, "the answer is not the expected JSON"))
    }

    fn empty(&self, method: &str, path: &str, action: &str) -> Result<(), DockerError> {
        let mut response = self.request(method, path, action, Body::None, ANSWER_TIMEOUT)?;
        self.check(&mut response, action).map(drop)
    }

    /// A request whose answer is a stream of messages; the last of them may be a failure.
    fn work(
        &self,
        method: &str,
        path: &str,
        action: &str,
        body: Body<'_>,
        told: &mut dyn FnMut(&Message),
    ) -> Result<(), DockerError> {
        let mut response = self.request(method, path, action, body, WORK_TIMEOUT)?;
        if response.head.status >= 300 {
            return self.check(&mut response, action).map(drop);
        }
        for message in Messages::new(response) {
            let message = message.map_err(|error| self.failure(action, error))?;
            if let Some(reason) = message.failure() {
                let message = reason.to_owned();
                return Err(DockerError::Refused {
                    host: self.endpoint.host.clone(),
                    action: action.to_owned(),
                    status: 500,
                    message,
                });
            }
            told(&message);
        }
        Ok(())
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        action: &str,
        body: Body<'_>,
        timeout: Duration,
    ) -> Result<Response<Wire>, DockerError> {
        let mut wire = Wire::connect(&self.endpoint, timeout, self.cancel.clone())?;
        let host = wire.host_header();
        let versioned = if self.version.is_empty() { String::new() } else { format!("/v{}", self.version) };
        let target = format!("{}{versioned}{path}", wire.path_prefix());
        send(&mut wire, method, &target, &host, body).map_err(|error| self.failure(action, error.into()))?;
        Response::read(wire, false).map_err(|error| self.failure(action, error))
    }

    /// The body of a good answer; a refusal in the engine's own words.
    fn check(&self, response: &mut Response<Wire>, action: &str) -> Result<Vec<u8>, DockerError> {
        let body = response.body(ANSWER_SIZE_MAX).map_err(|error| self.failure(action, error))?;
        let status = response.head.status;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let message = serde_json::from_slice::<Refusal>(&body).map_or_else(
            |_| String::from_utf8_lossy(&body).chars().take(500).collect(),
            |refusal| refusal.message.trim().to_owned(),
        );
        Err(DockerError::Refused { host: self.endpoint.host.clone(), action: action.to_owned(), status, message })
    }

    fn failure(&self, action: &str, error: HttpError) -> DockerError {
        if self.cancel.is_cancelled() {
            return DockerError::Cancelled;
        }
        match error {
            HttpError::Malformed(reason) => self.protocol(action, reason),
            HttpError::Io(source) => {
                DockerError::Broken { host: self.endpoint.host.clone(), action: action.to_owned(), source }
            }
        }
    }

    fn protocol(&self, action: &str, reason: &'static str) -> DockerError {
        DockerError::Protocol { host: self.endpoint.host.clone(), action: action.to_owned(), reason }
    }
}

/// `1.51`: nothing else may stand in a path.
fn is_version(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// A word as part of a path (names keep their slashes and colons) or of a query.
fn escape(text: &str, in_path: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (in_path && b"/:@".contains(&byte));
        if plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
