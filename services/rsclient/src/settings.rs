//! What an operator may choose; `rsclient.toml` documents each key.

use serde::{Deserialize, Serialize};

/// The defaults, with what each key means.
pub const DEFAULTS: &str = include_str!("../rsclient.toml");

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
    pub http: chassis::rest::RestSettings,
    /// Whose tokens are taken.
    pub auth: auth::AuthSettings,
    /// What is remembered, and for how long.
    pub retention: chassis::mongo::Retention,
    /// How much is told at a time.
    pub publishing: Publishing,
    /// What bounds syncs and walks.
    pub sync: async_task::Limits,
}

/// How much is told at a time.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Publishing {
    /// Most devices that are raised, read and published together.
    pub batch_devices: usize,
}

impl chassis::ServiceSettings for Settings {
    fn chassis(&self) -> &chassis::Settings {
        &self.chassis
    }
}
