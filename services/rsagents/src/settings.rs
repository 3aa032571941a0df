//! What an operator may choose; `rsagents.toml` documents each key.

use auth::AuthSettings;
use chassis::rest::RestSettings;
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
    /// Whose tokens are taken.
    pub auth: AuthSettings,
    /// What is remembered, and for how long.
    pub retention: chassis::mongo::Retention,
    /// Limits of full syncs.
    pub sync: async_task::Limits,
}

impl chassis::ServiceSettings for Settings {
    fn chassis(&self) -> &chassis::Settings {
        &self.chassis
    }
}
