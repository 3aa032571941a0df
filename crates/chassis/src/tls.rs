//! Mutual TLS for servers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde::{Deserialize, Serialize};

/// PEM files of a server.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The server's certificate and what leads to its root.
    pub cert_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
    /// Roots of the certificates that clients must show; without it, clients show none.
    pub client_ca_file: Option<PathBuf>,
}

/// Makes aws-lc-rs the provider of the process. More calls do nothing.
pub fn install_provider() {
    // An error only says that it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Reads the files.
///
/// # Errors
/// A file that cannot be read or does not hold what it should.
pub fn server_config(settings: &TlsSettings) -> anyhow::Result<Arc<ServerConfig>> {
    install_provider();
    let certificates = certificates(&settings.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&settings.key_file)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("no private key in {}", settings.key_file.display()))?;
    let builder = ServerConfig::builder();
    let builder = match &settings.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in self::certificates(path)? {
                roots.add(certificate).with_context(|| format!("in {}", path.display()))?;
            }
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build()?)
        }
    };
    let mut config = builder.with_single_cert(certificates, key).with_context(|| {
        let (cert, key) = (settings.cert_file.display(), settings.key_file.display());
        format!("the certificate {cert} and the key {key} do not fit")
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let context = || format!("no certificate in {}", path.display());
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(context)?;
    anyhow::ensure!(!certificates.is_empty(), context());
    Ok(certificates)
}
