//! What an operator can set.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::{Fault, Stale};

/// The defaults, with what each key means.
pub const DEFAULTS: &str = include_str!("../hsbe-sim.toml");

/// What an operator can set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many milliseconds each request takes at least.
    pub latency_ms: u64,
    /// What happens to a write that is older than what is held.
    pub stale: Stale,
    /// How many writes are remembered for each resource.
    pub history_entries_max: usize,
    /// Most bytes of a request's body.
    pub body_bytes_max: usize,
    /// What goes wrong on purpose from the start.
    pub faults: Vec<Fault>,
    /// The port without TLS.
    pub http: HttpSettings,
    /// The port with mutual TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// The Kafka admin interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSettings>,
    /// What every service has.
    #[serde(flatten)]
    pub chassis: chassis::Settings,
}

/// The port without TLS.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// The Kafka admin interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSettings {
    /// The backend's own broker: addresses to begin with, separated by commas.
    pub bootstrap_servers: String,
    /// The consumer group.
    pub group: String,
}

/// The port with mutual TLS.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The server's certificate, with the chain behind it.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authorities that clients' certificates must come from.
    pub client_ca_file: PathBuf,
}

impl chassis::ServiceSettings for Settings {
    fn chassis(&self) -> &chassis::Settings {
        &self.chassis
    }
}
