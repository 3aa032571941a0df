//! The collections `agent_packages`, `agent_lists` and `default_agents`.
//!
//! Every write is one conditional write of one document. Who changes the document of an ISP has read its last state.

mod of_isp;
mod packages;

use std::time::Duration;

use mongodb::{Database, bson::Bson};
use serde::Serialize;

pub use of_isp::{AgentLists, DefaultAgents};
pub use packages::{Created, Packages, Page};

/// The name of the collection of packages.
pub const PACKAGES: &str = "agent_packages";
/// The name of the collection of what routers may be pointed at.
pub const LISTS: &str = "agent_lists";
/// The name of the collection of what models run by default.
pub const DEFAULTS: &str = "default_agents";

/// How often a write is tried that others overtake.
pub(crate) const ATTEMPTS_MAX: usize = 16;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or not well.
    #[error("the store failed")]
    Mongo(#[from] mongodb::error::Error),
    /// Others were faster each time.
    #[error("`{id}` is written by too many at a time")]
    Contended {
        /// The document.
        id: String,
    },
}

/// Cheap handles to all that is known.
#[derive(Clone, Debug)]
pub struct Store {
    /// The packages.
    pub packages: Packages,
    /// What routers may be pointed at.
    pub lists: AgentLists,
    /// What models run by default.
    pub defaults: DefaultAgents,
}

impl Store {
    /// Makes the indexes that the queries rely on. Tombstones are kept for `tombstone_life`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn open(database: &Database, tombstone_life: Duration) -> Result<Self, StoreError> {
        let packages = Packages::open(database, tombstone_life).await?;
        let (lists, defaults) = (AgentLists::open(database), DefaultAgents::open(database));
        Ok(Self { packages, lists, defaults })
    }
}

fn to_bson(value: &impl Serialize) -> Result<Bson, StoreError> {
    Ok(mongodb::bson::serialize_to_bson(value).map_err(mongodb::error::Error::from)?)
}
