//! The collection `users`.

use std::time::Duration;

use events::{DeletedUser, UserId};
use mongodb::{
    Collection, Database,
    bson::{DateTime, doc},
};

use super::{
    StoreError, Written, expiry, forgotten_after, index, not_newer_than, these, to_bson, write,
};
use crate::domain::{Account, User, UserState};

/// A cheap handle to the users.
#[derive(Clone)]
pub struct Users {
    documents: Collection<User>,
    tombstone_life: Duration,
}

impl Users {
    pub(super) async fn open(database: &Database, life: Duration) -> Result<Self, StoreError> {
        let documents = database.collection("users");
        documents.create_indexes([index(doc! { "account_id": 1 }), expiry()]).await?;
        Ok(Self { documents, tombstone_life: life })
    }

    /// Writes what a user says, unless something newer is held.
    ///
    /// # Errors
    /// The store does not answer, or the user is another ISP's.
    pub async fn save(&self, said: &events::User) -> Result<Written, StoreError> {
        let update = doc! {
            "$set": {
                "account_id": said.account_id.as_str(),
                "revision": said.revision.as_i64(),
                "deleted": false,
                "state": to_bson(&UserState::from(said))?,
            },
            "$unset": { "expire_at": "" },
        };
        let guard = not_newer_than(said.revision);
        write(&self.documents, said.user_id.as_str(), &said.isp_id, guard, update).await
    }

    /// Ends a user, unless something newer is held.
    ///
    /// # Errors
    /// The store does not answer, or the user is another ISP's.
    pub async fn remove(&self, said: &DeletedUser) -> Result<Written, StoreError> {
        let revision = said.revision.as_i64();
        let update = doc! {
            "$set": {
                "revision": revision,
                "deleted": true,
                "expire_at": forgotten_after(self.tombstone_life),
            },
            "$setOnInsert": { "account_id": said.account_id.as_str() },
        };
        let guard = doc! { "revision": { "$lte": revision } };
        write(&self.documents, said.user_id.as_str(), &said.isp_id, guard, update).await
    }

    /// What ended with an account is forgotten at `end`, or when its life is over.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn mark_ended(
        &self,
        account: &Account,
        end: Option<DateTime>,
    ) -> Result<(), StoreError> {
        let ended = doc! {
            "account_id": account.id.as_str(),
            "isp_id": account.isp_id.as_str(),
            "revision": { "$lt": account.ended_at.as_i64() },
            "expire_at": { "$exists": false },
        };
        let end = end.unwrap_or_else(|| forgotten_after(self.tombstone_life));
        self.documents.update_many(ended, doc! { "$set": { "expire_at": end } }).await?;
        Ok(())
    }

    /// The users of these ids that are known.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, ids: &[&UserId]) -> Result<Vec<User>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(|it| it.as_str()).collect();
        these(&self.documents, &ids).await
    }
}
