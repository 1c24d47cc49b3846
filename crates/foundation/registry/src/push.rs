//! In: descriptors and where their bytes are. Out: blobs and manifests in a repository. Never: an upload of what is there already or can be mounted.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use crossdock_oci::{BlobDigest, Descriptor, Reference};
use futures_util::stream;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::sync::mpsc;

use crate::RegistryError;
use crate::auth::Scopes;
use crate::client::{PushSource, Pushed};
use crate::exchange::{Access, Network, Request, Target, join_location, misses_content};
use crate::host::Endpoint;
use crate::retry::{Failure, FailureKind};
use crate::transport::{Attempt, classify};

/// Repositories a blob is tried to be mounted from; each refusal costs a request.
pub const MOUNT_SOURCES_MAX: usize = 3;
/// Bytes read at a time from the source of an upload.
const UPLOAD_PIECE_BYTES: usize = 256 << 10;
/// Pieces waiting between the source and the connection.
const UPLOAD_QUEUE_DEPTH: usize = 4;
/// How long the connection may take nothing.
const UPLOAD_IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the registry may take to store a blob once it has all bytes.
const UPLOAD_COMMIT_TIMEOUT: Duration = Duration::from_secs(600);
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// What stays the same through one upload.
struct Upload<'a> {
    endpoint: &'a Endpoint,
    repository: String,
    subject: String,
    action: String,
    scopes: Scopes,
    blob: &'a Descriptor,
}

impl Upload<'_> {
    fn request(&self, method: Method) -> Request<'_> {
        let mut request = Request::new(self.endpoint, &self.repository, &self.subject, &self.action, &self.scopes);
        request.access = Access::Push;
        request.method = method;
        request
    }

    fn answer_error(&self, reason: &str) -> RegistryError {
        let (host, action) = (self.endpoint.name(), self.action.clone());
        RegistryError::Answer { host, action, reason: reason.to_owned() }
    }
}

impl Network {
    /// Brings a blob into a repository.
    pub(crate) async fn push_blob(
        &self,
        name: &Reference,
        blob: &Descriptor,
        source: &PushSource<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Pushed, RegistryError> {
        let endpoint = self.registry(name)?;
        let _permit = endpoint.host.transfers.acquire().await.map_err(|_| RegistryError::Cancelled)?;
        if self.blob_exists_at(&endpoint, name, blob, Access::Push).await? {
            return Ok(Pushed::Existed);
        }
        let repository = endpoint.repository(name);
        let upload = Upload {
            endpoint: &endpoint,
            scopes: Scopes::push(&repository),
            repository,
            subject: name.name(),
            action: format!("push blob {}", blob.digest),
            blob,
        };
        let mut session = None;
        let others = source.mount_from.iter().filter(|from| from.as_str() != name.path());
        for from in others.take(MOUNT_SOURCES_MAX) {
            match self.mount(&upload, from).await? {
                Mount::Done => return Ok(Pushed::Mounted),
                Mount::Session(url) => session = Some(url),
                Mount::Refused => {}
            }
        }
        self.retrying(endpoint.budget(), async || {
            let url = match session.take() {
                Some(url) => url,
                None => self.begin_upload(&upload).await?,
            };
            self.put_blob(&upload, &url, source, progress).await
        })
        .await?;
        Ok(Pushed::Uploaded)
    }

    async fn mount(&self, upload: &Upload<'_>, from: &str) -> Result<Mount, RegistryError> {
        let from = upload.endpoint.repository_path(from);
        let scopes = upload.scopes.clone().and_pull(&from);
        let path = format!("blobs/uploads/?mount={}&from={}", upload.blob.digest, encode_query(&from));
        let mut request = upload.request(Method::POST);
        request.scopes = &scopes;
        request.target = Target::Path(&path);
        request.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let response = match self.send(&request).await {
            Ok(response) => response,
            // A token service may refuse the source; the target may still be open.
            Err(error) if error.is_denied() => return Ok(Mount::Refused),
            Err(error) => return Err(error),
        };
        match response.status() {
            StatusCode::CREATED => Ok(Mount::Done),
            StatusCode::ACCEPTED => Ok(Mount::Session(location(upload, &response)?)),
            _ => Ok(Mount::Refused),
        }
    }

    async fn begin_upload(&self, upload: &Upload<'_>) -> Result<Url, Failure> {
        let mut request = upload.request(Method::POST);
        request.target = Target::Path("blobs/uploads/");
        request.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let response = self.send_once(&request).await?;
        if response.status() != StatusCode::ACCEPTED {
            if response.status().is_success() {
                return Err(upload.answer_error("it accepts an upload without opening a session").into());
            }
            return Err(self.refusal(&request, response).await.into());
        }
        Ok(location(upload, &response)?)
    }

    /// Sends all bytes in one PUT.
    async fn put_blob(
        &self,
        upload: &Upload<'_>,
        session: &Url,
        source: &PushSource<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Failure> {
        let digest = upload.blob.digest;
        let mut url = session.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let mut request = upload.request(Method::PUT);
        request.target = Target::Url(&url);
        let host = &upload.endpoint.host;
        let own = self.is_own(&request, &url).await?;
        let authorization = if own { host.auth.header(self, host, &upload.scopes).await? } else { None };
        let (client, address) = self.client_for(&url)?;
        let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(UPLOAD_QUEUE_DEPTH);
        let pieces =
            stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|one| (one, receiver)) });
        let mut put = client
            .put(url.clone())
            .header(CONTENT_TYPE, OCTETS)
            .header(CONTENT_LENGTH, upload.blob.size)
            .body(Body::wrap_stream(pieces));
        if let Some(authorization) = &authorization {
            put = put.header(AUTHORIZATION, authorization.clone());
        }
        let reader = (source.open)().map_err(|source| RegistryError::Read { digest: Box::new(digest), source })?;
        let https = url.scheme() == "https";
        let attempt = Attempt { host: &host.name, address: &address, action: &upload.action, https };
        let response = send_while_feeding(put, feed(upload, reader, sender, progress), &attempt).await?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED && own {
            // The token ended during the upload: with a new one the whole begins again.
            let headers = response.headers().clone();
            let better = host.auth.answer_challenge(self, host, &upload.scopes, &headers, authorization.as_ref());
            let error = self.refusal(&request, response).await;
            let kind = match better.await? {
                Some(_) => FailureKind::Passing(Some(Duration::ZERO)),
                None => FailureKind::Final,
            };
            return Err(Failure { error, kind });
        }
        self.check_stored(upload, &request, response).await
    }

    async fn check_stored(
        &self,
        upload: &Upload<'_>,
        request: &Request<'_>,
        response: Response,
    ) -> Result<(), Failure> {
        let status = response.status();
        if status.is_success() {
            let stored = response.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
            return match stored.and_then(|text| text.parse::<BlobDigest>().ok()) {
                Some(got) if got != upload.blob.digest => {
                    let subject = format!("blob {} after its upload", upload.blob.digest);
                    let (registry, want) = (upload.endpoint.name(), Box::new(upload.blob.digest));
                    Err(RegistryError::DigestMismatch { subject, registry, want, got: Box::new(got) }.into())
                }
                _ => Ok(()),
            };
        }
        let wait = crate::retry::retry_after(response.headers());
        // A session that is gone (404, 416) or a failing server: begin again.
        let passing = status.is_server_error() || matches!(status.as_u16(), 404 | 408 | 416 | 429);
        let kind = if passing { FailureKind::Passing(wait) } else { FailureKind::Final };
        Err(Failure { error: self.refusal(request, response).await, kind })
    }

    /// Sends a manifest once.
    ///
    /// What it names was brought before it. A registry that does not know it yet is still writing: Docker's registry is
    /// while another push brings the same blob, and those with several stores are until all have it.
    async fn put_manifest(&self, request: &Request<'_>) -> Result<Response, Failure> {
        let response = self.send_once(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (error, body) = self.refusal_with_body(request, response).await;
        let kind =
            if misses_content(&body) && !error.is_denied() { FailureKind::Passing(None) } else { FailureKind::Final };
        Err(Failure { error, kind })
    }

    /// Stores a manifest or index.
    pub(crate) async fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<BlobDigest, RegistryError> {
        let endpoint = self.registry(reference)?;
        let repository = endpoint.repository(reference);
        let scopes = Scopes::push(&repository);
        let digest = BlobDigest::of(&bytes);
        let (subject, action) = (reference.to_string(), format!("push manifest {digest} for {reference}"));
        let path = match (reference.tag(), reference.digest()) {
            (Some(tag), _) => format!("manifests/{tag}"),
            (None, _) => format!("manifests/{digest}"),
        };
        let mut request = Request::new(&endpoint, &repository, &subject, &action, &scopes);
        request.access = Access::Push;
        request.method = Method::PUT;
        request.target = Target::Path(&path);
        let content_type = HeaderValue::from_str(media_type).unwrap_or(OCTETS);
        request.headers.insert(CONTENT_TYPE, content_type);
        request.body = Some(bytes);
        let mismatch = |want: BlobDigest, got: BlobDigest| {
            let (subject, registry) = (format!("manifest for {reference}"), endpoint.name());
            RegistryError::DigestMismatch { subject, registry, want: Box::new(want), got: Box::new(got) }
        };
        if let Some(want) = reference.digest().filter(|want| *want != digest) {
            return Err(mismatch(want, digest));
        }
        let response = self.retrying(endpoint.budget(), async || self.put_manifest(&request).await).await?;
        let stored = response.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
        match stored.and_then(|text| text.parse::<BlobDigest>().ok()) {
            Some(got) if got != digest => Err(mismatch(digest, got)),
            _ => Ok(digest),
        }
    }
}

/// What became of a try to mount.
enum Mount {
    Done,
    /// The registry opened an upload instead.
    Session(Url),
    Refused,
}

fn location(upload: &Upload<'_>, response: &Response) -> Result<Url, RegistryError> {
    let header = response.headers().get(LOCATION);
    let joined = header.and_then(|location| join_location(response.url(), location));
    joined.ok_or_else(|| upload.answer_error("its upload session has no usable Location"))
}

/// Moves the source's bytes into the connection's queue, on the caller's thread.
async fn feed(
    upload: &Upload<'_>,
    mut reader: Box<dyn Read + Send>,
    sender: mpsc::Sender<io::Result<Bytes>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), Failure> {
    let (want, digest) = (upload.blob.size, || Box::new(upload.blob.digest));
    let mut done = 0;
    loop {
        let permit = match tokio::time::timeout(UPLOAD_IDLE_TIMEOUT, sender.reserve()).await {
            Ok(Ok(permit)) => permit,
            // The connection is gone; its own error says why.
            Ok(Err(_)) => return Ok(()),
            Err(_) => {
                let (host, action) = (upload.endpoint.name(), upload.action.clone());
                let error = RegistryError::Timeout { host, action, seconds: UPLOAD_IDLE_TIMEOUT.as_secs() };
                return Err(Failure { error, kind: FailureKind::Passing(None) });
            }
        };
        let piece = read_piece(&mut reader).map_err(|source| RegistryError::Read { digest: digest(), source })?;
        done += piece.len() as u64;
        if done > want || (piece.is_empty() && done < want) {
            return Err(RegistryError::SourceSize { digest: digest(), want, got: done }.into());
        }
        if piece.is_empty() {
            return Ok(());
        }
        permit.send(Ok(piece));
        progress(done, want);
    }
}

/// As many bytes as one piece holds; none at the end.
fn read_piece(reader: &mut dyn Read) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(UPLOAD_PIECE_BYTES);
    reader.take(UPLOAD_PIECE_BYTES as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}

/// Sends a request while its body is fed. An early answer ends the feeding; a failure of the source ends the request.
async fn send_while_feeding(
    put: reqwest::RequestBuilder,
    feeding: impl Future<Output = Result<(), Failure>>,
    attempt: &Attempt<'_>,
) -> Result<Response, Failure> {
    let sending = put.send();
    tokio::pin!(sending, feeding);
    let named = |answer: Result<Response, reqwest::Error>| {
        answer.map_err(|error| {
            let failure = classify(&error, attempt);
            let kind = if failure.is_passing() { FailureKind::Passing(None) } else { FailureKind::Final };
            Failure { kind, ..failure }
        })
    };
    tokio::select! {
        answer = &mut sending => return named(answer),
        fed = &mut feeding => fed?,
    }
    match tokio::time::timeout(UPLOAD_COMMIT_TIMEOUT, sending).await {
        Ok(answer) => named(answer),
        Err(_) => {
            let (host, action) = (attempt.host.to_owned(), attempt.action.to_owned());
            let error = RegistryError::Timeout { host, action, seconds: UPLOAD_COMMIT_TIMEOUT.as_secs() };
            Err(Failure { error, kind: FailureKind::Passing(None) })
        }
    }
}

/// A repository name in a query: only slashes need no care in it.
fn encode_query(text: &str) -> String {
    let mut url = Url::parse("http://query").expect("a constant URL parses");
    url.query_pairs_mut().append_pair("x", text);
    url.query().unwrap_or_default().trim_start_matches("x=").to_owned()
}
