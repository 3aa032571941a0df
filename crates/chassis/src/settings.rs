//! Settings: a service's commented defaults < a TOML file < the environment; unknown keys refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::layers;

/// The defaults of [`Settings`], with the comments that document them.
pub const DEFAULTS: &str = include_str!("../chassis.toml");

/// What every service can be told.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Settings {
    /// The admin port.
    pub admin: AdminSettings,
    /// Logs on standard error.
    pub log: LogSettings,
    /// Export of spans.
    pub otlp: OtlpSettings,
    /// The drain.
    pub shutdown: ShutdownSettings,
}

/// The admin port.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// Where it listens; port 0 takes a free port.
    pub listen: SocketAddr,
    /// File that gets a line `NAME ADDRESS` for each bound address; empty for none.
    pub address_file: String,
}

/// Logs on standard error.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// The shape of a line.
    pub format: LogFormat,
    /// Directives of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Export of spans.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpSettings {
    /// Base URL of a collector; empty for none.
    pub endpoint: String,
    /// Share of the traces begun here that are exported.
    pub sample_ratio: f64,
}

/// The drain.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ShutdownSettings {
    /// Seconds in which the work in hand may end.
    pub limit_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        toml::from_str(DEFAULTS).expect("the embedded defaults are valid")
    }
}

/// The settings of one service, which hold those of the chassis.
pub trait ServiceSettings: DeserializeOwned + Serialize + Send {
    /// The part that every service has.
    fn chassis(&self) -> &Settings;
}

impl ServiceSettings for Settings {
    fn chassis(&self) -> &Settings {
        self
    }
}

/// Reads the settings of `service`: the chassis' and the service's defaults < `file` < those
/// variables of `environment` that begin with the service's name (`RSCLIENT__`).
///
/// # Errors
/// One sentence that names the key and where it stands, and never its value.
pub fn load<S: DeserializeOwned + Serialize>(
    service: &str,
    defaults: &str,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<S> {
    let prefix = format!("{}__", service.to_uppercase().replace('-', "_"));
    let environment: BTreeMap<String, String> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_owned(), value)))
        .collect();
    let tree = layers::merge(&prefix, &[DEFAULTS, defaults], file, &environment)?;
    // A flattened part loses the place of its errors: look at it by itself first.
    layers::check::<Settings>(&tree, &["admin", "log", "otlp", "shutdown"])?;
    layers::read(tree)
}

/// The settings as TOML, with every secret redacted.
///
/// # Errors
/// When they have no form in TOML.
pub fn show<S: Serialize>(settings: &S) -> anyhow::Result<String> {
    Ok(toml::to_string(settings)?)
}
