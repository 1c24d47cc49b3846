//! In: a URL of any web server. Out: its bytes, handed on piece by piece, or the word that they are still the same. Never: a whole body in memory, a credential of a registry sent, a password of the URL shown.
//!
//! For what builds fetch that is no image: contexts, Dockerfiles, sources of ADD. Proxies, CAs and time limits are those
//! of registries (architecture decision 16); tries are fewer than theirs, because nobody else has these bytes.

use std::io;

use reqwest::header::LAST_MODIFIED;
use reqwest::header::{
    CONTENT_DISPOSITION, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
};
use reqwest::{Method, Response, Url};

use crate::RegistryError;
use crate::exchange::{Call, Network, next_chunk, read_some, server_message};
use crate::retry::{Budget, Failure, parse_http_date};

/// What is asked for.
#[derive(Clone, Copy)]
pub struct DownloadRequest<'a> {
    pub url: &'a str,
    /// Of the bytes that are known already.
    pub etag: Option<&'a str>,
    /// Likewise, where there was no ETag.
    pub last_modified: Option<&'a str>,
    /// The header of this name, for the host of the URL alone.
    pub authorization: Option<&'a str>,
    /// The caller compares the bytes with a digest known before, so that a redirect may lead to plain HTTP.
    pub is_checked: bool,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Download {
    /// The bytes that are known are those of today.
    NotModified,
    /// The bytes were handed on.
    Fetched(DownloadFacts),
}

/// What came with the bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownloadFacts {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// `last_modified` in seconds since 1970.
    pub modified: Option<i64>,
    /// The name in `Content-Disposition`, as sent.
    pub filename: Option<String>,
}

/// A piece of a download, in order. After a broken connection it begins again with `Start`.
#[derive(Debug)]
pub enum Piece<'a> {
    /// Whatever came before counts no more.
    Start {
        total_bytes: Option<u64>,
    },
    Bytes(&'a [u8]),
}

impl Network {
    pub(crate) async fn download(
        &self,
        request: &DownloadRequest<'_>,
        take: &mut (dyn FnMut(Piece<'_>) -> io::Result<()> + '_),
    ) -> Result<Download, RegistryError> {
        let shown = shown(request.url);
        let failed = |error: RegistryError| match error {
            RegistryError::Cancelled => error,
            other => RegistryError::Download { url: shown.clone(), reason: reason_of(&other) },
        };
        let url = Url::parse(request.url).map_err(|error| RegistryError::Download {
            url: shown.clone(),
            reason: format!("this is no URL: {error}"),
        })?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, text: Option<&str>| {
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
                headers.insert(name, value);
            }
        };
        set(IF_NONE_MATCH, request.etag);
        set(IF_MODIFIED_SINCE, request.last_modified.filter(|_| request.etag.is_none()));
        let call = Call {
            host: &host,
            url,
            method: Method::GET,
            headers,
            body: None,
            action: "fetch the file".to_owned(),
            may_downgrade: request.is_checked,
        };
        let authorization = request.authorization.map(HeaderValue::from_str).transpose().map_err(|_| {
            let reason = "the secret for its host cannot stand in a header".to_owned();
            RegistryError::Download { url: shown.clone(), reason }
        })?;
        let authorization = authorization.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let once = async || self.download_once(&call, authorization.clone(), take).await;
        self.retrying(Budget::REGISTRY, once).await.map_err(failed)
    }

    async fn download_once(
        &self,
        call: &Call<'_>,
        authorization: Option<HeaderValue>,
        take: &mut (dyn FnMut(Piece<'_>) -> io::Result<()> + '_),
    ) -> Result<Download, Failure> {
        let mut response = self.dispatch(call, authorization).await?;
        let status = response.status();
        if status.as_u16() == 304 {
            return Ok(Download::NotModified);
        }
        if !status.is_success() {
            let message = server_message(&read_some(response, &call.action).await, status);
            let (host, action) = (call.host.to_owned(), call.action.clone());
            return Err(RegistryError::Status { host, action, status: status.as_u16(), message }.into());
        }
        let facts = facts_of(&response);
        let total = response.content_length();
        let mut done = 0_u64;
        let mut hand = |piece: Piece<'_>| take(piece).map_err(|source| RegistryError::Keep { source });
        hand(Piece::Start { total_bytes: total })?;
        while let Some(chunk) = next_chunk(&mut response, call.host, &call.action).await? {
            done += chunk.len() as u64;
            hand(Piece::Bytes(&chunk))?;
        }
        match total {
            Some(total) if total != done => {
                let (host, action) = (call.host.to_owned(), call.action.clone());
                let reason = format!("the file ended after {done} of {total} bytes");
                Err(RegistryError::Answer { host, action, reason }.into())
            }
            _ => Ok(Download::Fetched(facts)),
        }
    }
}

fn facts_of(response: &Response) -> DownloadFacts {
    let text = |name: HeaderName| {
        let value = response.headers().get(name)?.to_str().ok()?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    let last_modified = text(LAST_MODIFIED);
    let seconds = |text: &str| {
        let moment = parse_http_date(text)?.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(moment.as_secs()).ok()
    };
    DownloadFacts {
        etag: text(ETAG),
        modified: last_modified.as_deref().and_then(seconds),
        last_modified,
        filename: text(CONTENT_DISPOSITION).and_then(|value| filename_of(&value)),
    }
}

/// The name in `attachment; filename="a b.tar"`; the form with a character set is not in use for builds.
fn filename_of(disposition: &str) -> Option<String> {
    let mut parts = disposition.split(';').skip(1);
    let value = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("filename").then(|| value.trim())
    })?;
    let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    (!value.is_empty() && !value.ends_with('/')).then(|| value.to_owned())
}

/// The URL without user and password; what stands behind `?` may be a token.
fn shown(url: &str) -> String {
    let (bare, query) = url.split_once('?').map_or((url, ""), |(bare, _)| (bare, "?…"));
    let bare = match bare.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, host)| host);
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => bare.to_owned(),
    };
    format!("{bare}{query}")
}

/// Errors of this room call every host a registry.
fn reason_of(error: &RegistryError) -> String {
    match error {
        RegistryError::Status { status: 404, .. } => "invalid response status 404: not found".to_owned(),
        RegistryError::Status { status: status @ (401 | 403), message, .. } => {
            format!("invalid response status {status}: {message}; it wants to know who asks")
        }
        RegistryError::Status { status, message, .. } => format!("invalid response status {status}: {message}"),
        RegistryError::UnknownHost { host } => {
            format!("no such host {host}: check the name, the network and the DNS settings")
        }
        other => {
            let text = other.to_string();
            match text.strip_prefix("registry ").and_then(|rest| rest.split_once(": ")) {
                Some((_, rest)) => rest.replace("check that the registry runs", "check that the server runs"),
                None => text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_of_dispositions() {
        let rows = [
            ("attachment; filename=\"a b.tar\"", Some("a b.tar")),
            ("attachment; FileName=x", Some("x")),
            ("inline", None),
            ("attachment; filename=\"\"", None),
            ("attachment; filename=d/", None),
        ];
        for (text, want) in rows {
            assert_eq!(filename_of(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn urls_are_shown_without_secrets() {
        assert_eq!(shown("https://u:p@h:1/a/b?token=x"), "https://h:1/a/b?…");
        assert_eq!(shown("http://h/a@b"), "http://h/a@b");
        assert_eq!(shown("x"), "x");
    }
}
