//! What an operator may choose; `rsagents.toml` documents each key.

use std::time::Duration;

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
    pub retention: Retention,
    /// Limits of full syncs.
    pub sync: async_task::Limits,
}

/// What is remembered, and for how long.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How long deletions are remembered, in days: longer than topics and dead letters keep records.
    pub tombstone_days: u32,
}

impl Retention {
    /// How long deletions are remembered.
    pub fn tombstone_life(&self) -> Duration {
        Duration::from_secs(u64::from(self.tombstone_days) * 24 * 60 * 60)
    }
}

impl chassis::ServiceSettings for Settings {
    fn chassis(&self) -> &chassis::Settings {
        &self.chassis
    }
}
