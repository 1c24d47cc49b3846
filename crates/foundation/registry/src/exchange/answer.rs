//! In: answers of a server. Out: their bodies within limits, the message in them, passing failures. Never: more than a named number of bytes in memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::Call;
use crate::RegistryError;
use crate::retry::{Failure, FailureKind, retry_after};
use crate::transport::{Attempt, classify};

/// Most bytes of an error's body that are looked at.
const ERROR_SIZE_MAX: usize = 64 << 10;
/// Longest message of a server that is shown, in characters.
const MESSAGE_LENGTH_MAX: usize = 300;
/// How long a body may pause.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Turns answers that call for another try (5xx, 408, 429) into failures.
pub(super) async fn passing_failure(host: &str, action: &str, response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if !(status.is_server_error() || matches!(status.as_u16(), 408 | 429)) {
        return Ok(response);
    }
    let wait = retry_after(response.headers());
    // 501 and the like do not pass.
    let lasting = matches!(status.as_u16(), 501 | 505 | 511);
    let kind = if lasting { FailureKind::Final } else { FailureKind::Passing(wait) };
    let mut message = server_message(&read_some(response, action).await, status);
    let (host, action) = (host.to_owned(), action.to_owned());
    if status.as_u16() == 429 {
        if let Some(wait) = wait {
            message = format!("{message} (the server asks to wait {} s)", wait.as_secs());
        }
        return Err(Failure { error: RegistryError::TooManyRequests { host, action, message }, kind });
    }
    Err(Failure { error: RegistryError::Status { host, action, status: status.as_u16(), message }, kind })
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn next_chunk(response: &mut Response, host: &str, action: &str) -> Result<Option<Bytes>, Failure> {
    let address = super::authority_of(response.url());
    let https = response.url().scheme() == "https";
    match tokio::time::timeout(IDLE_TIMEOUT, response.chunk()).await {
        Ok(chunk) => chunk.map_err(|error| {
            let failure = classify(&error, &Attempt { host, address: &address, action, https });
            // The connection stood, so this is no question of reaching the host.
            Failure { kind: FailureKind::Passing(None), ..failure }
        }),
        Err(_) => {
            let (host, action) = (host.to_owned(), action.to_owned());
            let error = RegistryError::Timeout { host, action, seconds: IDLE_TIMEOUT.as_secs() };
            Err(Failure { error, kind: FailureKind::Passing(None) })
        }
    }
}

/// The whole body, when it is no longer than `size_max` bytes.
pub(crate) async fn read_limited(mut response: Response, size_max: usize, call: &Call<'_>) -> Result<Bytes, Failure> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = next_chunk(&mut response, call.host, &call.action).await? {
        if bytes.len() + chunk.len() > size_max {
            let (host, action) = (call.host.to_owned(), call.action.clone());
            let reason = format!("it is longer than {size_max} bytes");
            return Err(RegistryError::Answer { host, action, reason }.into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// The beginning of a body whose end does not matter.
pub(crate) async fn read_some(mut response: Response, action: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    while let Ok(Some(chunk)) = next_chunk(&mut response, "", action).await {
        let room = ERROR_SIZE_MAX - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if bytes.len() == ERROR_SIZE_MAX {
            break;
        }
    }
    bytes.freeze()
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    errors: Vec<ErrorItem>,
    #[serde(default)]
    details: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error: Option<serde_json::Value>,
    #[serde(default)]
    error_description: Option<String>,
}

#[derive(Deserialize)]
struct ErrorItem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: serde_json::Value,
}

/// What a server says in an error's body: the distribution-spec's list, a token service's text, or the first line.
pub(crate) fn server_message(body: &[u8], status: StatusCode) -> String {
    let fallback = || match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    };
    let text = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(parsed) if !parsed.errors.is_empty() => parsed.errors.iter().map(describe).collect::<Vec<_>>().join("; "),
        Ok(parsed) => parsed
            .error_description
            .or(parsed.details)
            .or(parsed.message)
            .or_else(|| parsed.error.and_then(|error| error.as_str().map(str::to_owned)))
            .unwrap_or_default(),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
            if line.starts_with('<') { String::new() } else { line.to_owned() }
        }
    };
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_LENGTH_MAX).collect();
    if clean.trim().is_empty() { fallback() } else { clean.trim().to_owned() }
}

/// Whether a server refuses a manifest because it does not know something the manifest names (distribution-spec's codes).
pub(crate) fn misses_content(body: &[u8]) -> bool {
    const CODES: [&str; 3] = ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"];
    serde_json::from_slice::<ErrorBody>(body)
        .is_ok_and(|parsed| parsed.errors.iter().any(|item| CODES.contains(&item.code.as_str())))
}

/// `denied: requested access to the resource is denied`, as Docker prints it, with a short detail behind.
fn describe(item: &ErrorItem) -> String {
    let code = item.code.to_lowercase().replace('_', " ");
    let mut text = match (code.is_empty(), item.message.is_empty()) {
        (false, false) => format!("{code}: {}", item.message),
        (false, true) => code,
        _ => item.message.clone(),
    };
    let detail = match &item.detail {
        serde_json::Value::String(detail) => Some(detail.clone()),
        serde_json::Value::Object(fields) => ["digest", "Digest", "reason", "name", "Tag"]
            .iter()
            .find_map(|key| fields.get(*key)?.as_str().map(str::to_owned)),
        _ => None,
    };
    if let Some(detail) = detail.filter(|detail| !detail.is_empty()) {
        text = format!("{text} ({detail})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_real_servers() {
        let rows: [(&str, u16, &str); 9] = [
            (
                r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#,
                403,
                "denied: requested access to the resource is denied",
            ),
            (
                r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry","detail":{"digest":"sha256:1"}}]}"#,
                400,
                "manifest blob unknown: blob unknown to registry (sha256:1)",
            ),
            (r#"{"details":"incorrect username or password"}"#, 401, "incorrect username or password"),
            (r#"{"error":"invalid_grant","error_description":"expired"}"#, 400, "expired"),
            (r#"{"errors":[]}"#, 404, "404 Not Found"),
            ("toomanyrequests: slow down\nmore", 429, "toomanyrequests: slow down"),
            ("<html><h1>Bad</h1>", 502, "502 Bad Gateway"),
            ("", 599, "599"),
            ("a\u{1b}[31mb", 400, "a [31mb"),
        ];
        for (body, status, want) in rows {
            assert_eq!(server_message(body.as_bytes(), StatusCode::from_u16(status).unwrap()), want);
        }
    }

    #[test]
    fn missing_content_is_told_by_its_code() {
        let body =
            |code: &str| format!(r#"{{"errors":[{{"code":"DIGEST_INVALID"}},{{"code":"{code}","message":"x"}}]}}"#);
        for (code, want) in [("MANIFEST_BLOB_UNKNOWN", true), ("MANIFEST_UNKNOWN", true), ("MANIFEST_INVALID", false)] {
            assert_eq!(misses_content(body(code).as_bytes()), want, "{code}");
        }
        assert!(!misses_content(b"blob unknown"));
    }

    proptest::proptest! {
        #[test]
        fn any_body_gives_a_short_line(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..500)) {
            let text = server_message(&body, StatusCode::BAD_REQUEST);
            proptest::prop_assert!(!text.is_empty() && !text.contains('\n') && text.chars().count() <= MESSAGE_LENGTH_MAX);
        }
    }
}
