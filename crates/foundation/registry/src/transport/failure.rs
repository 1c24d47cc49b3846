//! In: an error of the HTTP client. Out: which host failed how, and whether to try again. Never: a URL's query or a header in the text.

use std::error::Error as StdError;
use std::io;

use rustls::CertificateError;

use super::CONNECT_TIMEOUT;
use crate::RegistryError;
use crate::retry::{Failure, FailureKind};

/// What was tried when an error came.
pub(crate) struct Attempt<'a> {
    /// The registry or mirror as the user knows it.
    pub host: &'a str,
    /// Host and port that was connected to.
    pub address: &'a str,
    /// `resolve alpine:3`.
    pub action: &'a str,
    pub https: bool,
}

/// Names the failure of a request.
pub(crate) fn classify(error: &reqwest::Error, attempt: &Attempt<'_>) -> Failure {
    let host = attempt.host.to_owned();
    let action = attempt.action.to_owned();
    let mut io_kind = None;
    let mut tls = None;
    let mut no_such_host = false;
    let mut deepest: Option<String> = None;
    let mut cause = error.source();
    while let Some(one) = cause {
        deepest = Some(one.to_string());
        no_such_host |= deepest.as_deref().is_some_and(|text| text.contains("dns error"));
        if let Some(found) = one.downcast_ref::<rustls::Error>() {
            tls = Some(found);
        }
        if let Some(found) = one.downcast_ref::<io::Error>() {
            io_kind.get_or_insert(found.kind());
            // io::Error skips the error it wraps when asked for its source.
            let inner = found.get_ref();
            if let Some(found) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                tls = Some(found);
            }
            cause = inner.map_or_else(|| found.source(), |inner| Some(inner as &(dyn StdError + 'static)));
        } else {
            cause = one.source();
        }
    }
    let reason = deepest.unwrap_or_else(|| "the connection failed".to_owned());
    if let Some(tls) = tls {
        return tls_failure(tls, attempt).into();
    }
    let retried = |error: RegistryError, kind: FailureKind| Failure { error, kind };
    if no_such_host {
        // The resolver's own failure is worth another try; a name that does not exist is not.
        let kind = if reason.contains("Temporary failure") { FailureKind::Connect } else { FailureKind::Final };
        return retried(RegistryError::UnknownHost { host }, kind);
    }
    if io_kind == Some(io::ErrorKind::ConnectionRefused) {
        let hint = if attempt.https && !attempt.address.contains(':') {
            "; for a registry on another port write it into the reference"
        } else {
            ""
        };
        let address = attempt.address.to_owned();
        return retried(RegistryError::ConnectionRefused { host, address, hint }, FailureKind::Connect);
    }
    if error.is_timeout() || io_kind == Some(io::ErrorKind::TimedOut) {
        let seconds = CONNECT_TIMEOUT.as_secs();
        return retried(RegistryError::Timeout { host, action, seconds }, FailureKind::Connect);
    }
    let kind = if error.is_connect() { FailureKind::Connect } else { FailureKind::Passing(None) };
    retried(RegistryError::Connection { host, action, reason }, kind)
}

fn tls_failure(error: &rustls::Error, attempt: &Attempt<'_>) -> RegistryError {
    let host = attempt.host.to_owned();
    let reason = error.to_string();
    match error {
        // `HTTP/1.1 400 Bad Request` is no TLS record.
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => RegistryError::PlainHttp { host },
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            RegistryError::UnknownCa { host, reason: "unknown issuer".to_owned() }
        }
        // A self-signed certificate that is nowhere among the trusted ones.
        rustls::Error::InvalidCertificate(CertificateError::Other(_)) if reason.contains("CaUsedAsEndEntity") => {
            RegistryError::UnknownCa { host, reason: "self-signed".to_owned() }
        }
        _ => RegistryError::Tls { host, reason },
    }
}
