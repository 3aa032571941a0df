//! Accounts, users, devices and configurations at rest.
//!
//! Every write is one conditional write of one document: it takes effect where what is held is not newer. An
//! upsert whose condition fails on an existing document collides with its `_id`; what is held then tells why.

mod accounts;
mod agents;
mod configurations;
mod devices;
mod notes;
mod of_isp;
mod reports;
mod rollouts;
mod shares;
mod system;
mod users;

use std::time::Duration;

pub use accounts::Accounts;
pub use agents::{AgentLists, Associated, Packages};
pub use configurations::Configurations;
pub use devices::{Devices, DevicesOf, Found};
pub use of_isp::OfIsp;
pub use reports::{Report, Reports};
pub use rollouts::Rollouts;
pub use system::{ROUTER_PROTECTION, SYSTEM_CONFIGURATION};
pub use users::Users;

use chassis::mongo::is_duplicate_key;
use events::{AccountId, IspId, Revision};
use futures_util::{TryStreamExt, future::try_join_all};
use mongodb::{
    Collection, Database, IndexModel,
    bson::{Bson, DateTime, Document, doc, serialize_to_bson},
    options::{IndexOptions, UpdateModifications},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::domain::{Device, RouterProtection, SystemConfiguration};

/// How often a write is tried that collides with others.
const ATTEMPTS_MAX: u32 = 10;

/// Whether a write took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It did, now or at an earlier attempt with the same revision.
    Yes,
    /// Something newer is held.
    Superseded,
}

/// Why a document could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server did not answer, or not well.
    #[error("the store did not answer")]
    Mongo(#[from] mongodb::error::Error),
    /// The entity belongs to another ISP.
    #[error("`{id}` belongs to another ISP")]
    TenantMismatch {
        /// The entity.
        id: String,
    },
    /// Others wrote the document again and again.
    #[error("`{id}` is written by too many at a time")]
    Contended {
        /// The entity.
        id: String,
    },
}

/// A cheap handle to everything that is stored.
#[derive(Clone)]
pub struct Store {
    /// Households.
    pub accounts: Accounts,
    /// People.
    pub users: Users,
    /// Devices.
    pub devices: Devices,
    /// What ISPs say for all of their accounts.
    pub configurations: Configurations,
    /// What rsagents says of ISPs.
    pub agents: AgentLists,
    /// Agent packages, each with who is to run it.
    pub packages: Packages,
    /// What routers have reported of the packages that they tried to install.
    pub reports: Reports,
    /// Rollouts, open and over.
    pub rollouts: Rollouts,
    /// How ISPs protect their routers.
    pub router_protections: OfIsp<RouterProtection>,
    /// What else ISPs set for all of their homes.
    pub system_configurations: OfIsp<SystemConfiguration>,
}

impl Store {
    /// Makes the indexes that the queries rely on. Tombstones are kept for `tombstone_life`, rollouts that are over for
    /// `rollout_life`.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn open(
        database: &Database,
        tombstone_life: Duration,
        rollout_life: Duration,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            accounts: Accounts::open(database, tombstone_life).await?,
            users: Users::open(database, tombstone_life).await?,
            devices: Devices::open(database, tombstone_life).await?,
            configurations: Configurations::open(database),
            agents: AgentLists::open(database),
            packages: Packages::open(database, tombstone_life).await?,
            reports: Reports::open(database).await?,
            rollouts: Rollouts::open(database, rollout_life).await?,
            router_protections: OfIsp::open(database, ROUTER_PROTECTION),
            system_configurations: OfIsp::open(database, SYSTEM_CONFIGURATION),
        })
    }

    /// Gives the users an end that ended with this account, if it ever ended.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn mark_ended_users(&self, account_id: &AccountId) -> Result<(), StoreError> {
        let Some(account) = self.accounts.find(&[account_id]).await?.pop() else { return Ok(()) };
        if account.ended_at == Revision::default() {
            return Ok(());
        }
        let end = self.accounts.ends(&[account_id]).await?.remove(account_id);
        self.users.mark_ended(&account, end).await
    }

    /// Gives these devices an end, all of which ended with their accounts.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn mark_ended_devices(&self, ended: &[&Device]) -> Result<(), StoreError> {
        if ended.is_empty() {
            return Ok(());
        }
        let accounts: Vec<&AccountId> = ended.iter().map(|it| &it.account_id).collect();
        let ends = self.accounts.ends(&accounts).await?;
        let marks = ended.iter().map(|it| self.devices.mark_ended(it, ends.get(&it.account_id)));
        try_join_all(marks).await?;
        Ok(())
    }
}

/// Writes `update` where what is held of `id` matches `guard`, or nothing is held.
async fn write<T: Send + Sync>(
    documents: &Collection<T>,
    id: &str,
    isp_id: &IspId,
    guard: Document,
    update: impl Into<UpdateModifications>,
) -> Result<Written, StoreError> {
    let update = update.into();
    let mut expected = doc! { "_id": id, "isp_id": isp_id.as_str() };
    expected.extend(guard);
    for _ in 0..ATTEMPTS_MAX {
        match documents.update_one(expected.clone(), update.clone()).upsert(true).await {
            Ok(_) => return Ok(Written::Yes),
            Err(err) if is_duplicate_key(&err) => (),
            Err(err) => return Err(err.into()),
        }
        // Either it was inserted this very moment, then it matches now, or what is held is in the way.
        let plain = documents.clone_with_type::<Document>();
        if plain.find_one(expected.clone()).await?.is_some() {
            continue;
        }
        match plain.find_one(doc! { "_id": id }).await? {
            None => (),
            Some(held) if held.get_str("isp_id").is_ok_and(|it| it == isp_id.as_str()) => {
                return Ok(Written::Superseded);
            }
            Some(_) => return Err(StoreError::TenantMismatch { id: id.to_owned() }),
        }
    }
    Err(StoreError::Contended { id: id.to_owned() })
}

/// What may be overwritten by a state: anything older, and the same state again, but no deletion.
fn not_newer_than(revision: Revision) -> Document {
    let revision = revision.as_i64();
    doc! { "$or": [
        { "revision": { "$lt": revision } },
        { "revision": revision, "deleted": false },
    ] }
}

/// The documents of these ids that there are, in the order of their ids, in one answer.
async fn these<T: DeserializeOwned + Send + Sync>(
    documents: &Collection<T>,
    ids: &[&str],
) -> Result<Vec<T>, StoreError> {
    let all = u32::try_from(ids.len() + 1).unwrap_or(u32::MAX);
    let found = documents.find(doc! { "_id": { "$in": ids } }).sort(doc! { "_id": 1 });
    Ok(found.batch_size(all).await?.try_collect().await?)
}

fn to_bson(state: &impl Serialize) -> Result<Bson, StoreError> {
    Ok(serialize_to_bson(state).map_err(mongodb::error::Error::from)?)
}

/// The moment after which a tombstone written now is forgotten.
fn forgotten_after(life: Duration) -> DateTime {
    let life_ms = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_millis(DateTime::now().timestamp_millis().saturating_add(life_ms))
}

fn index(keys: Document) -> IndexModel {
    IndexModel::builder().keys(keys).build()
}

/// Only documents that have the member are in it.
fn sparse(keys: Document) -> IndexModel {
    let options = IndexOptions::builder().sparse(true).build();
    IndexModel::builder().keys(keys).options(options).build()
}

/// Documents with a moment in `expire_at` go away at that moment.
fn expiry() -> IndexModel {
    let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
    IndexModel::builder().keys(doc! { "expire_at": 1 }).options(options).build()
}
