//! The collection `rollouts`.

use std::time::Duration;

use chassis::mongo::is_duplicate_key;
use events::{IspId, JobId};
use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{DateTime, Document, doc, serialize_to_document},
    options::IndexOptions,
};
use serde::Deserialize;

use super::{StoreError, expiry, index, sparse};
use crate::domain::Rollout;

/// Most rollouts of an ISP that are open and looked at together.
const OPEN_MAX: i64 = 1_000;

/// A cheap handle to the rollouts.
#[derive(Clone)]
pub struct Rollouts {
    documents: Collection<Rollout>,
    life: Duration,
}

impl Rollouts {
    pub(super) async fn open(database: &Database, life: Duration) -> Result<Self, StoreError> {
        let documents = database.collection("rollouts");
        let open = doc! { "open": true };
        let one = IndexOptions::builder().unique(true).partial_filter_expression(open).build();
        // Two groups of one model may have routers in common.
        let model = doc! { "isp_id": 1, "group.model": 1 };
        let indexes = [
            IndexModel::builder().keys(model).options(one).build(),
            index(doc! { "isp_id": 1, "_id": -1 }),
            sparse(doc! { "wake_at": 1 }),
            expiry(),
        ];
        documents.create_indexes(indexes).await?;
        Ok(Self { documents, life })
    }

    /// Keeps a new rollout, unless another one of its model is open. Answers whether it did.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn insert(&self, rollout: &Rollout) -> Result<bool, StoreError> {
        match self.documents.insert_one(rollout).await {
            Ok(_) => Ok(true),
            Err(err) if is_duplicate_key(&err) => Ok(false),
            Err(err) => Err(err.into()),
        }
    }

    /// A rollout.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, id: &JobId) -> Result<Option<Rollout>, StoreError> {
        Ok(self.documents.find_one(doc! { "_id": id.as_str() }).await?)
    }

    /// Rollouts of an ISP, or of all of them, that began before `before`; the newest first, at most `limit`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn page(
        &self,
        isp_id: Option<&IspId>,
        before: Option<&JobId>,
        limit: usize,
    ) -> Result<Vec<Rollout>, StoreError> {
        let mut filter = Document::new();
        if let Some(isp_id) = isp_id {
            filter.insert("isp_id", isp_id.as_str());
        }
        if let Some(before) = before {
            filter.insert("_id", doc! { "$lt": before.as_str() });
        }
        let found = self.documents.find(filter).sort(doc! { "_id": -1 });
        let found = found.limit(i64::try_from(limit).unwrap_or(i64::MAX)).await?;
        Ok(found.try_collect().await?)
    }

    /// The rollouts of an ISP that are not over.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn open_of(&self, isp_id: &IspId) -> Result<Vec<Rollout>, StoreError> {
        let open = doc! { "isp_id": isp_id.as_str(), "open": true };
        Ok(self.documents.find(open).limit(OPEN_MAX).await?.try_collect().await?)
    }

    /// Those that somebody must look at by now.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn due(&self, now_ms: i64, limit: i64) -> Result<Vec<JobId>, StoreError> {
        #[derive(Deserialize)]
        struct Id {
            #[serde(rename = "_id")]
            id: JobId,
        }
        let ids = self.documents.clone_with_type::<Id>();
        let due = ids.find(doc! { "wake_at": { "$lte": now_ms } }).sort(doc! { "wake_at": 1 });
        let due = due.projection(doc! { "_id": 1 }).limit(limit).await?;
        Ok(due.map_ok(|it| it.id).try_collect().await?)
    }

    /// Keeps a rollout where nobody has written it since it was read. Answers whether it did.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn write(&self, rollout: &mut Rollout) -> Result<bool, StoreError> {
        let read = doc! { "_id": rollout.id.as_str(), "fence": rollout.fence };
        let mut next =
            serialize_to_document(&Rollout { fence: rollout.fence + 1, ..rollout.clone() })
                .map_err(mongodb::error::Error::from)?;
        if rollout.wake_at.is_none() {
            next.remove("wake_at");
        }
        if let Some(ended_at) = rollout.ended_at {
            let life_ms = i64::try_from(self.life.as_millis()).unwrap_or(i64::MAX);
            next.insert("expire_at", DateTime::from_millis(ended_at.0.saturating_add(life_ms)));
        }
        let documents = self.documents.clone_with_type::<Document>();
        let written = documents.replace_one(read, next).await?.matched_count == 1;
        if written {
            rollout.fence += 1;
        }
        Ok(written)
    }
}
