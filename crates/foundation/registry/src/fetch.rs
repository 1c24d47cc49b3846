//! In: a descriptor and a writer. Out: the blob's bytes in the writer, digest and size checked on the way. Never: a byte written twice, a blob held in memory.
//!
//! A download that breaks goes on where it stopped, with the hash as far as it came, at the same host or at the next
//! one: bytes named by a digest are the same everywhere, and the digest of the whole decides.

use std::io::Write;

use crossdock_oci::digest::Hasher;
use crossdock_oci::{BlobDigest, Descriptor, Reference};
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response};

use crate::RegistryError;
use crate::auth::Scopes;
use crate::error::HostFailure;
use crate::exchange::{Access, Network, Request, Target, next_chunk};
use crate::host::Endpoint;
use crate::resolve::all_failed;
use crate::retry::Failure;

/// Continuations of one download, in all.
pub const RESUMES_MAX: u32 = 100;
/// After so many new bytes a broken connection counts as the first failure again.
const RESUME_WORTH_BYTES: u64 = 1 << 20;
/// Progress is reported once for so many bytes.
const REPORT_STEP_BYTES: u64 = 128 << 10;

/// A download as far as it came.
struct Download<'a> {
    blob: &'a Descriptor,
    hasher: Hasher,
    done: u64,
    reported: u64,
    resumes: u32,
    /// The places whose bytes are in it.
    served_by: Vec<Endpoint>,
    out: &'a mut dyn Write,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Download<'_> {
    fn digest(&self) -> Box<BlobDigest> {
        Box::new(self.blob.digest)
    }

    fn take(&mut self, bytes: &[u8], endpoint: &Endpoint) -> Result<(), RegistryError> {
        let (want, got) = (self.blob.size, self.done + bytes.len() as u64);
        if got > want {
            return Err(RegistryError::BlobTooLong { digest: self.digest(), registry: endpoint.name(), want, got });
        }
        self.hasher.update(bytes);
        self.out.write_all(bytes).map_err(|source| RegistryError::Write { digest: self.digest(), source })?;
        self.done = got;
        if got - self.reported >= REPORT_STEP_BYTES || got == want {
            self.reported = got;
            (self.progress)(got, want);
        }
        Ok(())
    }

    /// The last check, when all bytes are there.
    fn finish(&self) -> Result<(), RegistryError> {
        let got = self.hasher.clone().finish_blob();
        if got == self.blob.digest {
            return Ok(());
        }
        for endpoint in self.served_by.iter().filter(|endpoint| endpoint.is_mirror) {
            endpoint.host.mark_corrupt();
        }
        let registry = self.served_by.iter().map(Endpoint::name).collect::<Vec<_>>().join(" and ");
        let (subject, want) = (format!("blob {}", self.blob.digest), self.digest());
        Err(RegistryError::DigestMismatch { subject, registry, want, got: Box::new(got) })
    }
}

impl Network {
    /// Streams a blob into `out`.
    pub(crate) async fn fetch_blob(
        &self,
        name: &Reference,
        blob: &Descriptor,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), RegistryError> {
        let mut download = Download {
            blob,
            hasher: Hasher::new(),
            done: 0,
            reported: 0,
            resumes: 0,
            served_by: Vec::new(),
            out,
            progress,
        };
        let mut failures = Vec::new();
        for endpoint in self.endpoints(name)? {
            let error = match endpoint.left_out() {
                Some(error) => error,
                None => {
                    let _permit = endpoint.host.transfers.acquire().await.map_err(|_| RegistryError::Cancelled)?;
                    match self.fetch_from(&endpoint, name, &mut download).await {
                        Ok(()) => return Ok(()),
                        Err(error) => error,
                    }
                }
            };
            if endpoint.is_mirror {
                endpoint.note_failure(&error);
            }
            // What is in the writer cannot be taken back, so wrong bytes end the call; a short blob can still be completed.
            if matches!(
                error,
                RegistryError::Write { .. } | RegistryError::DigestMismatch { .. } | RegistryError::BlobTooLong { .. }
            ) {
                return Err(error);
            }
            failures.push(HostFailure { host: endpoint.name(), error: Box::new(error) });
        }
        Err(all_failed(format!("blob {} of {}", blob.digest, name.name()), failures))
    }

    async fn fetch_from(
        &self,
        endpoint: &Endpoint,
        name: &Reference,
        download: &mut Download<'_>,
    ) -> Result<(), RegistryError> {
        let repository = endpoint.repository(name);
        let scopes = Scopes::pull(&repository);
        let subject = format!("{}@{}", name.name(), download.blob.digest);
        let action = format!("fetch blob {}", download.blob.digest);
        let path = format!("blobs/{}", download.blob.digest);
        let mut request = Request::new(endpoint, &repository, &subject, &action, &scopes);
        request.target = Target::Path(&path);
        request.may_downgrade = true;
        let mut tries = 0;
        loop {
            let before = download.done;
            let failure = match self.fetch_part(&request, download).await {
                Ok(()) => return download.finish(),
                Err(failure) => failure,
            };
            if download.done - before >= RESUME_WORTH_BYTES {
                tries = 0;
            }
            tries += 1;
            download.resumes += 1;
            match endpoint.budget().next_wait(tries, failure.kind) {
                Some(wait) if download.resumes <= RESUMES_MAX => self.wait(wait).await,
                _ => return Err(failure.error),
            }
        }
    }

    /// One request for what is still missing.
    async fn fetch_part(&self, request: &Request<'_>, download: &mut Download<'_>) -> Result<(), Failure> {
        if download.done == download.blob.size && download.done > 0 {
            return Ok(());
        }
        let mut request = request.clone();
        if download.done > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", download.done)).expect("digits make a header");
            request.headers.insert(RANGE, range);
        }
        let mut response = self.send_once(&request).await?;
        if !response.status().is_success() {
            return Err(self.refusal(&request, response).await.into());
        }
        let mut skip = match response.status().as_u16() {
            206 => {
                check_range(&request, response.headers(), download.done)?;
                0
            }
            // The server knows no ranges: the bytes that are there already pass by once more.
            _ => {
                check_length(&request, &response, download.blob)?;
                download.done
            }
        };
        let endpoint = request.endpoint;
        if download.served_by.last().is_none_or(|last| last.name() != endpoint.name()) {
            download.served_by.push(endpoint.clone());
        }
        while let Some(chunk) = next_chunk(&mut response, &endpoint.name(), request.action).await? {
            let passing = skip.min(chunk.len() as u64);
            skip -= passing;
            let new = chunk.slice(usize::try_from(passing).unwrap_or(chunk.len())..);
            if !new.is_empty() {
                download.take(&new, endpoint)?;
            }
        }
        let (want, got) = (download.blob.size, download.done);
        if got < want {
            let (digest, registry) = (download.digest(), endpoint.name());
            return Err(RegistryError::BlobTruncated { digest, registry, want, got }.into());
        }
        Ok(())
    }

    /// Whether the registry itself has the blob.
    pub(crate) async fn blob_exists(&self, name: &Reference, blob: &Descriptor) -> Result<bool, RegistryError> {
        let endpoint = self.registry(name)?;
        self.blob_exists_at(&endpoint, name, blob, Access::Pull).await
    }

    pub(crate) async fn blob_exists_at(
        &self,
        endpoint: &Endpoint,
        name: &Reference,
        blob: &Descriptor,
        access: Access,
    ) -> Result<bool, RegistryError> {
        let repository = endpoint.repository(name);
        let scopes = if access == Access::Push { Scopes::push(&repository) } else { Scopes::pull(&repository) };
        let subject = format!("{}@{}", name.name(), blob.digest);
        let action = format!("look for blob {}", blob.digest);
        let path = format!("blobs/{}", blob.digest);
        let mut request = Request::new(endpoint, &repository, &subject, &action, &scopes);
        request.target = Target::Path(&path);
        request.method = Method::HEAD;
        request.access = access;
        request.may_downgrade = true;
        let response = self.send(&request).await?;
        match response.status().as_u16() {
            200..300 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refusal(&request, response).await),
        }
    }
}

/// A blob whose announced length is wrong is not even begun.
fn check_length(request: &Request<'_>, response: &Response, blob: &Descriptor) -> Result<(), RegistryError> {
    let (digest, registry, want) = (Box::new(blob.digest), request.endpoint.name(), blob.size);
    match response.content_length() {
        Some(got) if got < want => Err(RegistryError::BlobTruncated { digest, registry, want, got }),
        Some(got) if got > want => Err(RegistryError::BlobTooLong { digest, registry, want, got }),
        _ => Ok(()),
    }
}

/// `Content-Range: bytes 5-9/10` must begin where we asked.
fn check_range(request: &Request<'_>, headers: &HeaderMap, want: u64) -> Result<(), RegistryError> {
    let text = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let start = text.strip_prefix("bytes ").and_then(|rest| rest.split('-').next()?.trim().parse::<u64>().ok());
    if start == Some(want) {
        return Ok(());
    }
    let (host, action) = (request.endpoint.name(), request.action.to_owned());
    let reason = format!("it was asked for the bytes from {want} on and sends {text:?}");
    Err(RegistryError::Answer { host, action, reason })
}
