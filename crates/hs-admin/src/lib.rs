//! The HS Admin API of the HomeSecure backend: its models, its REST client, and what its answers mean.
//!
//! - [`models`](DeviceConfiguration): what the backend holds, refused unless complete and known to the last member
//! - [`Resource`]: where it holds it
//! - [`Json`]: a model as it is sent, and its [`struct@Hash`]
//! - [`HsAdmin`]: the client
//! - [`Answer`]: the one table from HTTP answers to what happens with a record

mod answer;
mod batch;
mod client;
mod json;
mod kafka;
mod meters;
mod models;
mod resource;
mod rest;
mod settings;
mod strict;
mod tls;

pub use answer::{Answer, Call, ErrorReply, meaning, retry_after};
pub use batch::{BatchAnswer, BatchEntry};
pub use client::{HsAdmin, Status};
pub use json::{Hash, Json};
pub use kafka::{ACCOUNT_TOPIC, SYSTEM_TOPIC};
pub use models::{
    AgentPackage, AgentVersion, BatchItem, DeviceConfiguration, DeviceIdentity, FeatureFlags,
    Identifiers, RouterConfiguration, SystemAdvanced, SystemAgentDefault, SystemAgentVersions,
    SystemGeneral, SystemLanProtection, SystemRouterAllowedIP, SystemRouterDNS,
};
pub use resource::{Resource, ResourceKind, SystemDocument};
pub use settings::{Mode, Settings, TlsFiles};

/// The header that carries the revision of a write.
pub const REVISION_HEADER: &str = "x-revision";
/// Most devices that one `POST /devices` may carry.
pub const BATCH_ITEMS_MAX: usize = 500;
