//! The collection `applied`: what the backend holds of each device.

use std::time::Duration;

use chassis::mongo::is_duplicate_key;
use events::{DeviceId, DeviceKind, IspId, Revision};
use mongodb::{
    Collection, Database, IndexModel,
    bson::{DateTime, Document, doc},
    options::IndexOptions,
};
use serde::{Deserialize, Serialize};

use crate::domain;

/// How often a write is tried again that lost the race for the first insert.
const RACES_MAX: usize = 5;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or not as expected.
    #[error("the store of what is applied did not answer")]
    Mongo(#[from] mongodb::error::Error),
    /// A document that this service did not write.
    #[error("the document of `{0}` is malformed")]
    Malformed(DeviceId),
}

/// What became of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is durable.
    Written,
    /// Somebody else has written something newer meanwhile.
    Overtaken,
}

/// A cheap handle to what is applied.
#[derive(Clone, Debug)]
pub struct AppliedDevices {
    rows: Collection<Row>,
    tombstone_life: Duration,
}

/// A document of the collection.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    #[serde(rename = "_id")]
    id: DeviceId,
    isp_id: IspId,
    kind: DeviceKind,
    revision: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<domain::Hash>,
    tombstone: bool,
}

impl AppliedDevices {
    /// Makes the index that ends tombstones.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn open(database: &Database, tombstone_life: Duration) -> Result<Self, StoreError> {
        let rows = database.collection("applied");
        let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
        let by_end = IndexModel::builder().keys(doc! { "expire_at": 1 }).options(options).build();
        rows.create_index(by_end).await?;
        Ok(Self { rows, tombstone_life })
    }

    /// What is applied of a device.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find(&self, id: &DeviceId) -> Result<Option<domain::Applied>, StoreError> {
        let Some(row) = self.rows.find_one(doc! { "_id": id.as_str() }).await? else {
            return Ok(None);
        };
        let revision = u64::try_from(row.revision).ok().and_then(|it| Revision::try_from(it).ok());
        let revision = revision.ok_or_else(|| StoreError::Malformed(id.clone()))?;
        let Row { isp_id, kind, hash, tombstone, .. } = row;
        Ok(Some(domain::Applied { isp_id, kind, revision, hash, tombstone }))
    }

    /// Records what is applied now, unless something newer is recorded. Returns when it is durable.
    ///
    /// # Errors
    /// The database does not answer; whether it has written is then unknown.
    pub async fn record(
        &self,
        id: &DeviceId,
        applied: &domain::Applied,
    ) -> Result<Recorded, StoreError> {
        let update = self.update(applied);
        for _ in 0..RACES_MAX {
            let write = self.rows.update_one(not_newer(id, applied), update.clone());
            match write.upsert(true).await {
                Ok(_) => return Ok(Recorded::Written),
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
            // Not matched, and there when it was inserted: newer, or the first insert of somebody else.
            let newer = self.rows.count_documents(newer(id, applied)).await?;
            if newer > 0 {
                return Ok(Recorded::Overtaken);
            }
        }
        Ok(Recorded::Overtaken)
    }

    /// Takes back what is said of the backend's content: from now on it is unknown. Where nothing was said yet,
    /// that is noted too, under revision 0 and with an end: a call without a known end may have left something.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn forget_hash(
        &self,
        id: &DeviceId,
        isp_id: &IspId,
        kind: DeviceKind,
    ) -> Result<(), StoreError> {
        let new = doc! {
            "isp_id": isp_id.as_str(),
            "kind": kind_name(kind),
            "revision": 0_i64,
            "tombstone": false,
            "expire_at": self.end_of_tombstone(),
        };
        let update = doc! { "$unset": { "hash": "" }, "$setOnInsert": new };
        let row = doc! { "_id": id.as_str() };
        match self.rows.update_one(row.clone(), update.clone()).upsert(true).await {
            // Somebody else has inserted it meanwhile: now it is there.
            Err(error) if is_duplicate_key(&error) => {
                self.rows.update_one(row, update).await?;
            }
            written => {
                written?;
            }
        }
        Ok(())
    }

    fn update(&self, applied: &domain::Applied) -> Document {
        let mut set = doc! {
            "isp_id": applied.isp_id.as_str(),
            "kind": kind_name(applied.kind),
            "revision": applied.revision.as_i64(),
            "tombstone": applied.tombstone,
        };
        let mut unset = Document::new();
        match &applied.hash {
            Some(hash) => set.insert("hash", hash.as_str()),
            None => unset.insert("hash", ""),
        };
        match applied.tombstone {
            true => set.insert("expire_at", self.end_of_tombstone()),
            false => unset.insert("expire_at", ""),
        };
        let mut update = doc! { "$set": set };
        if !unset.is_empty() {
            update.insert("$unset", unset);
        }
        update
    }

    fn end_of_tombstone(&self) -> DateTime {
        let life = i64::try_from(self.tombstone_life.as_millis()).unwrap_or(i64::MAX);
        DateTime::from_millis(DateTime::now().timestamp_millis().saturating_add(life))
    }
}

/// What a write may replace: a deletion replaces its equals, all else gives way to an equal deletion.
fn not_newer(id: &DeviceId, applied: &domain::Applied) -> Document {
    let revision = applied.revision.as_i64();
    if applied.tombstone {
        return doc! { "_id": id.as_str(), "revision": { "$lte": revision } };
    }
    let older = doc! { "revision": { "$lt": revision } };
    let equal = doc! { "revision": revision, "tombstone": false };
    doc! { "_id": id.as_str(), "$or": [older, equal] }
}

fn newer(id: &DeviceId, applied: &domain::Applied) -> Document {
    let revision = applied.revision.as_i64();
    let newer = doc! { "revision": { "$gt": revision } };
    if applied.tombstone {
        return doc! { "_id": id.as_str(), "$or": [newer] };
    }
    let deleted = doc! { "revision": revision, "tombstone": true };
    doc! { "_id": id.as_str(), "$or": [newer, deleted] }
}

fn kind_name(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Router => "router",
        DeviceKind::Device => "device",
    }
}
