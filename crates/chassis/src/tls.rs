//! Mutual TLS for servers. A certificate that is replaced is used without a restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

/// How often the files of the server's certificate are looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(1);

/// PEM files of a server. The certificate and its key are read again when they change.
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
    let certificate = Arc::new(Certificate::read(settings)?);
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
    let mut config = builder.with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// When a file was last written and how long it is: clocks of file systems are coarse. Nothing while it is not there.
type Stamp = Option<(SystemTime, u64)>;

/// The certificate that the server shows, as its files are.
#[derive(Debug)]
struct Certificate {
    files: [PathBuf; 2],
    shown: Mutex<Shown>,
}

#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    stamps: [Stamp; 2],
    looked_at: Instant,
}

impl Certificate {
    fn read(settings: &TlsSettings) -> anyhow::Result<Self> {
        let files = [settings.cert_file.clone(), settings.key_file.clone()];
        let stamps = stamps(&files);
        let shown = Shown { key: Arc::new(certified(&files)?), stamps, looked_at: Instant::now() };
        Ok(Self { files, shown: Mutex::new(shown) })
    }

    /// The certificate and its key, read anew where the files have changed. A broken pair keeps the old one in use.
    fn current(&self) -> Arc<CertifiedKey> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.looked_at.elapsed() >= CERTIFICATE_EVERY {
            shown.looked_at = Instant::now();
            let stamps = stamps(&self.files);
            if stamps != shown.stamps {
                // Kept in either case: the same broken files are not read again.
                shown.stamps = stamps;
                match certified(&self.files) {
                    Ok(key) => {
                        shown.key = Arc::new(key);
                        tracing::info!("server certificate reloaded");
                    }
                    Err(error) => {
                        tracing::error!(
                            error = format!("{error:#}"),
                            "server certificate unusable"
                        );
                    }
                }
            }
        }
        Arc::clone(&shown.key)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn stamps(files: &[PathBuf; 2]) -> [Stamp; 2] {
    files.each_ref().map(|it| {
        let file = fs::metadata(it).ok()?;
        Some((file.modified().ok()?, file.len()))
    })
}

fn certified([cert_file, key_file]: &[PathBuf; 2]) -> anyhow::Result<CertifiedKey> {
    let certificates = certificates(cert_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("no private key in {}", key_file.display()))?;
    let provider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(certificates, key, &provider).with_context(|| {
        let (cert, key) = (cert_file.display(), key_file.display());
        format!("the certificate {cert} and the key {key} do not fit")
    })
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
