//! Tokens for calls of other services.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use chassis::Secret;
use events::IspId;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde::{Deserialize, Serialize};

use crate::{Claims, keys};

/// How long a token lives, in seconds: long enough for the clocks to differ and for one call to be made.
const LIFE_SECONDS: u64 = 120;

/// With what a service signs its tokens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SigningSettings {
    /// Its name as an issuer.
    pub issuer: String,
    /// Its private key in PEM; empty where it has none.
    pub private_key: Secret,
}

impl SigningSettings {
    /// What signs with the key, where there is one.
    ///
    /// # Errors
    /// A key that is none; it is not shown.
    pub fn signer(&self) -> anyhow::Result<Option<Signer>> {
        let signer = || Signer::new(&self.issuer, self.private_key.expose());
        (!self.private_key.is_empty()).then(signer).transpose().context("signing")
    }
}

/// Makes tokens in the name of one issuer. Cheap to clone.
#[derive(Clone)]
pub struct Signer(Arc<Inner>);

struct Inner {
    issuer: String,
    key: EncodingKey,
}

/// What a token is to say.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// The service that is called.
    pub audience: &'a str,
    /// Who calls it.
    pub subject: &'a str,
    /// The tenant; none for operators and services.
    pub isp_id: Option<&'a IspId>,
    /// What the token grants.
    pub scopes: &'a [&'a str],
}

impl Signer {
    /// `private_key` is an Ed25519 key as PKCS #8 in PEM.
    ///
    /// # Errors
    /// A key that is none; it is not shown.
    pub fn new(issuer: &str, private_key: &str) -> anyhow::Result<Self> {
        ensure!(!issuer.is_empty(), "the issuer has no name");
        let key = keys::private(private_key)?;
        let signer = Self(Arc::new(Inner { issuer: issuer.to_owned(), key }));
        // A key of another kind shows itself when it is used.
        let trial = Grant { audience: "", subject: "", isp_id: None, scopes: &[] };
        signer.token(&trial).context("it is no Ed25519 key")?;
        Ok(signer)
    }

    /// A token that holds for two minutes from now.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn token(&self, grant: &Grant<'_>) -> anyhow::Result<String> {
        let claims = Claims {
            iss: self.0.issuer.clone(),
            aud: grant.audience.to_owned(),
            sub: grant.subject.to_owned(),
            isp_id: grant.isp_id.cloned(),
            scope: grant.scopes.join(" "),
            exp: get_current_timestamp() + LIFE_SECONDS,
        };
        Ok(encode(&Header::new(Algorithm::EdDSA), &claims, &self.0.key)?)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("issuer", &self.0.issuer).finish_non_exhaustive()
    }
}
