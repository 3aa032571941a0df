//! The collection `accounts`.

use std::{collections::HashMap, time::Duration};

use events::{AccountId, DeletedAccount};
use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database,
    bson::{DateTime, doc},
};
use serde::Deserialize;

use super::{StoreError, Written, expiry, forgotten_after, not_newer_than, these, to_bson, write};
use crate::domain::{Account, AccountState};

/// An account's tombstone outlives what is left of its users and devices by a day, however late they come: without
/// it they would come back with the account. [`Accounts::ends`] is what keeps them within it.
const LONGER: Duration = Duration::from_secs(24 * 60 * 60);

/// A cheap handle to the accounts.
#[derive(Clone)]
pub struct Accounts {
    documents: Collection<Account>,
    tombstone_life: Duration,
}

impl Accounts {
    pub(super) async fn open(database: &Database, life: Duration) -> Result<Self, StoreError> {
        let documents = database.collection("accounts");
        documents.create_indexes([expiry()]).await?;
        Ok(Self { documents, tombstone_life: life + LONGER })
    }

    /// Writes what an account says, unless something newer is held.
    ///
    /// # Errors
    /// The store does not answer, or the account is another ISP's.
    pub async fn save(&self, said: &events::Account) -> Result<Written, StoreError> {
        let state = to_bson(&AccountState::from(said))?;
        let update = doc! {
            "$set": { "revision": said.revision.as_i64(), "deleted": false, "state": state },
            "$setOnInsert": { "ended_at": 0_i64 },
            "$unset": { "expire_at": "" },
        };
        let guard = not_newer_than(said.revision);
        write(&self.documents, said.account_id.as_str(), &said.isp_id, guard, update).await
    }

    /// Ends an account. A deletion that is itself superseded still raises `ended_at`: it ends what is older.
    ///
    /// # Errors
    /// The store does not answer, or the account is another ISP's.
    pub async fn remove(&self, said: &DeletedAccount) -> Result<(), StoreError> {
        let revision = said.revision.as_i64();
        let wins = doc! { "$gte": [revision, { "$ifNull": ["$revision", 0_i64] }] };
        let forgotten = forgotten_after(self.tombstone_life);
        let update = vec![doc! { "$set": {
            "ended_at": { "$max": ["$ended_at", revision] },
            "revision": { "$max": ["$revision", revision] },
            "deleted": { "$cond": [wins.clone(), true, "$deleted"] },
            "expire_at": { "$cond": [wins, forgotten, { "$ifNull": ["$expire_at", "$$REMOVE"] }] },
        } }];
        write(&self.documents, said.account_id.as_str(), &said.isp_id, doc! {}, update).await?;
        Ok(())
    }

    /// Until when what ended with these accounts may be remembered: a day less than the tombstones of the accounts.
    /// An account without a tombstone says nothing.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn ends(
        &self,
        ids: &[&AccountId],
    ) -> Result<HashMap<AccountId, DateTime>, StoreError> {
        #[derive(Deserialize)]
        struct Tombstone {
            #[serde(rename = "_id")]
            id: AccountId,
            expire_at: DateTime,
        }
        let ids: Vec<&str> = ids.iter().map(|it| it.as_str()).collect();
        let tombstones = self.documents.clone_with_type::<Tombstone>();
        let these = doc! { "_id": { "$in": ids }, "expire_at": { "$exists": true } };
        let found: Vec<Tombstone> = tombstones.find(these).await?.try_collect().await?;
        let longer = i64::try_from(LONGER.as_millis()).expect("a day is short");
        let end = |it: DateTime| DateTime::from_millis(it.timestamp_millis() - longer);
        Ok(found.into_iter().map(|it| (it.id, end(it.expire_at))).collect())
    }

    /// The accounts of these ids that are known.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, ids: &[&AccountId]) -> Result<Vec<Account>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(|it| it.as_str()).collect();
        these(&self.documents, &ids).await
    }
}
