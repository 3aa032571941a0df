//! Keys that sign JSON Web Tokens, made anew for each fleet, and the tokens themselves.

use anyhow::{Context, Result};
use rcgen::{KeyPair, PKCS_ED25519, SigningKey};
use serde_json::{Value, json};

/// How long a token holds, in seconds.
const LIFE_SECONDS: i64 = 240;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Whoever issues tokens: a name and an Ed25519 key.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    key: KeyPair,
}

impl Issuer {
    /// An issuer with a new key.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ED25519).context("make an Ed25519 key")?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// Its name, the claim `iss`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its public key as PEM.
    #[must_use]
    pub fn public_key_pem(&self) -> String {
        self.key.public_key_pem()
    }

    /// Its private key as PEM (PKCS #8).
    #[must_use]
    pub fn private_key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A token of an operator, who belongs to no ISP.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn operator(&self, audience: &str, scope: &str) -> Result<String> {
        self.sign(&self.claims(audience, scope))
    }

    /// A token of somebody of an ISP.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn of_isp(&self, isp_id: &str, audience: &str, scope: &str) -> Result<String> {
        let mut claims = self.claims(audience, scope);
        claims["isp_id"] = json!(isp_id);
        self.sign(&claims)
    }

    /// A token with exactly these claims.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let header = base64url(json!({"alg": "EdDSA", "typ": "JWT"}).to_string().as_bytes());
        let signed = format!("{header}.{}", base64url(claims.to_string().as_bytes()));
        let signature = SigningKey::sign(&self.key, signed.as_bytes()).context("sign a token")?;
        Ok(format!("{signed}.{}", base64url(&signature)))
    }

    /// A signature of any bytes, in Base64 of the URL alphabet.
    ///
    /// # Errors
    /// When they cannot be signed.
    pub fn signature(&self, bytes: &[u8]) -> Result<String> {
        let signature = SigningKey::sign(&self.key, bytes).context("sign")?;
        Ok(base64url(&signature))
    }

    fn claims(&self, audience: &str, scope: &str) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({
            "iss": self.name, "aud": audience, "sub": "testkit", "scope": scope,
            "iat": now, "exp": now + LIFE_SECONDS,
        })
    }
}

/// Base64 of the URL alphabet, without padding.
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..=chunk.len() {
            let six = bits >> (18 - 6 * at) & 0x3f;
            text.push(char::from(ALPHABET[six as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_neither_padding_nor_signs_that_a_url_escapes() {
        let of = |text: &str| base64url(text.as_bytes());
        let table = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(of);
        assert_eq!(table, ["", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"]);
        assert_eq!(base64url(&[0xfb, 0xff, 0xfe]), "-__-");
    }

    #[test]
    fn a_token_has_three_parts_and_a_signature_of_64_bytes() {
        let token = Issuer::new("tests").unwrap().operator("rssync", "sync:read").unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!((parts.len(), parts[2].len()), (3, 86));
    }
}
