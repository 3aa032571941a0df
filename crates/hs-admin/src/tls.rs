//! Mutual TLS from PEM files.

use std::{fs, path::Path, sync::Arc, time::SystemTime};

use anyhow::{Context as _, bail};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::TlsFiles;

/// When each file was last written and how long it is: clocks of file systems are coarse. `None` while it is not there.
pub(crate) type Stamps = [Option<(SystemTime, u64)>; 3];

/// What tells the files from what they were before.
pub(crate) fn stamps(files: &TlsFiles) -> Stamps {
    [&files.cert, &files.key, &files.ca].map(|it| {
        let file = fs::metadata(it).ok()?;
        Some((file.modified().ok()?, file.len()))
    })
}

/// Trusts the authorities of the files alone and shows the certificate of the files. Without files it trusts nobody.
pub(crate) fn client_config(files: Option<&TlsFiles>) -> anyhow::Result<ClientConfig> {
    // The provider is named, so that the client works whatever the process has installed.
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS versions")?;
    let mut roots = RootCertStore::empty();
    let Some(files) = files else {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    };
    for certificate in certificates(&files.ca)? {
        roots.add(certificate).with_context(|| format!("authority in {}", files.ca.display()))?;
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("private key in {}", files.key.display()))?;
    builder
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&files.cert)?, key)
        .with_context(|| format!("certificate in {}", files.cert.display()))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let context = || format!("certificates in {}", path.display());
    let found = CertificateDer::pem_file_iter(path)
        .with_context(context)?
        .collect::<Result<Vec<_>, _>>()
        .with_context(context)?;
    if found.is_empty() {
        bail!("no certificate in {}", path.display());
    }
    Ok(found)
}
