//! Ed25519 keys in PEM.

use std::fmt;

use anyhow::{Context as _, anyhow, ensure};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const PUBLIC_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Bytes of a public key.
const PUBLIC_BYTES: usize = 32;

/// An Ed25519 public key that says of other things than tokens whether they were signed with its other half.
#[derive(Clone)]
pub struct PublicKey(DecodingKey);

impl PublicKey {
    /// The key in a `PUBLIC KEY` block in PEM.
    ///
    /// # Errors
    /// There is none, or one of another kind.
    pub fn from_pem(pem: &str) -> anyhow::Result<Self> {
        public(pem).map(Self)
    }

    /// Whether `signature`, in Base64 of either alphabet and padded or not, is one of `message`.
    pub fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        let unpadded = signature.trim_end_matches('=').replace('+', "-").replace('/', "_");
        crypto::verify(&unpadded, message, &self.0, Algorithm::EdDSA).unwrap_or(false)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").finish_non_exhaustive()
    }
}

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
