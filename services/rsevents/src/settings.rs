//! What an operator may choose; `rsevents.toml` documents each key.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::Limits;

/// The defaults, with what each key means.
pub const DEFAULTS: &str = include_str!("../rsevents.toml");

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
    /// Which events count.
    pub events: EventSettings,
    /// Which events stand for others.
    pub folding: FoldingSettings,
    /// How long it is remembered whose devices are.
    pub places: PlaceSettings,
    /// What is remembered, and for how long.
    pub retention: chassis::mongo::Retention,
}

/// Which events count.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EventSettings {
    /// Most events that are handled together.
    pub batch_max: usize,
    /// How far an event may lie in the future, in seconds.
    pub future_limit_seconds: u64,
    /// How old an event may be, in hours.
    pub age_limit_hours: u64,
    /// For how long an event waits for its device to become known, in seconds.
    pub unknown_wait_seconds: u64,
}

impl EventSettings {
    /// What an event may claim.
    pub fn limits(&self) -> Limits {
        Limits {
            future: Duration::from_secs(self.future_limit_seconds),
            age: Duration::from_secs(self.age_limit_hours.saturating_mul(3_600)),
        }
    }
}

/// Which events stand for others.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FoldingSettings {
    /// After a device's activity was told, it is told again after so many milliseconds at the earliest.
    pub window_ms: u64,
    /// Most devices with a window; others are told at once.
    pub devices_max: usize,
}

impl FoldingSettings {
    /// How long a window is.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms)
    }
}

/// How long it is remembered whose devices are.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceSettings {
    /// Most devices, and most accounts, that are held in memory.
    pub cache_entries: usize,
    /// After so many seconds the store is asked again.
    pub cache_seconds: u64,
}

impl PlaceSettings {
    /// How long what was read is held.
    pub fn cache_life(&self) -> Duration {
        Duration::from_secs(self.cache_seconds)
    }
}

impl chassis::ServiceSettings for Settings {
    fn chassis(&self) -> &chassis::Settings {
        &self.chassis
    }
}
