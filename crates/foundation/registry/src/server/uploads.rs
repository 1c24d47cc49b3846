//! In: uploads in pieces or at once. Out: blobs of a repository. Never: a blob whose digest is not the one the client named.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_RANGE;
use axum::response::Response;
use crossdock_content::Ingest;
use crossdock_oci::{BlobDigest, Descriptor};
use futures_util::StreamExt as _;

use super::answer::{Refusal, empty};
use super::route::{Query, is_repository};
use super::shelf::Shelf;
use super::{Shared, blocking};

/// Uploads under way at once.
const UPLOADS_MAX: usize = 1000;
/// An upload that got nothing for so long is forgotten when another begins.
const UPLOAD_IDLE_MAX: Duration = Duration::from_secs(3600);

/// The uploads under way, by id.
#[derive(Default)]
pub(super) struct Uploads(Mutex<HashMap<String, Upload>>);

struct Upload {
    name: String,
    ingest: Ingest,
    used: Instant,
}

impl Uploads {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an upload out; whoever works on it puts it back.
    fn take(&self, name: &str, id: &str) -> Result<Upload, Refusal> {
        let mut map = self.map();
        match map.remove(id) {
            Some(upload) if upload.name == name => Ok(upload),
            Some(other) => {
                map.insert(id.to_owned(), other);
                Err(Refusal::upload_unknown())
            }
            None => Err(Refusal::upload_unknown()),
        }
    }

    fn put(&self, id: &str, upload: Upload) {
        self.map().insert(id.to_owned(), Upload { used: Instant::now(), ..upload });
    }
}

/// An id nobody can guess.
fn new_id() -> String {
    let random = || RandomState::new().hash_one(Instant::now());
    format!("{:016x}{:016x}", random(), random())
}

impl Shared {
    pub(super) async fn begin_upload(&self, name: &str, query: &Query, request: Request) -> Result<Response, Refusal> {
        if let (Some(digest), Some(from)) = (query.get("mount"), query.get("from"))
            && self.mount(name, digest, from)?
        {
            let digest: BlobDigest = digest.parse().map_err(|_| Refusal::bad("DIGEST_INVALID", "invalid digest"))?;
            return Ok(created(name, digest));
        }
        let ingest = blocking(|| self.store.ingest(&self.lease))?;
        let upload = Upload { name: name.to_owned(), ingest, used: Instant::now() };
        if let Some(digest) = query.get("digest").filter(|_| query.get("mount").is_none()) {
            let digest = digest.to_owned();
            return self.take_all(upload, &digest, request.into_body()).await;
        }
        let id = new_id();
        let mut map = self.uploads.map();
        map.retain(|_, upload| upload.used.elapsed() < UPLOAD_IDLE_MAX);
        if map.len() >= UPLOADS_MAX {
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "too many uploads at once"));
        }
        map.insert(id.clone(), upload);
        Ok(accepted(name, &id, 0, StatusCode::ACCEPTED))
    }

    /// Makes a blob of another repository part of this one; false when that one does not have it.
    fn mount(&self, name: &str, digest: &str, from: &str) -> Result<bool, Refusal> {
        let Ok(digest) = digest.parse::<BlobDigest>() else { return Ok(false) };
        if !is_repository(from) {
            return Ok(false);
        }
        blocking(|| match Shelf::new(&self.store, from).blob_size(digest)? {
            Some(size) => Shelf::new(&self.store, name).link_blob(digest, size).map(|()| true),
            None => Ok(false),
        })
        .map_err(Refusal::from)
    }

    pub(super) fn upload_status(&self, name: &str, id: &str) -> Result<Response, Refusal> {
        let upload = self.uploads.take(name, id)?;
        let size = upload.ingest.size_bytes();
        self.uploads.put(id, upload);
        Ok(accepted(name, id, size, StatusCode::NO_CONTENT))
    }

    pub(super) async fn append_upload(&self, name: &str, id: &str, request: Request) -> Result<Response, Refusal> {
        let mut upload = self.uploads.take(name, id)?;
        let size = upload.ingest.size_bytes();
        let range = request.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let start = range.and_then(|text| text.trim_start_matches("bytes ").split('-').next()?.parse::<u64>().ok());
        if range.is_some() && start != Some(size) {
            self.uploads.put(id, upload);
            let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", "piece out of order");
            return Err(Refusal { header: Some(("range", format!("0-{}", size.saturating_sub(1)))), ..refusal });
        }
        receive(&mut upload, request.into_body()).await?;
        let size = upload.ingest.size_bytes();
        self.uploads.put(id, upload);
        Ok(accepted(name, id, size, StatusCode::ACCEPTED))
    }

    pub(super) async fn finish_upload(
        &self,
        name: &str,
        id: &str,
        query: &Query,
        request: Request,
    ) -> Result<Response, Refusal> {
        let digest = query.get("digest").ok_or_else(|| Refusal::bad("DIGEST_INVALID", "no digest given"))?.to_owned();
        let upload = self.uploads.take(name, id)?;
        self.take_all(upload, &digest, request.into_body()).await
    }

    pub(super) fn cancel_upload(&self, name: &str, id: &str) -> Result<Response, Refusal> {
        drop(self.uploads.take(name, id)?);
        Ok(empty(StatusCode::NO_CONTENT, &[]))
    }

    /// The last bytes of an upload, and the check of all.
    async fn take_all(&self, mut upload: Upload, digest: &str, body: Body) -> Result<Response, Refusal> {
        let digest: BlobDigest = digest.parse().map_err(|_| Refusal::bad("DIGEST_INVALID", "invalid digest"))?;
        receive(&mut upload, body).await?;
        let Upload { name, ingest, .. } = upload;
        let size = ingest.size_bytes();
        blocking(|| {
            ingest.commit_expecting(&Descriptor::new("", digest, size))?;
            Shelf::new(&self.store, &name).link_blob(digest, size)
        })?;
        Ok(created(&name, digest))
    }
}

async fn receive(upload: &mut Upload, body: Body) -> Result<(), Refusal> {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Refusal::bad("BLOB_UPLOAD_INVALID", "the upload was cut off"))?;
        blocking(|| upload.ingest.write_all(&piece)).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN", "the registry's disk is full")
            }
            _ => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the registry's store failed"),
        })?;
    }
    Ok(())
}

fn accepted(name: &str, id: &str, size: u64, status: StatusCode) -> Response {
    let headers = [
        ("location", format!("/v2/{name}/blobs/uploads/{id}")),
        ("docker-upload-uuid", id.to_owned()),
        ("range", format!("0-{}", size.saturating_sub(1))),
        ("content-length", "0".to_owned()),
    ];
    empty(status, if status == StatusCode::NO_CONTENT { &headers[..3] } else { &headers })
}

fn created(name: &str, digest: BlobDigest) -> Response {
    let headers = [
        ("location", format!("/v2/{name}/blobs/{digest}")),
        ("docker-content-digest", digest.to_string()),
        ("content-length", "0".to_owned()),
    ];
    empty(StatusCode::CREATED, &headers)
}
