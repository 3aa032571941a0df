//! Ed25519 keys in PEM.

use anyhow::{Context as _, anyhow, ensure};
use jsonwebtoken::{DecodingKey, EncodingKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const PUBLIC_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Bytes of a public key.
const PUBLIC_BYTES: usize = 32;

/// The key in a `PUBLIC KEY` block.
pub(crate) fn public(pem: &str) -> anyhow::Result<DecodingKey> {
    let info = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| anyhow!("{error}"))
        .context("there is no PUBLIC KEY block in PEM")?;
    let key = info.as_ref().strip_prefix(&PUBLIC_PREFIX).context("it is no Ed25519 key")?;
    ensure!(key.len() == PUBLIC_BYTES, "it is no Ed25519 key");
    Ok(DecodingKey::from_ed_der(key))
}

/// The key in a `PRIVATE KEY` block. What is wrong with it is said without showing it.
pub(crate) fn private(pem: &str) -> anyhow::Result<EncodingKey> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| anyhow!("there is no PRIVATE KEY block in PEM"))?;
    Ok(EncodingKey::from_ed_der(key.secret_pkcs8_der()))
}
