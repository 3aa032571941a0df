//! What every `main` of the fleet does: settings, telemetry, the admin port, signals, the drain.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`process`] | the life of a process, from its command line to its exit code |
//! | [`settings`] | layers of settings: defaults, file, environment |
//! | [`health`] | probes behind `/readyz` and `/healthz` |
//! | [`actions`] | what an operator may have a running service do |
//! | [`admin`] | the admin port |
//! | [`telemetry`] | logs, spans, metrics |
//! | [`http`] | serving HTTP with limits on everything |
//! | [`rest`] | the REST API of a service |
//! | [`tls`] | mutual TLS for servers |
//! | [`mongo`] | the connection to MongoDB |
//!
//! A service embeds [`Settings`] in its own settings and says where it is:
//!
//! ```ignore
//! #[derive(Deserialize, Serialize)]
//! #[serde(deny_unknown_fields)]
//! pub struct Settings {
//!     #[serde(flatten)]
//!     pub chassis: chassis::Settings,
//!     pub mongo: chassis::mongo::MongoSettings,
//! }
//! ```

pub mod actions;
pub mod admin;
mod command_line;
mod defaults;
pub mod health;
pub mod http;
mod layers;
pub mod mongo;
pub mod process;
pub mod rest;
mod secret;
pub mod settings;
pub mod telemetry;
pub mod tls;

pub use actions::Actions;
pub use health::{Health, Probe};
pub use process::{Chassis, main};
pub use secret::Secret;
pub use settings::{ServiceSettings, Settings};
pub use tokio_util::sync::CancellationToken;

/// Records are allocated on one thread and freed on another, by the hundred thousand a second: glibc's allocator spends
/// more time on that than the bus on everything else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
