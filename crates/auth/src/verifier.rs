//! Which tokens hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous, decode, get_current_timestamp};
use problem::{Kind, Problem};
use serde::{Deserialize, Serialize};

use crate::{Caller, Claims, LEEWAY_SECONDS, LIFE_SECONDS_MAX, keys, scopes_of};

/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 4_096;

/// The longest name of whoever shows a token: it stands in what they start.
const SUBJECT_BYTES_MAX: usize = 256;

/// Whose tokens a service takes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// The keys that are trusted, each under a name of the operator's choice.
    #[serde(default)]
    pub keys: BTreeMap<String, TrustedKey>,
}

/// A key that is trusted, and how far.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// Whose key it is: the `iss` of its tokens.
    pub issuer: String,
    /// The Ed25519 public key in PEM.
    pub public_key: String,
    /// What its tokens may grant, separated by spaces.
    pub scopes: String,
    /// Whether its tokens may be without `isp_id`, as those of operators and services are.
    #[serde(default)]
    pub isp_optional: bool,
}

/// Says of a token whose it is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Verifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    validation: Validation,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    issuer: String,
    key: DecodingKey,
    scopes: Vec<String>,
    isp_optional: bool,
}

/// The one claim that is read before the signature is verified: it only chooses among the keys.
#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

impl Verifier {
    /// A verifier of tokens for `audience`, the name of the service.
    ///
    /// # Errors
    /// A key that is none, or is nobody's.
    pub fn new(audience: &str, settings: &AuthSettings) -> anyhow::Result<Self> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_SECONDS;
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        let keys = settings.keys.iter().map(|(name, it)| {
            let place = || format!("auth.keys.{name}");
            ensure!(!it.issuer.is_empty(), "{}.issuer is empty", place());
            let key = keys::public(&it.public_key)
                .with_context(|| format!("{}.public_key cannot be used", place()))?;
            let scopes = scopes_of(&it.scopes).map(str::to_owned).collect();
            Ok(Key { issuer: it.issuer.clone(), key, scopes, isp_optional: it.isp_optional })
        });
        let keys = keys.collect::<anyhow::Result<_>>()?;
        Ok(Self(Arc::new(Inner { validation, keys })))
    }

    /// Who shows this token.
    ///
    /// # Errors
    /// A problem of the kind [`Kind::Unauthorized`]: the token does not hold.
    pub fn caller(&self, token: &str) -> Result<Caller, Problem> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused("the token is too long"));
        }
        let Issuer { iss } = dangerous::insecure_decode_claims(token).map_err(|_| malformed())?;
        let mut answer = Err(refused("nobody who is trusted has signed the token"));
        // An issuer that changes its key has two of them for a while.
        for key in self.0.keys.iter().filter(|it| it.issuer == iss) {
            match decode::<Claims>(token, &key.key, &self.0.validation) {
                Ok(verified) => return key.grant(verified.claims),
                Err(error) => answer = Err(explained(error.kind())),
            }
        }
        answer
    }
}

impl Key {
    /// The caller of whom this key's token speaks.
    fn grant(&self, claims: Claims) -> Result<Caller, Problem> {
        if claims.exp > get_current_timestamp() + LIFE_SECONDS_MAX + LEEWAY_SECONDS {
            return Err(refused("the token lives for more than five minutes"));
        }
        let is_name = |it: &str| !it.is_empty() && it.len() <= SUBJECT_BYTES_MAX;
        if !is_name(&claims.sub) || claims.sub.chars().any(char::is_control) {
            return Err(refused("the token names no subject, or none that can be shown"));
        }
        if claims.isp_id.is_none() && !self.isp_optional {
            return Err(refused("the token must name an ISP"));
        }
        let scopes: Vec<String> = scopes_of(&claims.scope).map(str::to_owned).collect();
        if scopes.iter().any(|it| !self.scopes.contains(it)) {
            return Err(refused("the token grants what its issuer may not grant"));
        }
        Ok(Caller { subject: claims.sub, isp_id: claims.isp_id, scopes })
    }
}

/// The library's list of what can be wrong is open and long: what is not told apart here is a matter of form.
fn explained(error: &ErrorKind) -> Problem {
    if matches!(error, ErrorKind::ExpiredSignature) {
        return refused("the token has expired");
    }
    if matches!(error, ErrorKind::InvalidAudience) {
        return refused("the token is for another service");
    }
    if matches!(error, ErrorKind::InvalidSignature) {
        return refused("nobody who is trusted has signed the token");
    }
    if matches!(error, ErrorKind::InvalidAlgorithm) {
        return refused("the token must be signed with EdDSA");
    }
    malformed()
}

fn malformed() -> Problem {
    refused("the token is malformed")
}

fn refused(why: &'static str) -> Problem {
    Problem::new(Kind::Unauthorized, why)
}
