//! In: references and descriptors. Out: verified bytes from a registry, or bytes stored there. Never: a call from inside an async runtime.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use crossdock_oci::{BlobDigest, Descriptor, Reference};
use tokio::sync::watch;

use crate::download::{Download, DownloadRequest, Piece};
use crate::exchange::Network;
use crate::retry::Pause;
use crate::runtime::runtime;
use crate::{Config, Credentials, RegistryError};

/// Talks to registries. Cheap to clone; all clones share connections, tokens and limits.
///
/// Every call blocks its thread and may be made from many threads at once, but not from inside an async runtime.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    network: Network,
    cancelled: watch::Sender<bool>,
}

/// What tests change about a client.
#[derive(Clone, Default)]
pub struct ClientOptions {
    /// Called instead of sleeping between two tries.
    pub pause: Option<Pause>,
}

/// A reference, looked up.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Media type, digest and size of `bytes`.
    pub descriptor: Descriptor,
    /// The manifest or index as served.
    pub bytes: Bytes,
    /// The registry or mirror that served it.
    pub served_by: String,
}

/// What one HEAD request said of a reference.
#[derive(Debug, Clone)]
pub struct HeadAnswer {
    pub descriptor: Descriptor,
    /// The bytes, when the registry made us GET them to know the digest.
    pub bytes: Option<Bytes>,
    pub served_by: String,
}

/// Where the bytes of an upload come from.
pub struct PushSource<'a> {
    /// Opens the bytes from their beginning; called again when an upload must begin again.
    pub open: &'a dyn Fn() -> io::Result<Box<dyn Read + Send>>,
    /// Repositories of the same registry (`library/debian`) that may hold the blob already.
    pub mount_from: &'a [String],
}

/// How a blob came to be in the target repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was there already.
    Existed,
    /// The registry took it from another repository.
    Mounted,
    /// It was sent.
    Uploaded,
}

impl Client {
    /// A client with this configuration; opens no file and no connection yet.
    pub fn new(config: Config, credentials: Credentials) -> Self {
        Self::with_options(config, credentials, ClientOptions::default())
    }

    /// As [`Self::new`], for tests.
    pub fn with_options(config: Config, credentials: Credentials, options: ClientOptions) -> Self {
        let network = Network::new(config, credentials, options.pause);
        Self { inner: Arc::new(Inner { network, cancelled: watch::Sender::new(false) }) }
    }

    /// A client with the configuration and credentials of this host and user.
    ///
    /// # Errors
    /// When a configuration file cannot be used; the error names file and line.
    pub fn from_environment() -> Result<Self, RegistryError> {
        Ok(Self::new(Config::load(&crate::ConfigPaths::from_environment())?, Credentials::from_environment()))
    }

    /// A client that goes the same ways with other credentials.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        let network = Network::new(self.inner.network.config.clone(), credentials, None);
        Self { inner: Arc::new(Inner { network, cancelled: self.inner.cancelled.clone() }) }
    }

    /// A client that may speak to these hosts without TLS, or with a certificate nobody vouches for (`--insecure`).
    #[must_use]
    pub fn allowing_insecure<'h>(&self, hosts: impl IntoIterator<Item = &'h str>) -> Self {
        let mut config = self.inner.network.config.clone();
        for host in hosts {
            config.allow_insecure(host);
        }
        let network = Network::new(config, self.inner.network.credentials.clone(), None);
        Self { inner: Arc::new(Inner { network, cancelled: self.inner.cancelled.clone() }) }
    }

    /// The credentials it uses.
    pub fn credentials(&self) -> &Credentials {
        &self.inner.network.credentials
    }

    pub(crate) fn run_login(&self, server: &str) -> Result<(), RegistryError> {
        self.run(self.inner.network.ping(server))
    }

    pub(crate) fn run_tags(&self, name: &Reference) -> Result<Vec<String>, RegistryError> {
        self.run(self.inner.network.tags(name))
    }

    /// What the configuration left out and should be said to the user.
    pub fn warnings(&self) -> &[String] {
        self.inner.network.config.warnings()
    }

    /// Ends every running call of all clones, and every later one, with [`RegistryError::Cancelled`].
    pub fn cancel(&self) {
        self.inner.cancelled.send_replace(true);
    }

    /// The manifest or index a reference names (tag `latest` when it says nothing).
    ///
    /// # Errors
    /// [`RegistryError::NotFound`], [`RegistryError::PullDenied`], those of the connection; with mirrors
    /// [`RegistryError::AllHostsFailed`].
    pub fn resolve(&self, reference: &Reference) -> Result<Resolved, RegistryError> {
        self.run(self.inner.network.resolve(reference))
    }

    /// Digest, type and size of what a reference names, by one HEAD request where the registry's headers say enough.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_digest(&self, reference: &Reference) -> Result<HeadAnswer, RegistryError> {
        self.run(self.inner.network.resolve_digest(reference))
    }

    /// The manifest or index with this descriptor, digest and size checked.
    ///
    /// # Errors
    /// As [`Self::resolve`], and [`RegistryError::DigestMismatch`], [`RegistryError::BlobTruncated`].
    pub fn fetch_manifest(&self, name: &Reference, manifest: &Descriptor) -> Result<Bytes, RegistryError> {
        self.run(self.inner.network.fetch_manifest(name, manifest))
    }

    /// Streams a blob into `out`, digest and size checked. `progress` gets bytes done and bytes in all.
    ///
    /// # Errors
    /// As [`Self::fetch_manifest`], and [`RegistryError::Write`]. After an error what `out` took is worthless; when
    /// [`RegistryError::is_corrupt_content`] says so, another try with a fresh writer may find another host.
    pub fn fetch_blob(
        &self,
        name: &Reference,
        blob: &Descriptor,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), RegistryError> {
        self.run(self.inner.network.fetch_blob(name, blob, out, progress))
    }

    /// Whether the repository itself (no mirror) has the blob.
    ///
    /// # Errors
    /// Those of the connection, and [`RegistryError::PullDenied`].
    pub fn blob_exists(&self, name: &Reference, blob: &Descriptor) -> Result<bool, RegistryError> {
        self.run(self.inner.network.blob_exists(name, blob))
    }

    /// Brings a blob into a repository: it is there already, or mounted from another repository, or uploaded.
    /// `progress` gets bytes sent and bytes in all; it begins again at 0 when the upload must.
    ///
    /// # Errors
    /// [`RegistryError::PushDenied`], [`RegistryError::Read`], [`RegistryError::SourceSize`], those of the connection.
    pub fn push_blob(
        &self,
        name: &Reference,
        blob: &Descriptor,
        source: &PushSource<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Pushed, RegistryError> {
        self.run(self.inner.network.push_blob(name, blob, source, progress))
    }

    /// What the registry itself (no mirror) has under a tag or digest; `None` when nothing.
    ///
    /// # Errors
    /// Those of the connection, and [`RegistryError::PushDenied`].
    pub fn manifest_exists(&self, reference: &Reference) -> Result<Option<Descriptor>, RegistryError> {
        self.run(self.inner.network.manifest_exists(reference))
    }

    /// Stores a manifest or index under the reference's tag, or under its digest when it has no tag.
    ///
    /// # Errors
    /// As [`Self::push_blob`].
    pub fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<BlobDigest, RegistryError> {
        self.run(self.inner.network.push_manifest(reference, media_type, Bytes::copy_from_slice(bytes)))
    }

    /// Fetches a file of any web server; `take` gets its pieces, from the start again when the connection broke.
    ///
    /// # Errors
    /// [`RegistryError::Download`] with the reason.
    pub fn download(
        &self,
        request: &DownloadRequest<'_>,
        take: &mut dyn FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<Download, RegistryError> {
        self.run(self.inner.network.download(request, take))
    }

    fn run<T>(&self, work: impl Future<Output = Result<T, RegistryError>>) -> Result<T, RegistryError> {
        runtime()?.block_on(async {
            let mut cancelled = self.inner.cancelled.subscribe();
            tokio::select! {
                biased;
                _ = cancelled.wait_for(|cancelled| *cancelled) => Err(RegistryError::Cancelled),
                outcome = work => outcome,
            }
        })
    }
}
