//! In: references. Out: the manifests and indexes they name, as served, with digest and type. Never: bytes whose digest was not checked.

use bytes::{Bytes, BytesMut};
use crossdock_oci::{BlobDigest, Descriptor, MANIFEST_SIZE_MAX, Reference, media_type};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response};
use serde::Deserialize;

use crate::RegistryError;
use crate::auth::Scopes;
use crate::client::{HeadAnswer, Resolved};
use crate::error::HostFailure;
use crate::exchange::{Access, Network, Request, Target, next_chunk};
use crate::host::Endpoint;
use crate::retry::Failure;

/// The digest of a manifest, as registries say it.
const CONTENT_DIGEST: &str = "docker-content-digest";

impl Network {
    /// Asks each place in turn; the failure of the last one, the registry itself, decides.
    pub(crate) async fn first_of<T>(
        &self,
        name: &Reference,
        mut ask: impl AsyncFnMut(&Endpoint) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut failures: Vec<HostFailure> = Vec::new();
        for endpoint in self.endpoints(name)? {
            let error = match endpoint.left_out() {
                Some(error) => error,
                None => match ask(&endpoint).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                },
            };
            endpoint.note_failure(&error);
            failures.push(HostFailure { host: endpoint.name(), error: Box::new(error) });
        }
        Err(all_failed(name.to_string(), failures))
    }

    /// The manifest or index a reference names.
    pub(crate) async fn resolve(&self, reference: &Reference) -> Result<Resolved, RegistryError> {
        let reference = reference.tagged_or_latest();
        self.first_of(&reference, async |endpoint| self.resolve_at(endpoint, &reference).await).await
    }

    async fn resolve_at(&self, endpoint: &Endpoint, reference: &Reference) -> Result<Resolved, RegistryError> {
        let (subject, action) = (reference.to_string(), format!("resolve {reference}"));
        let repository = endpoint.repository(reference);
        let scopes = Scopes::pull(&repository);
        let path = manifest_path(reference);
        let mut request = Request::new(endpoint, &repository, &subject, &action, &scopes);
        request.target = Target::Path(&path);
        request.headers = accept(None);
        request.may_downgrade = reference.digest().is_some();
        let (bytes, headers) = self.retrying(endpoint.budget(), async || self.get_manifest(&request).await).await?;
        let got = BlobDigest::of(&bytes);
        // A tag is believed as it is served, but a registry that contradicts itself is not.
        let stated = headers.get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()?.parse().ok());
        for want in [reference.digest(), stated].into_iter().flatten() {
            if want != got {
                return Err(mismatch(subject, endpoint, want, got));
            }
        }
        let media_type = type_of(headers.get(CONTENT_TYPE), &bytes);
        if !media_type::is_manifest(&media_type) && !media_type::is_index(&media_type) {
            return Err(RegistryError::UnsupportedManifest {
                reference: subject,
                registry: endpoint.name(),
                media_type,
            });
        }
        let descriptor = Descriptor::new(media_type, got, bytes.len() as u64);
        Ok(Resolved { descriptor, bytes, served_by: endpoint.name() })
    }

    /// What one HEAD request says of a reference.
    pub(crate) async fn resolve_digest(&self, reference: &Reference) -> Result<HeadAnswer, RegistryError> {
        let reference = reference.tagged_or_latest();
        self.first_of(&reference, async |endpoint| {
            match self.head_manifest(endpoint, &reference, Access::Pull).await? {
                Some(descriptor) => Ok(HeadAnswer { descriptor, bytes: None, served_by: endpoint.name() }),
                None => {
                    let Resolved { descriptor, bytes, served_by } = self.resolve_at(endpoint, &reference).await?;
                    Ok(HeadAnswer { descriptor, bytes: Some(bytes), served_by })
                }
            }
        })
        .await
    }

    /// What the registry itself has under a tag or digest.
    pub(crate) async fn manifest_exists(&self, reference: &Reference) -> Result<Option<Descriptor>, RegistryError> {
        let reference = reference.tagged_or_latest();
        let endpoint = self.registry(&reference)?;
        match self.head_manifest(&endpoint, &reference, Access::Push).await {
            Ok(Some(descriptor)) => Ok(Some(descriptor)),
            Ok(None) => match self.resolve_at(&endpoint, &reference).await {
                Ok(resolved) => Ok(Some(resolved.descriptor)),
                Err(RegistryError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            },
            Err(RegistryError::NotFound { .. } | RegistryError::Status { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A descriptor from the headers alone; `None` when the registry does not say enough in them.
    async fn head_manifest(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        access: Access,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let (subject, action) = (reference.to_string(), format!("look up {reference}"));
        let repository = endpoint.repository(reference);
        let scopes = if access == Access::Push { Scopes::push(&repository) } else { Scopes::pull(&repository) };
        let path = manifest_path(reference);
        let mut request = Request::new(endpoint, &repository, &subject, &action, &scopes);
        request.target = Target::Path(&path);
        request.method = Method::HEAD;
        request.access = access;
        request.headers = accept(None);
        let response = self.send(&request).await?;
        if response.status().as_u16() == 405 {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(self.refusal(&request, response).await);
        }
        let headers = response.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let digest = text(CONTENT_DIGEST).and_then(|text| text.parse::<BlobDigest>().ok());
        let size = text(CONTENT_LENGTH.as_str()).and_then(|text| text.parse::<u64>().ok()).filter(|size| *size > 0);
        let media_type = type_of(headers.get(CONTENT_TYPE), b"");
        let known = media_type::is_manifest(&media_type) || media_type::is_index(&media_type);
        let (Some(digest), Some(size), true) = (digest, size, known) else { return Ok(None) };
        if let Some(want) = reference.digest().filter(|want| *want != digest) {
            return Err(mismatch(subject, endpoint, want, digest));
        }
        Ok(Some(Descriptor::new(media_type, digest, size)))
    }

    /// The manifest with this descriptor.
    pub(crate) async fn fetch_manifest(&self, name: &Reference, manifest: &Descriptor) -> Result<Bytes, RegistryError> {
        let pinned = name.name_only().with_digest(manifest.digest);
        self.first_of(&pinned, async |endpoint| self.fetch_manifest_at(endpoint, &pinned, manifest).await).await
    }

    async fn fetch_manifest_at(
        &self,
        endpoint: &Endpoint,
        pinned: &Reference,
        manifest: &Descriptor,
    ) -> Result<Bytes, RegistryError> {
        let (subject, action) = (pinned.to_string(), format!("fetch manifest {pinned}"));
        let repository = endpoint.repository(pinned);
        let scopes = Scopes::pull(&repository);
        let path = manifest_path(pinned);
        let mut request = Request::new(endpoint, &repository, &subject, &action, &scopes);
        request.target = Target::Path(&path);
        request.headers = accept(Some(&manifest.media_type));
        request.may_downgrade = true;
        let (bytes, _) = self.retrying(endpoint.budget(), async || self.get_manifest(&request).await).await?;
        let (got, want) = (bytes.len() as u64, manifest.size);
        let (digest, registry) = (Box::new(manifest.digest), endpoint.name());
        if got < want {
            return Err(RegistryError::BlobTruncated { digest, registry, want, got });
        }
        let actual = BlobDigest::of(&bytes);
        if actual != manifest.digest {
            return Err(mismatch(subject, endpoint, manifest.digest, actual));
        }
        if got > want {
            return Err(RegistryError::BlobTooLong { digest, registry, want, got });
        }
        Ok(bytes)
    }

    /// One GET of a manifest, its body read within the limit.
    async fn get_manifest(&self, request: &Request<'_>) -> Result<(Bytes, HeaderMap), Failure> {
        let mut response = self.send_once(request).await?;
        if !response.status().is_success() {
            return Err(self.refusal(request, response).await.into());
        }
        let too_large = || RegistryError::ManifestTooLarge {
            reference: request.subject.to_owned(),
            registry: request.endpoint.name(),
        };
        if response.content_length().is_some_and(|length| length > MANIFEST_SIZE_MAX) {
            return Err(too_large().into());
        }
        let headers = response.headers().clone();
        let bytes = read_manifest(&mut response, request).await?.ok_or_else(too_large)?;
        Ok((bytes, headers))
    }
}

async fn read_manifest(response: &mut Response, request: &Request<'_>) -> Result<Option<Bytes>, Failure> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = next_chunk(response, &request.endpoint.host.name, request.action).await? {
        if (bytes.len() + chunk.len()) as u64 > MANIFEST_SIZE_MAX {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes.freeze()))
}

/// One failure is itself; several are listed.
pub(crate) fn all_failed(subject: String, mut failures: Vec<HostFailure>) -> RegistryError {
    match failures.pop() {
        Some(only) if failures.is_empty() => *only.error,
        Some(last) => {
            failures.push(last);
            RegistryError::AllHostsFailed { subject, failures }
        }
        None => RegistryError::AllHostsFailed { subject, failures },
    }
}

fn mismatch(subject: String, endpoint: &Endpoint, want: BlobDigest, got: BlobDigest) -> RegistryError {
    RegistryError::DigestMismatch { subject, registry: endpoint.name(), want: Box::new(want), got: Box::new(got) }
}

/// The digest wins over the tag.
pub(crate) fn manifest_path(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => format!("manifests/{digest}"),
        (None, tag) => format!("manifests/{}", tag.unwrap_or("latest")),
    }
}

fn accept(first: Option<&str>) -> HeaderMap {
    let mut types: Vec<&str> = first.into_iter().collect();
    types.extend(media_type::MANIFESTS.iter().filter(|one| Some(**one) != first));
    types.push("*/*");
    let value = HeaderValue::from_str(&types.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("*/*"));
    HeaderMap::from_iter([(ACCEPT, value)])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
}

/// The type a server names, or when that is none of a manifest's (a plain file server, say), the type the bytes show.
fn type_of(header: Option<&HeaderValue>, bytes: &[u8]) -> String {
    let named = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let named = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type::is_manifest(&named) || media_type::is_index(&named) || bytes.is_empty() {
        return named;
    }
    let Ok(shape) = serde_json::from_slice::<Shape>(bytes) else { return named };
    match shape {
        Shape { media_type: Some(inner), .. } => inner,
        Shape { manifests: Some(_), .. } => media_type::OCI_INDEX.to_owned(),
        Shape { layers: Some(_), config: Some(_), .. } => media_type::OCI_MANIFEST.to_owned(),
        _ => named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_from_the_header_or_the_bytes() {
        let header = |text: &'static str| HeaderValue::from_static(text);
        let rows: [(HeaderValue, &str, &str); 5] = [
            (header("application/vnd.oci.image.index.v1+json; charset=utf-8"), "{}", media_type::OCI_INDEX),
            (header("application/json"), r#"{"manifests":[]}"#, media_type::OCI_INDEX),
            (header("text/plain"), r#"{"config":{},"layers":[]}"#, media_type::OCI_MANIFEST),
            (
                header("application/octet-stream"),
                &format!(r#"{{"mediaType":"{}"}}"#, media_type::DOCKER_MANIFEST),
                media_type::DOCKER_MANIFEST,
            ),
            (
                header("application/vnd.docker.distribution.manifest.v1+prettyjws"),
                r#"{"schemaVersion":1}"#,
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
            ),
        ];
        for (header, bytes, want) in rows {
            assert_eq!(type_of(Some(&header), bytes.as_bytes()), want);
        }
        assert_eq!(type_of(None, b""), "");
    }
}
