//! What an operator may choose; `rsagents.toml` documents each key.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use auth::{AuthSettings, SigningSettings};
use chassis::{rest::RestSettings, tls::TlsSettings};
use events::HttpUrl;
use serde::{Deserialize, Serialize};

/// The defaults, with what each key means.
pub const DEFAULTS: &str = include_str!("../rsagents.toml");

/// The settings of the service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What every service has.
    #[serde(flatten)]
    pub chassis: chassis::Settings,
    /// The bus.
    pub kafka: eventbus::Settings,
    /// The store.
    pub mongo: chassis::mongo::MongoSettings,
    /// The REST API.
    pub http: RestSettings,
    /// The port for the HomeSecure backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendSettings>,
    /// Whose tokens are taken.
    pub auth: AuthSettings,
    /// With what this service signs its own.
    pub signing: SigningSettings,
    /// The services that are asked over HTTP.
    pub peers: PeerSettings,
    /// Which packages are taken.
    pub packages: PackageSettings,
    /// When deletions are finished by others.
    pub deletion: DeletionSettings,
    /// How what people change is told.
    pub outbox: OutboxSettings,
    /// What is remembered, and for how long.
    pub retention: chassis::mongo::Retention,
    /// Limits of full syncs.
    pub sync: async_task::Limits,
}

/// The port for the HomeSecure backend, with mutual TLS.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BackendSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The server's certificate, with the chain behind it.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authorities that the backend's certificate must come from.
    pub client_ca_file: PathBuf,
}

/// The services that are asked over HTTP.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSettings {
    /// Where rsclient is.
    pub rsclient_url: HttpUrl,
    /// Seconds in which it must answer.
    pub timeout_seconds: u64,
}

/// Which packages are taken.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSettings {
    /// Most packages of one ISP.
    pub per_isp_max: u32,
    /// The keys of those who make packages, each under a name of the operator's choice.
    #[serde(default)]
    pub keys: BTreeMap<String, MakerKey>,
}

/// The key of somebody who makes packages.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MakerKey {
    /// The Ed25519 public key in PEM.
    pub public_key: String,
}

/// When deletions are finished by others.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeletionSettings {
    /// Seconds after which a deletion that is not over is taken up.
    pub finish_after_seconds: u64,
}

/// How what people change is told.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxSettings {
    /// Milliseconds between two looks for what was not told at once.
    pub look_every_ms: u64,
}

impl BackendSettings {
    /// The files.
    pub fn tls(&self) -> TlsSettings {
        TlsSettings {
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            client_ca_file: Some(self.client_ca_file.clone()),
        }
    }
}

impl DeletionSettings {
    /// Milliseconds after which a deletion that is not over is taken up.
    pub fn finish_after_ms(&self) -> i64 {
        i64::try_from(self.finish_after_seconds.saturating_mul(1_000)).unwrap_or(i64::MAX / 2)
    }
}

impl OutboxSettings {
    /// Between two looks for what was not told at once.
    pub fn look_every(&self) -> Duration {
        Duration::from_millis(self.look_every_ms.max(1))
    }
}

impl chassis::ServiceSettings for Settings {
    fn chassis(&self) -> &chassis::Settings {
        &self.chassis
    }
}
