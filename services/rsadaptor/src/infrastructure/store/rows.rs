//! Rows read and written together: one query for all who ask at the same time, one command for all who write.
//!
//! What goes wrong for one row is that row's alone; what goes wrong for the whole call is told to everybody in it.
//! Live records and those of a sync have calls of their own, so that the former wait for none of the latter.

use std::{collections::HashMap, sync::Arc, time::Duration};

use eventbus::Lane;
use events::IspId;
use futures_util::TryStreamExt as _;
use mongodb::{
    Collection, Database,
    bson::{self, DateTime, Document, RawDocumentBuf, doc},
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
/// The server's code for a second document with one `_id`.
const DUPLICATE_KEY: i32 = 11_000;

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
    writes: Gather<Statement, Result<Wrote, StoreError>>,
}

/// An upsert of one row.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// Which row, and what it must be to be written.
    pub(super) filter: Document,
    /// What is written.
    pub(super) update: Document,
}

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    /// It is durable.
    Written,
    /// The row is there, and is not what it must be.
    Collided,
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

    pub(super) async fn write(
        &self,
        lane: Lane,
        statement: Statement,
    ) -> Result<Wrote, StoreError> {
        let calls = self.of(lane);
        if let Ok(_alone) = calls.alone.try_acquire() {
            let written = write_all(calls.database.clone(), vec![statement]).await.pop();
            return written.expect("there is an answer for each");
        }
        calls.writes.ask(statement).await.unwrap_or_else(|Lost| Err(StoreError::Lost))
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

/// The server's reply to the command `update`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateReply {
    #[serde(default)]
    write_errors: Vec<WriteError>,
    #[serde(default)]
    write_concern_error: Option<Document>,
}

#[derive(Debug, Deserialize)]
struct WriteError {
    index: usize,
    code: i32,
    #[serde(default)]
    errmsg: String,
}

async fn write_all(database: Database, all: Vec<Statement>) -> Vec<Result<Wrote, StoreError>> {
    let count = all.len();
    match write_rows(&database, all).await {
        Ok(reply) => results(&reply, count),
        Err(error) => vec![Err(error); count],
    }
}

async fn write_rows(database: &Database, all: Vec<Statement>) -> Result<UpdateReply, StoreError> {
    let updates = all
        .into_iter()
        .map(|Statement { filter, update }| doc! { "q": filter, "u": update, "upsert": true });
    let command = doc! {
        "update": COLLECTION,
        "updates": updates.collect::<Vec<_>>(),
        // One that fails does not keep the others from being written.
        "ordered": false,
        "writeConcern": { "w": "majority" },
    };
    let reply = database.run_command(command).await?;
    bson::deserialize_from_document(reply)
        .map_err(|error| StoreError::Refused(format!("a reply that cannot be read: {error}")))
}

/// What the reply says of each statement.
fn results(reply: &UpdateReply, count: usize) -> Vec<Result<Wrote, StoreError>> {
    // What is not durable everywhere is not written.
    let written = match &reply.write_concern_error {
        None => Ok(Wrote::Written),
        Some(error) => Err(StoreError::Refused(error.to_string())),
    };
    let mut results = vec![written; count];
    for WriteError { index, code, errmsg } in &reply.write_errors {
        if let Some(result) = results.get_mut(*index) {
            *result = match *code {
                DUPLICATE_KEY => Ok(Wrote::Collided),
                code => Err(StoreError::Refused(format!("{code}: {errmsg}"))),
            };
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_has_its_own_result() {
        let reply = doc! {
            "n": 2, "nModified": 1, "ok": 1.0,
            "writeErrors": [
                { "index": 1, "code": 11_000, "errmsg": "E11000 duplicate key" },
                { "index": 2, "code": 121, "errmsg": "Document failed validation" },
            ],
        };
        let reply: UpdateReply = bson::deserialize_from_document(reply).unwrap();
        let results = results(&reply, 4);
        assert!(matches!(results[0], Ok(Wrote::Written)));
        assert!(matches!(results[1], Ok(Wrote::Collided)));
        assert!(matches!(&results[2], Err(StoreError::Refused(why)) if why.starts_with("121: ")));
        assert!(matches!(results[3], Ok(Wrote::Written)));
    }

    #[test]
    fn what_is_not_durable_is_not_written() {
        let reply = doc! {
            "n": 2, "ok": 1.0,
            "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" },
        };
        let reply: UpdateReply = bson::deserialize_from_document(reply).unwrap();
        assert!(results(&reply, 2).iter().all(Result::is_err));
    }
}
