//! Who calls: JSON Web Tokens that are signed with Ed25519, made and verified.
//!
//! - [`Verifier`]: the keys that a service trusts, each with what it may grant
//! - [`Caller`]: who shows a token that holds, as an extractor of axum
//! - [`Signer`]: makes tokens for calls of other services
//! - [`PublicKey`]: says of other things than tokens who has signed them
//!
//! A token names one audience, lives for minutes and grants what stands in it, no more than its key may grant. No other
//! algorithm than EdDSA is known here, and there is no way to serve without verifying.

mod caller;
mod keys;
mod signer;
mod verifier;

pub use caller::{Caller, Unauthorized};
pub use keys::PublicKey;
pub use signer::{Grant, Signer, SigningSettings};
pub use verifier::{AuthSettings, TrustedKey, Verifier};

use serde::{Deserialize, Serialize};

/// Reads jobs and their failures.
pub const SYNC_READ: &str = "sync:read";
/// Starts and steers jobs.
pub const SYNC_WRITE: &str = "sync:write";
/// Reads what an ISP sets for its homes, and what holds for them.
pub const RS_READ: &str = "rs:read";
/// Sets what an ISP sets for its homes.
pub const RS_WRITE: &str = "rs:write";
/// What only the services of the fleet ask of each other.
pub const INTERNAL: &str = "internal";

/// The longest that a token may have left to live, in seconds.
const LIFE_SECONDS_MAX: u64 = 300;
/// How far the clocks of two machines may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 5;

/// What a token says.
#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    /// Who made it.
    iss: String,
    /// The service that it is for.
    aud: String,
    /// Who shows it.
    sub: String,
    /// The tenant; absent for operators and services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    isp_id: Option<events::IspId>,
    /// What it grants, separated by spaces.
    scope: String,
    /// When it ends, in Unix seconds.
    exp: u64,
}

fn scopes_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|it| !it.is_empty())
}
