//! How the backend is reached.

use std::path::PathBuf;

use events::HttpUrl;
use serde::{Deserialize, Serialize};

/// How the backend is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `rest` sends, `log` only says what it would send, `kafka` publishes what it can.
    pub mode: Mode,
    /// Where the API begins, such as `https://hs.example:8443`.
    pub base_url: HttpUrl,
    /// Mutual TLS; required with `https`, refused with `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// How long a call may take from the first byte out to the last byte in.
    pub timeout_seconds: u64,
    /// How long a connection may take to be made.
    pub connect_timeout_seconds: u64,
    /// How many calls run side by side, each on a connection of its own.
    pub connections: usize,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is sent.
    Rest,
    /// It is logged: a dry run.
    Log,
    /// It is published, where the Kafka admin interface knows the resource; all else is sent.
    Kafka,
}

/// PEM files for mutual TLS. They are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Our certificate, with the chain behind it.
    pub cert: PathBuf,
    /// The private key of our certificate.
    pub key: PathBuf,
    /// The authorities that the backend's certificate must come from.
    pub ca: PathBuf,
}
