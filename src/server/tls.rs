//! TLS with rustls. ALPN negotiates the HTTP version.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio_rustls::TlsAcceptor;

use crate::config;

/// The TLS configuration is invalid.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{key}: cannot read {path} as PEM")]
    Pem { key: &'static str, path: PathBuf, source: pem::Error },
    #[error("server.tls: the certificate and the key do not match")]
    Mismatch(#[from] rustls::Error),
    #[error("server.tls.client_authorities: {path} contains no valid certificate")]
    Authorities { path: PathBuf, source: rustls::server::VerifierBuilderError },
}

/// Requires a client certificate that is signed by one of the authorities in the file.
fn client_verifier(path: &PathBuf) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let key = "server.tls.client_authorities";
    let unreadable = |source| TlsError::Pem { key, path: path.clone(), source };
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots.add(authority.map_err(unreadable)?)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
        .build()
        .map_err(|source| TlsError::Authorities { path: path.clone(), source })
}

/// Builds an acceptor for TLS 1.2 and 1.3 from the certificate and key files of `tls`.
///
/// # Errors
/// A file cannot be read, or the key does not match the certificate.
pub(super) fn acceptor(tls: &config::Tls) -> Result<TlsAcceptor, TlsError> {
    let unreadable = |key, path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::Pem { key, path, source }
    };
    let chain = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable("server.tls.certificate", &tls.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(unreadable("server.tls.key", &tls.key))?;
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let builder = match &tls.client_authorities {
        path if path.as_os_str().is_empty() => builder.with_no_client_auth(),
        path => builder.with_client_cert_verifier(client_verifier(path)?),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
