//! A certificate authority with one server and one client, as PEM files in a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

/// Paths of what one authority has issued.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority's own certificate.
    pub ca: PathBuf,
    /// A certificate for `localhost` and `127.0.0.1`.
    pub server_cert: PathBuf,
    /// Its private key.
    pub server_key: PathBuf,
    /// A certificate for TLS clients.
    pub client_cert: PathBuf,
    /// Its private key.
    pub client_key: PathBuf,
}

/// Makes a new authority and writes what it issues into `folder`.
///
/// # Errors
/// When a key cannot be made or a file cannot be written.
pub fn issue(folder: &Path) -> Result<Certificates> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::<String>::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "testkit authority");
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);

    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = leaf(&issuer, names, "testkit server", ExtendedKeyUsagePurpose::ServerAuth)?;
    let client = leaf(&issuer, vec![], "testkit client", ExtendedKeyUsagePurpose::ClientAuth)?;

    let write = |name: &str, text: &str| -> Result<PathBuf> {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    };
    Ok(Certificates {
        ca: write("ca.pem", &ca_pem)?,
        server_cert: write("server.pem", &server.0)?,
        server_key: write("server.key", &server.1)?,
        client_cert: write("client.pem", &client.0)?,
        client_key: write("client.key", &client.1)?,
    })
}

fn leaf(
    issuer: &Issuer<'_, KeyPair>,
    names: Vec<String>,
    common_name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
