//! In: outcomes. Out: HTTP answers in the distribution-spec's shapes. Never: a path of this machine in one.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Response as HttpResponse, StatusCode};
use axum::response::Response;
use crossdock_content::ContentError;

/// Why a request is not granted: status, code and message of the error list (distribution-spec, "Error codes").
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub detail: serde_json::Value,
    /// For a byte range that cannot be.
    pub header: Option<(&'static str, String)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), detail: serde_json::Value::Null, header: None }
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "no such path")
    }

    pub(super) fn unsupported() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "the operation is unsupported")
    }

    pub(super) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn blob_unknown(digest: crossdock_oci::BlobDigest) -> Self {
        let detail = serde_json::json!({ "digest": digest.to_string() });
        Self { detail, ..Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry") }
    }

    pub(super) fn manifest_unknown(reference: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", format!("manifest unknown: {reference}"))
    }

    pub(super) fn upload_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    }

    pub(super) fn name_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry")
    }
}

impl From<ContentError> for Refusal {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::DigestMismatch { .. }
            | ContentError::BlobTruncated { .. }
            | ContentError::BlobOverlong { .. } => {
                Self::bad("DIGEST_INVALID", "provided digest did not match uploaded content")
            }
            error if error.is_disk_full() => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN", "the registry's disk is full")
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the registry's store failed"),
        }
    }
}

/// The answer of either outcome.
pub(super) fn as_response(outcome: Result<Response, Refusal>) -> Response {
    let mut response = match outcome {
        Ok(response) => response,
        Err(refusal) => {
            let item =
                serde_json::json!({ "code": refusal.code, "message": refusal.message, "detail": refusal.detail });
            let mut response = json(refusal.status, &serde_json::json!({ "errors": [item] }));
            if let Some((name, value)) = refusal.header
                && let Ok(value) = HeaderValue::try_from(value)
            {
                response.headers_mut().insert(name, value);
            }
            response
        }
    };
    let version = HeaderValue::from_static("registry/2.0");
    response.headers_mut().insert("docker-distribution-api-version", version);
    response
}

/// `GET /v2/`.
pub(super) fn base() -> Response {
    json(StatusCode::OK, &serde_json::json!({}))
}

pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    let bytes = value.to_string();
    let headers = [(CONTENT_TYPE.as_str(), "application/json".to_owned())];
    with_headers(status, &headers, Body::from(bytes))
}

pub(super) fn empty(status: StatusCode, headers: &[(&str, String)]) -> Response {
    with_headers(status, headers, Body::empty())
}

/// An answer whose headers are all made of checked parts; one that is not makes an internal error.
pub(super) fn with_headers(status: StatusCode, headers: &[(&str, String)], body: Body) -> Response {
    let mut builder = HttpResponse::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    builder.body(body).unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        response
    })
}
