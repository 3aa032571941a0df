//! The collections `devices` and `accounts`: whose a device is, as provisioning says, and what is left of it.
//!
//! Every write is conditional: it takes effect where what is held is not newer. Those of one provision are one command.
//! An upsert whose condition fails on an existing document collides with its `_id`; what is held then tells why.

mod writes;

use std::time::Duration;

use chassis::mongo::UpsertError;
use events::{AccountId, DeletedAccount, DeletedDevice, IspId, Revision};
use futures_util::TryStreamExt as _;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{Bson, DateTime, Document, doc},
    options::IndexOptions,
};

use crate::domain::{Account, Device};
use writes::{Write, write};

const DEVICES: &str = "devices";
const ACCOUNTS: &str = "accounts";
/// An account's tombstone outlives what is left of its devices by a day, however late they come: without it they would
/// come back with the account.
const LONGER: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It took effect, now or at an earlier attempt with the same revision.
    Yes,
    /// Something newer is held.
    Superseded,
    /// It is about something of another ISP.
    Foreign(String),
}

/// Why the store did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The server did not answer, or not well.
    #[error("the store did not answer")]
    Mongo(#[from] mongodb::error::Error),
    /// The server refused a part of a command.
    #[error("the store refused a write: {0}")]
    Refused(String),
    /// Others wrote the document again and again.
    #[error("`{0}` is written by too many at a time")]
    Contended(String),
}

impl From<UpsertError> for StoreError {
    fn from(error: UpsertError) -> Self {
        match error {
            UpsertError::Mongo(error) => Self::Mongo(error),
            UpsertError::Refused(why) => Self::Refused(why),
        }
    }
}

/// A cheap handle to what is stored.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    devices: Collection<Device>,
    accounts: Collection<Account>,
    tombstone_life: Duration,
}

impl Store {
    /// Makes the indexes that the queries rely on. Tombstones are kept for `tombstone_life`.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn open(database: &Database, tombstone_life: Duration) -> Result<Self, StoreError> {
        let devices = database.collection(DEVICES);
        let of_account = IndexModel::builder().keys(doc! { "account_id": 1 }).build();
        devices.create_indexes([of_account, expiry()]).await?;
        let accounts = database.collection(ACCOUNTS);
        accounts.create_indexes([expiry()]).await?;
        Ok(Self { database: database.clone(), devices, accounts, tombstone_life })
    }

    /// The devices of these ids that are known.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn devices(&self, ids: &[&str]) -> Result<Vec<Device>, StoreError> {
        Ok(these(&self.devices, ids).await?)
    }

    /// The accounts of these ids that are known.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn accounts(&self, ids: &[&str]) -> Result<Vec<Account>, StoreError> {
        Ok(these(&self.accounts, ids).await?)
    }

    /// Writes whose these devices are, each unless something newer is held. Answers for each of them.
    ///
    /// # Errors
    /// The server did not answer, or refused one of them.
    pub async fn save_devices(&self, said: &[events::Device]) -> Result<Vec<Written>, StoreError> {
        let writes = said.iter().map(|it| Write {
            id: it.device_id.as_str(),
            isp_id: it.isp_id.as_str(),
            guard: not_newer_than(it.revision),
            update: Bson::Document(doc! {
                "$set": {
                    "account_id": it.account_id.as_str(),
                    "revision": it.revision.as_i64(),
                    "deleted": false,
                },
                "$unset": { "expire_at": "" },
            }),
        });
        write(&self.database, DEVICES, writes.collect()).await
    }

    /// Ends a device, unless something newer is held.
    ///
    /// # Errors
    /// The server did not answer, or refused.
    pub async fn remove_device(&self, said: &DeletedDevice) -> Result<Written, StoreError> {
        let revision = said.revision.as_i64();
        let one = Write {
            id: said.device_id.as_str(),
            isp_id: said.isp_id.as_str(),
            guard: doc! { "revision": { "$lte": revision } },
            update: Bson::Document(doc! {
                "$set": {
                    "revision": revision,
                    "deleted": true,
                    "expire_at": forgotten_after(self.tombstone_life),
                },
                "$setOnInsert": { "account_id": said.account_id.as_str() },
            }),
        };
        self.write_one(DEVICES, one).await
    }

    /// Writes that there is an account, unless something newer is held.
    ///
    /// # Errors
    /// The server did not answer, or refused.
    pub async fn save_account(&self, said: &events::Account) -> Result<Written, StoreError> {
        let one = Write {
            id: said.account_id.as_str(),
            isp_id: said.isp_id.as_str(),
            guard: not_newer_than(said.revision),
            update: Bson::Document(doc! {
                "$set": { "revision": said.revision.as_i64(), "deleted": false },
                "$setOnInsert": { "ended_at": 0_i64 },
                "$unset": { "expire_at": "" },
            }),
        };
        self.write_one(ACCOUNTS, one).await
    }

    /// Ends an account. A deletion that is itself superseded still ends what is older: `ended_at` only grows.
    ///
    /// # Errors
    /// The server did not answer, or refused.
    pub async fn remove_account(&self, said: &DeletedAccount) -> Result<Written, StoreError> {
        let revision = said.revision.as_i64();
        let wins = doc! { "$gte": [revision, { "$ifNull": ["$revision", 0_i64] }] };
        let forgotten = forgotten_after(self.tombstone_life.saturating_add(LONGER));
        let one = Write {
            id: said.account_id.as_str(),
            isp_id: said.isp_id.as_str(),
            guard: Document::new(),
            update: Bson::Array(vec![Bson::Document(doc! { "$set": {
                "ended_at": { "$max": ["$ended_at", revision] },
                "revision": { "$max": ["$revision", revision] },
                "deleted": { "$cond": [wins.clone(), true, "$deleted"] },
                "expire_at": { "$cond":
                    [wins, forgotten, { "$ifNull": ["$expire_at", "$$REMOVE"] }] },
            } })]),
        };
        self.write_one(ACCOUNTS, one).await
    }

    /// Gives an end to what is left of the devices that ended with their account, if it ever ended.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn mark_ended(&self, account_id: &AccountId) -> Result<(), StoreError> {
        let Some(account) = self.accounts(&[account_id.as_str()]).await?.pop() else {
            return Ok(());
        };
        if account.ended_at == Revision::default() {
            return Ok(());
        }
        let ended = doc! {
            "account_id": account_id.as_str(),
            "isp_id": IspId::as_str(&account.isp_id),
            "revision": { "$lt": account.ended_at.as_i64() },
            "expire_at": { "$exists": false },
        };
        let end = doc! { "$set": { "expire_at": forgotten_after(self.tombstone_life) } };
        self.devices.update_many(ended, end).await?;
        Ok(())
    }

    async fn write_one(&self, collection: &str, one: Write<'_>) -> Result<Written, StoreError> {
        let mut written = write(&self.database, collection, vec![one]).await?;
        Ok(written.pop().expect("there is an answer for each"))
    }
}

/// What may be overwritten by a state: anything older, and the same state again, but no deletion.
fn not_newer_than(revision: Revision) -> Document {
    let revision = revision.as_i64();
    doc! { "$or": [
        { "revision": { "$lt": revision } },
        { "revision": revision, "deleted": false },
    ] }
}

/// The documents of these ids that there are, in one answer.
async fn these<T>(documents: &Collection<T>, ids: &[&str]) -> mongodb::error::Result<Vec<T>>
where
    T: serde::de::DeserializeOwned + Send + Sync,
{
    let all = u32::try_from(ids.len() + 1).unwrap_or(u32::MAX);
    let found = documents.find(doc! { "_id": { "$in": ids } }).batch_size(all).await?;
    found.try_collect().await
}

/// The moment after which a tombstone written now is forgotten.
fn forgotten_after(life: Duration) -> DateTime {
    let life_ms = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_millis(DateTime::now().timestamp_millis().saturating_add(life_ms))
}

/// Documents with a moment in `expire_at` go away at that moment.
fn expiry() -> IndexModel {
    let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
    IndexModel::builder().keys(doc! { "expire_at": 1 }).options(options).build()
}
