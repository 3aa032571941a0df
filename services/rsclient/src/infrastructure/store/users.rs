//! The collection `users`.

use std::time::Duration;

use events::{DeletedUser, UserId};
use futures_util::TryStreamExt;
use mongodb::{Collection, Database, bson::doc};

use super::{StoreError, Written, expiry, forgotten_after, index, not_newer_than, to_bson, write};
use crate::domain::{User, UserState};

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

    /// The users of these ids that are known.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, ids: &[&UserId]) -> Result<Vec<User>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(|it| it.as_str()).collect();
        Ok(self.documents.find(doc! { "_id": { "$in": ids } }).await?.try_collect().await?)
    }
}
