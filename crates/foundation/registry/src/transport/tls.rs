//! In: CA bundles, certificates and keys. Out: TLS settings for a host. Never: an unverified connection to a host that was not called insecure.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::RegistryError;
use crate::config::HostSettings;

/// HTTP/2 where the server has it: one connection carries all requests.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Settings for clients that speak plain HTTP only: nothing is read, and HTTPS always fails.
pub(super) fn without_roots() -> ClientConfig {
    finish(builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Settings that check the server against the system's CAs and the host's own.
pub(super) fn verified(
    authority: &str,
    settings: &HostSettings,
    ca_bundles: &[PathBuf],
) -> Result<ClientConfig, RegistryError> {
    let mut trusted = Vec::new();
    for bundle in ca_bundles {
        // The first bundle that can be read is the system's; a broken certificate in it is skipped, as everywhere.
        if let Ok(pem) = fs_err::read(bundle) {
            trusted.extend(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
            break;
        }
    }
    for path in &settings.ca {
        trusted.extend(certificates(authority, path)?);
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let verifier = Verifier { inner: None, trusted, provider: Arc::new(ring::default_provider()) };
    let verifier = if roots.is_empty() {
        verifier
    } else {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), verifier.provider.clone())
            .build()
            .map_err(|error| RegistryError::Tls { host: authority.to_owned(), reason: error.to_string() })?;
        Verifier { inner: Some(inner), ..verifier }
    };
    with_client_certificate(authority, settings, verifier)
}

/// Settings that accept any certificate.
pub(super) fn unverified(authority: &str, settings: &HostSettings) -> Result<ClientConfig, RegistryError> {
    with_client_certificate(authority, settings, Anyone(Arc::new(ring::default_provider())))
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3")
}

fn finish(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    config
}

fn with_client_certificate(
    authority: &str,
    settings: &HostSettings,
    verifier: impl ServerCertVerifier + 'static,
) -> Result<ClientConfig, RegistryError> {
    let builder = builder().dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let Some(pair) = settings.keypairs.first() else { return Ok(finish(builder.with_no_client_auth())) };
    let chain = certificates(authority, &pair.cert)?;
    let fail =
        |reason: String| RegistryError::Certificate { host: authority.to_owned(), path: pair.key.clone(), reason };
    let pem = fs_err::read(&pair.key).map_err(|error| fail(error.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| fail("it holds no private key in PEM form".to_owned()))?;
    let config = builder.with_client_auth_cert(chain, key).map_err(|error| fail(error.to_string()))?;
    Ok(finish(config))
}

fn certificates(authority: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let fail =
        |reason: String| RegistryError::Certificate { host: authority.to_owned(), path: path.to_owned(), reason };
    let pem = fs_err::read(path).map_err(|error| fail(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(fail("it holds no certificate in PEM form".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(fail(format!("it is no valid PEM file: {error}"))),
    }
}

/// The usual checks, and one more: a certificate that was itself put among the trusted ones is trusted.
///
/// `openssl req -x509` makes a CA certificate, which people use as the server's own. webpki refuses a CA as a server;
/// Docker accepts it when it is in `certs.d`, and so must we.
#[derive(Debug)]
struct Verifier {
    /// `None` when nobody is trusted.
    inner: Option<Arc<WebPkiServerVerifier>>,
    trusted: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else {
            return Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        let checked = inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match checked {
            // webpki checks the dates before it finds that the certificate is a CA's; the name remains to be checked.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.trusted.iter().any(|one| one.as_ref() == end_entity.as_ref()) =>
            {
                let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&parsed, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts every certificate: for hosts the user called insecure.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
