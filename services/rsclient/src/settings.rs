//! What an operator may choose; `rsclient.toml` documents each key.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::Plan;

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
    /// With what this service signs its own.
    pub signing: auth::SigningSettings,
    /// The services that are asked over HTTP.
    pub peers: PeerSettings,
    /// How far a trace looks for dead letters.
    pub dead_letters: eventbus::letters::LookLimits,
    /// How much is told at a time.
    pub publishing: Publishing,
    /// How what ISPs set is told.
    pub outbox: OutboxSettings,
    /// How often the supervisor of subsystems hears that this one is there.
    pub heartbeat: HeartbeatSettings,
    /// What bounds syncs and walks.
    pub sync: async_task::Limits,
    /// How rollouts go.
    pub rollouts: RolloutSettings,
}

/// How rollouts go.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutSettings {
    /// Milliseconds between two looks at a rollout.
    pub look_every_ms: u64,
    /// Days for which a rollout that is over is kept.
    pub kept_days: u32,
    /// How they go where whoever starts one does not say.
    pub plan: Plan,
}

impl RolloutSettings {
    /// Between two looks at a rollout.
    pub fn look_every(&self) -> Duration {
        Duration::from_millis(self.look_every_ms.max(1))
    }

    /// For how long a rollout that is over is kept.
    pub fn life(&self) -> Duration {
        Duration::from_secs(u64::from(self.kept_days) * 86_400)
    }

    /// Whether they make sense.
    ///
    /// # Errors
    /// They do not, and why.
    pub fn check(&self) -> anyhow::Result<()> {
        let Err(wrong) = self.plan.check() else { return Ok(()) };
        let all: Vec<String> =
            wrong.0.iter().map(|(name, why)| format!("rollouts.plan.{name} {why}")).collect();
        anyhow::bail!(all.join("; "))
    }
}

/// The services that are asked over HTTP.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSettings {
    /// Where each process of rsadaptor is, separated by commas.
    pub rsadaptor_urls: String,
    /// Seconds in which they must answer.
    pub timeout_seconds: u64,
}

/// How often the supervisor of subsystems hears that this one is there.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatSettings {
    /// Seconds between two heartbeats.
    pub every_seconds: u64,
}

impl HeartbeatSettings {
    /// Between two heartbeats.
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.every_seconds.max(1))
    }
}

/// How what ISPs set is told.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxSettings {
    /// Milliseconds between two looks for what was not told at once.
    pub look_every_ms: u64,
}

/// How much is told at a time.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Publishing {
    /// Most devices that are raised, read and published together.
    pub batch_devices: usize,
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
