//! What an operator may choose; `rssync.toml` documents each key.

use auth::{AuthSettings, SigningSettings};
use chassis::rest::RestSettings;
use events::HttpUrl;
use serde::{Deserialize, Serialize};

/// The defaults, with what each key means.
pub const DEFAULTS: &str = include_str!("../rssync.toml");

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
    /// With what this service signs its own.
    pub signing: SigningSettings,
    /// The services that are asked over HTTP.
    pub peers: PeerSettings,
    /// Limits of jobs.
    pub jobs: JobSettings,
    /// Limits of those who watch.
    pub streams: StreamSettings,
}

/// The services that are asked over HTTP.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSettings {
    /// Where rsclient is.
    pub rsclient_url: HttpUrl,
    /// Where rsagents is.
    pub rsagents_url: HttpUrl,
    /// Seconds in which they must answer.
    pub timeout_seconds: u64,
}

/// Limits of jobs.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JobSettings {
    /// How many devices are open at a time where the caller does not say.
    pub window_default: u32,
    /// The most that a caller may say.
    pub window_max: u32,
    /// How many jobs may run or wait at a time.
    pub open_max: u32,
    /// How long ended jobs are kept, in days.
    pub retention_days: u32,
    /// After how many hours a job fails that has not ended.
    pub limit_hours: u32,
    /// For how many seconds a cancelled job waits for what it has sent.
    pub cancel_seconds: u32,
    /// After how many seconds something is said again to a service that is silent about it.
    pub repeat_seconds: u32,
    /// How many milliseconds pass between two looks for jobs that must be woken.
    pub wake_every_ms: u64,
}

/// Limits of those who watch.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSettings {
    /// How many may watch at a time.
    pub max: usize,
    /// After how many seconds a stream ends.
    pub limit_seconds: u64,
    /// How many milliseconds pass between two looks at a job.
    pub look_every_ms: u64,
}

impl chassis::ServiceSettings for Settings {
    fn chassis(&self) -> &chassis::Settings {
        &self.chassis
    }
}
