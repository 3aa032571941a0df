//! The collection `applied`: what the backend holds of each resource.
//!
//! Records are handled one by one, but what they read and write at the same time goes to the database together:
//! `rows` makes one query and one command of it, with a result for each.

mod rows;

use std::time::Duration;

use chassis::mongo::{Upsert, UpsertError, Upserted};
use eventbus::Lane;
use events::{IspId, Revision};
use mongodb::{
    Database, IndexModel,
    bson::{DateTime, Document, doc},
    options::IndexOptions,
};

use crate::domain::{self, Kind};
use rows::Rows;

/// How often a write is tried again that lost the race for the first insert.
const RACES_MAX: usize = 5;

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or not as expected.
    #[error("the store of what is applied did not answer")]
    Mongo(#[from] mongodb::error::Error),
    /// The database has done nothing for this record, or not durably.
    #[error("the store of what is applied refused a write: {0}")]
    Refused(String),
    /// The call was broken off.
    #[error("the call of the store of what is applied broke off")]
    Lost,
    /// A document that this service did not write.
    #[error("the document of `{0}` is malformed")]
    Malformed(String),
}

impl From<UpsertError> for StoreError {
    fn from(error: UpsertError) -> Self {
        match error {
            UpsertError::Mongo(error) => Self::Mongo(error),
            UpsertError::Refused(why) => Self::Refused(why),
        }
    }
}

/// What became of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is durable.
    Written,
    /// Somebody else has written something newer meanwhile.
    Overtaken,
}

/// What is recorded of a resource, with times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// What is applied.
    pub applied: domain::Applied,
    /// When that was recorded last; rows of earlier versions do not say.
    pub at: Option<jiff::Timestamp>,
    /// The same for the flags of a router.
    pub flags_at: Option<jiff::Timestamp>,
}

/// How what is read and written at the same time is put together.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// How long a deletion is remembered.
    pub tombstone_life: Duration,
    /// How long a record of a sync waits for others to read or write together with; live ones do not.
    pub gather: Duration,
    /// Most rows of a query, and most writes of a command.
    pub gather_max: usize,
}

/// Which row, and how urgent what is asked of it is.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The row's id.
    pub key: &'a str,
    /// The lane of the record that asks.
    pub lane: Lane,
}

/// A cheap handle to what is applied.
#[derive(Clone, Debug)]
pub struct AppliedResources {
    rows: Rows,
    tombstone_life: Duration,
}

impl AppliedResources {
    /// Makes the index that ends tombstones.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn open(database: &Database, limits: StoreLimits) -> Result<Self, StoreError> {
        let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
        let by_end = IndexModel::builder().keys(doc! { "expire_at": 1 }).options(options).build();
        let collection = database.collection::<Document>(rows::COLLECTION);
        collection.create_index(by_end).await?;
        let rows = Rows::new(database, &limits);
        Ok(Self { rows, tombstone_life: limits.tombstone_life })
    }

    /// What is applied of a resource.
    ///
    /// # Errors
    /// The database does not answer, or the row cannot be read.
    pub async fn find(&self, at: At<'_>) -> Result<Option<domain::Applied>, StoreError> {
        self.rows.find(at).await
    }

    /// What is recorded of a resource, and when that was written last: for people.
    ///
    /// # Errors
    /// The database does not answer, or the row cannot be read.
    pub async fn describe(&self, key: &str) -> Result<Option<Described>, StoreError> {
        self.rows.describe(key).await
    }

    /// Records what is applied now, unless something newer is recorded. Returns when it is durable.
    ///
    /// # Errors
    /// The database does not answer; whether it has written is then unknown.
    pub async fn record(
        &self,
        at: At<'_>,
        applied: &domain::Applied,
    ) -> Result<Recorded, StoreError> {
        let (filter, update) = (not_newer(at.key, applied), self.update(applied));
        let newer = |row: &domain::Applied| {
            row.revision > applied.revision
                || (row.revision == applied.revision && row.tombstone && !applied.tombstone)
        };
        self.write(at, filter, update, newer).await
    }

    /// Records which flags of a router are applied now, unless newer ones are, or the router is gone.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub async fn record_flags(
        &self,
        at: At<'_>,
        isp_id: &IspId,
        flags: &domain::AppliedFlags,
    ) -> Result<Recorded, StoreError> {
        let revision = flags.revision.as_i64();
        let none = doc! { "flags": { "$exists": false } };
        let older = doc! { "flags.revision": { "$lte": revision } };
        let filter = doc! {
            "_id": at.key, "kind": Kind::Router.as_str(), "tombstone": false, "$or": [none, older],
        };
        let mut row = self.unknown(Some(isp_id), Kind::Router);
        // The filter names them.
        row.remove("kind");
        row.remove("tombstone");
        let mut set = doc! { "flags.revision": revision, "flags.at": DateTime::now() };
        let mut update = doc! { "$setOnInsert": row };
        match &flags.hash {
            Some(hash) => drop(set.insert("flags.hash", hash.as_str())),
            None => drop(update.insert("$unset", doc! { "flags.hash": "" })),
        }
        update.insert("$set", set);
        let newer = |row: &domain::Applied| {
            row.has_no_flags() || row.flags.as_ref().is_some_and(|it| it.revision > flags.revision)
        };
        self.write(at, filter, update, newer).await
    }

    /// Takes back what is said of the backend's content: from now on it is unknown. Where nothing was said yet,
    /// that is noted too, under revision 0 and with an end: a call without a known end may have left something.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn forget_hash(
        &self,
        at: At<'_>,
        isp_id: Option<&IspId>,
        kind: Kind,
    ) -> Result<(), StoreError> {
        // A router that was deleted on the way took its flags along.
        self.forget(at, doc! { "hash": "", "flags.hash": "" }, self.unknown(isp_id, kind)).await
    }

    /// The same for the flags of a router alone.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn forget_flags(&self, at: At<'_>, isp_id: &IspId) -> Result<(), StoreError> {
        self.forget(at, doc! { "flags.hash": "" }, self.unknown(Some(isp_id), Kind::Router)).await
    }

    async fn forget(&self, at: At<'_>, members: Document, row: Document) -> Result<(), StoreError> {
        let update = doc! { "$unset": members, "$setOnInsert": row };
        // Where it collides, somebody else has inserted it meanwhile: now it is there.
        self.write(at, doc! { "_id": at.key }, update, |_| false).await.map(drop)
    }

    /// Writes where the filter matches or nothing is there; `newer` says of what is there that it stays.
    async fn write(
        &self,
        at: At<'_>,
        filter: Document,
        update: Document,
        newer: impl Fn(&domain::Applied) -> bool,
    ) -> Result<Recorded, StoreError> {
        for _ in 0..RACES_MAX {
            let one = Upsert { filter: filter.clone(), update: update.clone().into() };
            match self.rows.write(at.lane, one).await? {
                Upserted::Written => return Ok(Recorded::Written),
                Upserted::Collided => {}
            }
            // Not matched, and there when it was inserted: newer, or the first insert of somebody else.
            if self.rows.find(at).await?.as_ref().is_some_and(&newer) {
                return Ok(Recorded::Overtaken);
            }
        }
        Ok(Recorded::Overtaken)
    }

    /// A row of which nothing is known but that there may be something.
    fn unknown(&self, isp_id: Option<&IspId>, kind: Kind) -> Document {
        let mut row = doc! {
            "kind": kind.as_str(),
            "revision": 0_i64,
            "tombstone": false,
            "expire_at": self.end_of_tombstone(),
        };
        if let Some(isp_id) = isp_id {
            row.insert("isp_id", isp_id.as_str());
        }
        row
    }

    fn update(&self, applied: &domain::Applied) -> Document {
        let mut set = doc! {
            "kind": applied.kind.as_str(),
            "revision": applied.revision.as_i64(),
            "tombstone": applied.tombstone,
            "at": DateTime::now(),
        };
        let mut unset = Document::new();
        if let Some(isp_id) = &applied.isp_id {
            set.insert("isp_id", isp_id.as_str());
        }
        match &applied.hash {
            Some(hash) => set.insert("hash", hash.as_str()),
            None => unset.insert("hash", ""),
        };
        match applied.tombstone {
            true => set.insert("expire_at", self.end_of_tombstone()),
            false => unset.insert("expire_at", ""),
        };
        if applied.has_no_flags() {
            match &applied.flags {
                // They went with the router: older ones do not come back with a new one.
                Some(flags) => {
                    set.insert("flags", doc! { "revision": flags.revision.as_i64() });
                }
                None => drop(unset.insert("flags", "")),
            }
        }
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
fn not_newer(key: &str, applied: &domain::Applied) -> Document {
    let revision = applied.revision.as_i64();
    if applied.tombstone {
        return doc! { "_id": key, "revision": { "$lte": revision } };
    }
    let older = doc! { "revision": { "$lt": revision } };
    let equal = doc! { "revision": revision, "tombstone": false };
    doc! { "_id": key, "$or": [older, equal] }
}

/// What a bound of zero means for a revision that is stored.
fn revision_of(stored: i64) -> Option<Revision> {
    u64::try_from(stored).ok().and_then(|it| Revision::try_from(it).ok())
}
