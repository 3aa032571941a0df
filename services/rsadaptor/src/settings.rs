//! What an operator may choose.

use std::time::Duration;

use chassis::mongo::MongoSettings;
use eventbus::DestinationSettings;
use hs_admin::BATCH_ITEMS_MAX;
use serde::{Deserialize, Serialize};

use crate::{
    domain::GateLimits,
    infrastructure::{hs::BatchLimits, store::StoreLimits},
};

/// The defaults, with what each key means.
pub const DEFAULTS: &str = include_str!("../rsadaptor.toml");

/// What an operator may choose.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The bus.
    pub kafka: eventbus::Settings,
    /// The store.
    pub mongo: MongoSettings,
    /// The REST API.
    pub http: chassis::rest::RestSettings,
    /// Whose tokens are taken.
    pub auth: auth::AuthSettings,
    /// What is remembered of applied devices.
    pub applied: AppliedSettings,
    /// How the backend is reached.
    pub hs_admin: hs_admin::Settings,
    /// What is put together.
    pub batch: BatchSettings,
    /// What it is spared.
    pub destination: DestinationSettings,
    /// What its answers mean.
    pub gate: GateSettings,
    /// What every service has.
    #[serde(flatten)]
    pub chassis: chassis::Settings,
}

/// What is remembered of applied devices.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AppliedSettings {
    /// How long a deletion is remembered.
    pub tombstone_days: u32,
    /// How long a record of a sync waits for others to read or write together with.
    pub gather_ms: u64,
    /// Most rows that are read, and most that are written, together.
    pub gather_max: usize,
}

/// How devices of syncs are put together in one call.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSettings {
    /// Most devices of a call; below 2, each is put by itself.
    pub items_max: usize,
    /// How long a device waits for others.
    pub wait_ms: u64,
}

/// What answers of the backend mean.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GateSettings {
    /// How long a record waits for what it refers to.
    pub early_limit_seconds: Seconds,
    /// How often the backend's status may count against a record that is alone.
    pub status_counts_every_seconds: Seconds,
    /// How often the backend is asked how it is.
    pub status_interval_seconds: Seconds,
}

/// A time of a millisecond to a day, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Seconds(f64);

impl Seconds {
    /// The same as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }
}

impl TryFrom<f64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        match (0.001..=86_400.0).contains(&seconds) {
            true => Ok(Self(seconds)),
            false => Err("it must be 0.001 to 86400 seconds"),
        }
    }
}

impl From<Seconds> for f64 {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

impl AppliedSettings {
    /// What the store goes by.
    pub fn limits(&self) -> StoreLimits {
        StoreLimits {
            tombstone_life: Duration::from_secs(u64::from(self.tombstone_days) * 86_400),
            gather: Duration::from_millis(self.gather_ms),
            gather_max: self.gather_max.max(1),
        }
    }
}

impl BatchSettings {
    /// How many devices may go together, and how long they wait for each other, if they are to.
    pub fn limits(&self) -> Option<BatchLimits> {
        let wait = Duration::from_millis(self.wait_ms);
        let items_max = self.items_max.min(BATCH_ITEMS_MAX);
        (items_max > 1).then_some(BatchLimits { items_max, wait })
    }
}

impl GateSettings {
    /// What the gate goes by.
    pub fn limits(&self) -> GateLimits {
        GateLimits {
            early: self.early_limit_seconds.duration(),
            status_counts_every: self.status_counts_every_seconds.duration(),
        }
    }
}

impl chassis::ServiceSettings for Settings {
    fn chassis(&self) -> &chassis::Settings {
        &self.chassis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_complete_and_known() {
        let none: [(String, String); 0] = [];
        let settings: Settings =
            chassis::settings::load("rsadaptor", DEFAULTS, None, none).unwrap();
        assert_eq!(settings.gate.limits().early, Duration::from_secs(30));
        assert_eq!(settings.destination.concurrency_max, 384);
    }

    #[test]
    fn a_time_may_be_whole_or_fractional_and_must_be_sensible() {
        let load = |seconds: &str| {
            let name = "RSADAPTOR__GATE__EARLY_LIMIT_SECONDS".to_owned();
            let environment = [(name, seconds.to_owned())];
            let loaded: anyhow::Result<Settings> =
                chassis::settings::load("rsadaptor", DEFAULTS, None, environment);
            loaded.map(|it| it.gate.limits().early)
        };
        assert_eq!(load("1").unwrap(), Duration::from_secs(1));
        assert_eq!(load("0.25").unwrap(), Duration::from_millis(250));
        for wrong in ["0", "-1", "NaN", "1e9", "soon"] {
            load(wrong).unwrap_err();
        }
    }
}
