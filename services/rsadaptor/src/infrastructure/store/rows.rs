//! Rows read and written together: one query for all who ask at the same time, one command for all who write.
//!
//! What goes wrong for one row is that row's alone; what goes wrong for the whole call is told to everybody in it.
//! Live records and those of a sync have calls of their own, so that the former wait for none of the latter.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chassis::mongo::{Upsert, Upserted, upsert};
use eventbus::Lane;
use events::IspId;
use futures_util::TryStreamExt as _;
use mongodb::{
    Collection, Database,
    bson::{self, DateTime, RawDocumentBuf, doc},
};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::{At, Described, StoreError, StoreLimits, revision_of};
use crate::{
    domain::{self, Kind},
    infrastructure::gather::{Gather, Gathering, Lost},
};

/// The collection's name.
pub(super) const COLLECTION: &str = "applied";
/// Most queries, and most commands, of a lane at a time that are put together; of live ones so many go by themselves.
const SIDE_BY_SIDE: usize = 4;

type Found = Result<Option<domain::Applied>, StoreError>;

/// A cheap handle to the rows.
#[derive(Clone, Debug)]
pub(super) struct Rows(Arc<Lanes>);

#[derive(Debug)]
struct Lanes {
    live: Calls,
    sync: Calls,
}

#[derive(Debug)]
struct Calls {
    rows: Collection<RawDocumentBuf>,
    database: Database,
    /// Calls that go by themselves: where nobody is to be waited for, that is the shortest way.
    alone: Semaphore,
    reads: Gather<String, Found>,
    writes: Gather<Upsert, Result<Upserted, StoreError>>,
}

impl Rows {
    pub(super) fn new(database: &Database, limits: &StoreLimits) -> Self {
        let calls = |wait| Calls::new(database, wait, limits.gather_max);
        Self(Arc::new(Lanes { live: calls(Duration::ZERO), sync: calls(limits.gather) }))
    }

    pub(super) async fn find(&self, At { key, lane }: At<'_>) -> Found {
        let (calls, key) = (self.of(lane), key.to_owned());
        if let Ok(_alone) = calls.alone.try_acquire() {
            let found = find_all(calls.rows.clone(), vec![key]).await.pop();
            return found.expect("there is an answer for each");
        }
        calls.reads.ask(key).await.unwrap_or_else(|Lost| Err(StoreError::Lost))
    }

    pub(super) async fn describe(&self, key: &str) -> Result<Option<Described>, StoreError> {
        let found = self.of(Lane::Live).rows.find_one(doc! { "_id": key }).await?;
        let Some(row) = found else { return Ok(None) };
        let read = bson::deserialize_from_slice::<Row>(row.as_bytes()).ok();
        let described = read.and_then(Row::described);
        described.map(Some).ok_or_else(|| StoreError::Malformed(key.to_owned()))
    }

    pub(super) async fn write(&self, lane: Lane, one: Upsert) -> Result<Upserted, StoreError> {
        let calls = self.of(lane);
        if let Ok(_alone) = calls.alone.try_acquire() {
            let written = write_all(calls.database.clone(), vec![one]).await.pop();
            return written.expect("there is an answer for each");
        }
        calls.writes.ask(one).await.unwrap_or_else(|Lost| Err(StoreError::Lost))
    }

    fn of(&self, lane: Lane) -> &Calls {
        match lane {
            Lane::Live => &self.0.live,
            Lane::Sync => &self.0.sync,
        }
    }
}

impl Calls {
    fn new(database: &Database, wait: Duration, most: usize) -> Self {
        let gathering = Gathering { most, wait, side_by_side: SIDE_BY_SIDE };
        let rows: Collection<RawDocumentBuf> = database.collection(COLLECTION);
        let alone = Semaphore::new(if wait.is_zero() { SIDE_BY_SIDE } else { 0 });
        let (its_rows, its_database) = (rows.clone(), database.clone());
        let reads = Gather::new(gathering, move |keys| find_all(its_rows.clone(), keys));
        let writes = Gather::new(gathering, move |all| write_all(its_database.clone(), all));
        Self { rows, database: database.clone(), alone, reads, writes }
    }
}

/// A document of the collection.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default)]
    isp_id: Option<IspId>,
    kind: Kind,
    revision: i64,
    #[serde(default)]
    hash: Option<domain::Hash>,
    tombstone: bool,
    #[serde(default)]
    at: Option<DateTime>,
    #[serde(default)]
    flags: Option<FlagsOfRow>,
}

#[derive(Debug, Deserialize)]
struct FlagsOfRow {
    revision: i64,
    #[serde(default)]
    at: Option<DateTime>,
    #[serde(default)]
    hash: Option<domain::Hash>,
}

impl Row {
    fn described(self) -> Option<Described> {
        let time = |it: DateTime| jiff::Timestamp::from_millisecond(it.timestamp_millis()).ok();
        let at = self.at.and_then(time);
        let flags_at = self.flags.as_ref().and_then(|it| it.at).and_then(time);
        Some(Described { applied: self.applied()?, at, flags_at })
    }

    fn applied(self) -> Option<domain::Applied> {
        let Self { isp_id, kind, revision, hash, tombstone, flags, .. } = self;
        let flags = match flags {
            Some(FlagsOfRow { revision, hash, .. }) => {
                Some(domain::AppliedFlags { revision: revision_of(revision)?, hash })
            }
            None => None,
        };
        let revision = revision_of(revision)?;
        Some(domain::Applied { isp_id, kind, revision, hash, tombstone, flags })
    }
}

async fn find_all(rows: Collection<RawDocumentBuf>, keys: Vec<String>) -> Vec<Found> {
    match find_rows(&rows, &keys).await {
        Ok(found) => keys.iter().map(|it| found.get(it).cloned().unwrap_or(Ok(None))).collect(),
        Err(error) => keys.iter().map(|_| Err(StoreError::Mongo(error.clone()))).collect(),
    }
}

async fn find_rows(
    rows: &Collection<RawDocumentBuf>,
    keys: &[String],
) -> mongodb::error::Result<HashMap<String, Found>> {
    let filter = match keys {
        [key] => doc! { "_id": key },
        keys => doc! { "_id": { "$in": keys } },
    };
    // All of them in the first reply: the cursor is over with it.
    let most = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    let mut cursor = rows.find(filter).limit(i64::from(most)).batch_size(most).await?;
    let mut found = HashMap::with_capacity(keys.len());
    while let Some(row) = cursor.try_next().await? {
        let Ok(key) = row.get_str("_id") else { continue };
        let read = bson::deserialize_from_slice::<Row>(row.as_bytes()).ok();
        let applied = read.and_then(Row::applied);
        let applied = applied.ok_or_else(|| StoreError::Malformed(key.to_owned()));
        found.insert(key.to_owned(), applied.map(Some));
    }
    Ok(found)
}

async fn write_all(database: Database, all: Vec<Upsert>) -> Vec<Result<Upserted, StoreError>> {
    let written = upsert(&database, COLLECTION, all).await.into_iter();
    written.map(|it| it.map_err(StoreError::from)).collect()
}
