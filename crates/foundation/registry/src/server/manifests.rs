//! In: manifests, tags, digests. Out: the same again, and lists of tags and repositories. Never: a manifest whose blobs are not in its repository.

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use crossdock_oci::{BlobDigest, Descriptor, Index, MANIFEST_SIZE_MAX, Manifest, media_type};
use futures_util::StreamExt as _;

use super::answer::{Refusal, empty, json, with_headers};
use super::route::{Query, is_tag};
use super::shelf::{self, Shelf};
use super::{Shared, blocking};

impl Shared {
    pub(super) fn get_manifest(&self, name: &str, reference: &str, method: &str) -> Result<Response, Refusal> {
        let unknown = || Refusal::manifest_unknown(reference);
        let (manifest, bytes) = blocking(|| {
            let Some(digest) = self.digest_of(name, reference)? else { return Err(unknown()) };
            let manifest = Shelf::new(&self.store, name).manifest(digest)?.ok_or_else(unknown)?;
            let bytes = self.store.read(digest, MANIFEST_SIZE_MAX)?.ok_or_else(unknown)?;
            Ok((manifest, bytes))
        })?;
        let headers = [
            ("content-type", manifest.media_type),
            ("content-length", bytes.len().to_string()),
            ("docker-content-digest", manifest.digest.to_string()),
            ("etag", format!("\"{}\"", manifest.digest)),
        ];
        let body = if method == "HEAD" { Body::empty() } else { Body::from(bytes) };
        Ok(with_headers(StatusCode::OK, &headers, body))
    }

    fn digest_of(&self, name: &str, reference: &str) -> Result<Option<BlobDigest>, Refusal> {
        if reference.contains(':') {
            return reference.parse().map(Some).map_err(|_| Refusal::bad("DIGEST_INVALID", "invalid digest"));
        }
        Ok(Shelf::new(&self.store, name).tagged(reference)?)
    }

    pub(super) async fn put_manifest(
        &self,
        name: &str,
        reference: &str,
        request: Request,
    ) -> Result<Response, Refusal> {
        let named = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let named = named.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = read_manifest(request.into_body()).await?;
        let digest = BlobDigest::of(&bytes);
        let tag = if reference.contains(':') {
            if reference.parse() != Ok(digest) {
                return Err(Refusal::bad("DIGEST_INVALID", "provided digest did not match uploaded content"));
            }
            None
        } else if is_tag(reference) {
            Some(reference)
        } else {
            return Err(Refusal::bad("TAG_INVALID", "invalid tag"));
        };
        let contents = Contents::parse(&named, bytes.clone())?;
        blocking(|| {
            let shelf = Shelf::new(&self.store, name);
            for blob in &contents.blobs {
                if shelf.blob_size(*blob)?.is_none() {
                    return Err(missing(*blob));
                }
            }
            for manifest in &contents.manifests {
                if shelf.manifest(*manifest)?.is_none() {
                    return Err(missing(*manifest));
                }
            }
            self.store.put(&self.lease, &bytes)?;
            let needs: Vec<BlobDigest> = contents.blobs.iter().chain(&contents.manifests).copied().collect();
            let manifest = Descriptor::new(contents.media_type.clone(), digest, bytes.len() as u64);
            Ok(shelf.link_manifest(&manifest, &needs, tag)?)
        })?;
        let headers = [
            ("location", format!("/v2/{name}/manifests/{digest}")),
            ("docker-content-digest", digest.to_string()),
            ("content-length", "0".to_owned()),
        ];
        Ok(empty(StatusCode::CREATED, &headers))
    }

    pub(super) fn delete_manifest(&self, name: &str, reference: &str) -> Result<Response, Refusal> {
        let shelf = Shelf::new(&self.store, name);
        let gone = blocking(|| {
            if reference.contains(':') {
                let digest = self.digest_of(name, reference)?;
                return Ok::<_, Refusal>(
                    digest.map(|digest| shelf.unlink_manifest(digest)).transpose()?.unwrap_or(false),
                );
            }
            Ok(shelf.untag(reference)?)
        })?;
        if gone { Ok(empty(StatusCode::ACCEPTED, &[])) } else { Err(Refusal::manifest_unknown(reference)) }
    }

    pub(super) fn tags(&self, name: &str, query: &Query) -> Result<Response, Refusal> {
        let shelf = Shelf::new(&self.store, name);
        let tags = blocking(|| {
            let tags = shelf.tags()?;
            if tags.is_empty() && !shelf.exists()? { Err(Refusal::name_unknown()) } else { Ok(tags) }
        })?;
        let (page, next) = page(tags, query);
        let link = next.map(|(count, last)| format!("</v2/{name}/tags/list?n={count}&last={last}>; rel=\"next\""));
        Ok(linked(json(StatusCode::OK, &serde_json::json!({ "name": name, "tags": page })), link))
    }

    pub(super) fn catalog(&self, query: &Query) -> Result<Response, Refusal> {
        let names = blocking(|| shelf::repositories(&self.store))?;
        let (page, next) = page(names, query);
        let link = next.map(|(count, last)| format!("</v2/_catalog?n={count}&last={last}>; rel=\"next\""));
        Ok(linked(json(StatusCode::OK, &serde_json::json!({ "repositories": page })), link))
    }
}

/// What a manifest or index says that matters to a registry.
struct Contents {
    media_type: String,
    blobs: Vec<BlobDigest>,
    manifests: Vec<BlobDigest>,
}

impl Contents {
    fn parse(named: &str, bytes: Bytes) -> Result<Self, Refusal> {
        let invalid =
            |error: &dyn std::fmt::Display| Refusal::bad("MANIFEST_INVALID", format!("manifest invalid: {error}"));
        if media_type::is_index(named) {
            let index = Index::parse(bytes).map_err(|error| invalid(&error))?;
            let manifests = index.view.manifests.iter().map(|one| one.digest).collect();
            return Ok(Self { media_type: named.to_owned(), blobs: Vec::new(), manifests });
        }
        if !media_type::is_manifest(named) {
            return Err(invalid(&format!("unsupported media type {named:?}")));
        }
        let manifest = Manifest::parse(bytes).map_err(|error| invalid(&error))?;
        let mut blobs = vec![manifest.view.config.digest];
        // Layers that may not be distributed are somewhere else, and say where.
        blobs.extend(manifest.view.layers.iter().filter(|layer| layer.urls.is_empty()).map(|layer| layer.digest));
        Ok(Self { media_type: named.to_owned(), blobs, manifests: Vec::new() })
    }
}

fn missing(digest: BlobDigest) -> Refusal {
    let detail = serde_json::json!({ "digest": digest.to_string() });
    Refusal { detail, ..Refusal::bad("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry") }
}

async fn read_manifest(body: Body) -> Result<Bytes, Refusal> {
    let mut bytes = BytesMut::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Refusal::bad("MANIFEST_INVALID", "the manifest was cut off"))?;
        if (bytes.len() + piece.len()) as u64 > MANIFEST_SIZE_MAX {
            let message = format!("manifest larger than {MANIFEST_SIZE_MAX} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// The part of a sorted list that `n` and `last` ask for, and how the next one begins.
fn page(all: Vec<String>, query: &Query) -> (Vec<String>, Option<(usize, String)>) {
    let last = query.get("last").unwrap_or_default();
    let mut rest: Vec<String> = all.into_iter().filter(|item| item.as_str() > last).collect();
    let Some(count) = query.get("n").and_then(|n| n.parse::<usize>().ok()) else { return (rest, None) };
    let more = rest.len() > count;
    rest.truncate(count);
    let next = rest.last().filter(|_| more).map(|last| (count, last.clone()));
    (rest, next)
}

fn linked(mut response: Response, link: Option<String>) -> Response {
    if let Some(value) = link.and_then(|link| link.try_into().ok()) {
        response.headers_mut().insert("link", value);
    }
    response
}
