//! In: what went wrong at which host with which reference. Out: one error that says so and what to do next. Never: a password, a token, a query string.
//!
//! Texts that scripts look for follow the reference (spec/dockerfile.md §12).

use std::fmt;
use std::io;
use std::path::PathBuf;

use crossdock_oci::{BlobDigest, MANIFEST_SIZE_MAX};

/// Everything that can go wrong between this machine and a registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A configuration file is there and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    ConfigRead { path: PathBuf, source: io::Error },
    /// A configuration file says something we cannot accept.
    #[error("{}:{line}: {message}", path.display())]
    ConfigSyntax { path: PathBuf, line: usize, message: String },
    /// A configuration file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    ConfigWrite { path: PathBuf, source: io::Error },
    /// There is no place for logins.
    #[error("no directory for Docker's config.json: set HOME or DOCKER_CONFIG")]
    NoConfigFile,
    /// A credential helper did not do what it was asked.
    #[error(
        "docker-credential-{helper} could not {action}: {reason}; install it, or take credsStore and credHelpers out of config.json"
    )]
    Helper { helper: String, action: &'static str, reason: String },
    /// A certificate or key that the configuration names cannot be used.
    #[error("certificate for registry {host}: {}: {reason}", path.display())]
    Certificate { host: String, path: PathBuf, reason: String },

    /// The host's name does not resolve.
    #[error("registry {host}: no such host: check the name in the reference, the network and the DNS settings")]
    UnknownHost { host: String },
    /// Nobody listens there.
    #[error(
        "registry {host}: connection to {address} refused: check that the registry runs and that the port is right{hint}"
    )]
    ConnectionRefused { host: String, address: String, hint: &'static str },
    /// The other side speaks plain HTTP where HTTPS was asked for.
    #[error(
        "registry {host}: it answered with plain HTTP to an HTTPS client: put `http = true` under [registry.\"{host}\"] in crossdock's config.toml, or the host under insecure-registries in /etc/docker/daemon.json"
    )]
    PlainHttp { host: String },
    /// The certificate is signed by nobody we know.
    #[error(
        "registry {host}: its certificate is signed by an unknown authority ({reason}): put the CA's certificate at /etc/docker/certs.d/{host}/ca.crt, or name it as `ca = [\"FILE\"]` under [registry.\"{host}\"] in crossdock's config.toml"
    )]
    UnknownCa { host: String, reason: String },
    /// Another failure of TLS.
    #[error("registry {host}: TLS failed: {reason}")]
    Tls { host: String, reason: String },
    /// The host did not answer in time.
    #[error("registry {host}: no answer within {seconds} s while trying to {action}")]
    Timeout { host: String, action: String, seconds: u64 },
    /// The connection broke, again and again.
    #[error("registry {host}: connection failed while trying to {action}: {reason}")]
    Connection { host: String, action: String, reason: String },
    /// A redirect we do not follow.
    #[error("registry {host}: cannot follow its redirect while trying to {action}: {reason}")]
    Redirect { host: String, action: String, reason: String },

    /// The registry has no such image, tag or blob.
    #[error("{reference}: not found in registry {host}")]
    NotFound { reference: String, host: String },
    /// The registry does not let us read; it does not say whether the repository exists.
    #[error(
        "{reference}: pull access denied, repository does not exist or may require authorization: server message: {message} (registry {host}, {credentials}; to log in: `docker login {host}` or `crossdock login {host}`)"
    )]
    PullDenied { reference: String, host: String, message: String, credentials: Box<CredentialUse> },
    /// The registry does not let us write.
    #[error(
        "{reference}: push access denied, repository does not exist or may require authorization: server message: {message} (registry {host}, {credentials}; to log in: `docker login {host}` or `crossdock login {host}`)"
    )]
    PushDenied { reference: String, host: String, message: String, credentials: Box<CredentialUse> },
    /// User name or password are wrong.
    #[error(
        "registry {host}: incorrect username or password ({credentials}): server message: {message}; log in again with `docker login {host}` or `crossdock login {host}`"
    )]
    Unauthorized { host: String, message: String, credentials: Box<CredentialUse> },
    /// The token service does not give a token.
    #[error("registry {host}: no token from {service}: {message} ({credentials})")]
    Token { host: String, service: String, message: String, credentials: Box<CredentialUse> },
    /// The registry's limit is reached, and waiting did not help.
    #[error(
        "registry {host}: too many requests while trying to {action}: {message}; wait, log in for a higher limit, or configure a mirror"
    )]
    TooManyRequests { host: String, action: String, message: String },
    /// Any other answer we cannot use.
    #[error("registry {host}: unexpected status {status} while trying to {action}: {message}")]
    Status { host: String, action: String, status: u16, message: String },
    /// An answer that breaks the protocol.
    #[error("registry {host}: invalid answer while trying to {action}: {reason}")]
    Answer { host: String, action: String, reason: String },

    /// The bytes are not those that were asked for.
    #[error("digest mismatch: registry {registry} served {subject} with digest {got}, want {want}")]
    DigestMismatch { subject: String, registry: String, want: Box<BlobDigest>, got: Box<BlobDigest> },
    /// The blob ended early.
    #[error("blob truncated: registry {registry} served {got} of {want} bytes of {digest}")]
    BlobTruncated { digest: Box<BlobDigest>, registry: String, want: u64, got: u64 },
    /// The blob goes on behind its end.
    #[error("blob too long: registry {registry} served at least {got} bytes of {digest}, want {want}")]
    BlobTooLong { digest: Box<BlobDigest>, registry: String, want: u64, got: u64 },
    /// A manifest or index is larger than distribution allows.
    #[error("{reference}: manifest from registry {registry} is larger than {MANIFEST_SIZE_MAX} bytes")]
    ManifestTooLarge { reference: String, registry: String },
    /// A manifest of a kind we do not know.
    #[error(
        "{reference}: registry {registry} served a manifest of unsupported type {media_type:?}; push the image again with a current tool"
    )]
    UnsupportedManifest { reference: String, registry: String, media_type: String },

    /// The caller's side could not take the bytes.
    #[error("cannot write blob {digest}: {source}")]
    Write { digest: Box<BlobDigest>, source: io::Error },
    /// The caller's side could not give the bytes.
    #[error("cannot read blob {digest} for upload: {source}")]
    Read { digest: Box<BlobDigest>, source: io::Error },
    /// The caller's side gave another number of bytes than the descriptor says.
    #[error("blob {digest} for upload has {got} bytes, its descriptor says {want}")]
    SourceSize { digest: Box<BlobDigest>, want: u64, got: u64 },

    /// A file of a web server that could not be had.
    #[error("{url}: {reason}")]
    Download { url: String, reason: String },
    /// The caller's side could not take a piece of a file.
    #[error("cannot keep the file: {source}")]
    Keep { source: io::Error },

    /// Every mirror and the registry itself failed; the last one is the registry.
    #[error("{}", list_failures(subject, failures))]
    AllHostsFailed { subject: String, failures: Vec<HostFailure> },
    /// [`crate::Client::cancel`] was called.
    #[error("context canceled")]
    Cancelled,
    /// No threads or descriptors for the network code.
    #[error("cannot start the network runtime: {0}")]
    Runtime(#[source] io::Error),
    /// The embedded server cannot listen.
    #[error("cannot listen on {address}: {source}")]
    Bind { address: String, source: io::Error },
}

/// One host that was tried, and why it did not serve.
#[derive(Debug)]
pub struct HostFailure {
    pub host: String,
    pub error: Box<RegistryError>,
}

/// Which credentials a request carried, said without showing any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialUse {
    /// Nothing was found for the host; the note says what hindered looking, if anything did.
    Anonymous { note: Option<String> },
    /// Credentials of this user from this file, variable or helper.
    From { user: Option<String>, origin: String },
}

impl fmt::Display for CredentialUse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous { note: None } => out.write_str("no credentials found"),
            Self::Anonymous { note: Some(note) } => write!(out, "no credentials found: {note}"),
            Self::From { user: Some(user), origin } => write!(out, "credentials of user {user:?} from {origin}"),
            Self::From { user: None, origin } => write!(out, "credentials from {origin}"),
        }
    }
}

fn list_failures(subject: &str, failures: &[HostFailure]) -> String {
    let mut text = format!("{subject}: no host could serve it");
    for failure in failures {
        text.push_str("\n  ");
        text.push_str(&failure.host);
        text.push_str(": ");
        text.push_str(&failure.error.to_string());
    }
    text
}

impl RegistryError {
    /// The failure that counts when several hosts were tried: the registry's own.
    pub fn deciding(&self) -> &Self {
        match self {
            Self::AllHostsFailed { failures, .. } => failures.last().map_or(self, |failure| failure.error.deciding()),
            other => other,
        }
    }

    /// The registry answered that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self.deciding(), Self::NotFound { .. })
    }

    /// The registry could not be reached at all, so that what is known from before may be used (architecture decision 14).
    pub fn is_unreachable(&self) -> bool {
        match self.deciding() {
            Self::UnknownHost { .. }
            | Self::ConnectionRefused { .. }
            | Self::Timeout { .. }
            | Self::Connection { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// Logging in may help.
    pub fn is_denied(&self) -> bool {
        matches!(
            self.deciding(),
            Self::PullDenied { .. } | Self::PushDenied { .. } | Self::Unauthorized { .. } | Self::Token { .. }
        )
    }

    /// A host served wrong bytes into the caller's writer. That host is left out from now on, so the same fetch
    /// into a fresh writer may succeed from another one.
    pub fn is_corrupt_content(&self) -> bool {
        matches!(self.deciding(), Self::DigestMismatch { .. } | Self::BlobTruncated { .. } | Self::BlobTooLong { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_own_failure_decides() {
        let refused = RegistryError::ConnectionRefused { host: "m".into(), address: "m:443".into(), hint: "" };
        let missing = RegistryError::NotFound { reference: "a:1".into(), host: "docker.io".into() };
        let failures = vec![
            HostFailure { host: "m".into(), error: Box::new(refused) },
            HostFailure { host: "docker.io".into(), error: Box::new(missing) },
        ];
        let error = RegistryError::AllHostsFailed { subject: "a:1".into(), failures };
        assert!(error.is_not_found() && !error.is_unreachable());
        let text = error.to_string();
        assert!(text.contains("\n  m: ") && text.contains("\n  docker.io: a:1: not found"), "{text}");
    }

    #[test]
    fn denied_text_is_the_references() {
        let error = RegistryError::PullDenied {
            reference: "docker.io/a/b:1".into(),
            host: "docker.io".into(),
            message: "insufficient_scope: authorization failed".into(),
            credentials: Box::new(CredentialUse::Anonymous { note: None }),
        };
        assert!(
            error
                .to_string()
                .contains("pull access denied, repository does not exist or may require authorization: server message: insufficient_scope")
        );
    }
}
