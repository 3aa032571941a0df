//! The scopes of the jobs that have not ended, all in one document: a scope is taken by one conditional write.

use std::time::Duration;

use chassis::mongo::is_duplicate_key;
use events::{JobId, SyncScope};
use mongodb::{
    Collection, Database,
    bson::{Bson, Document, doc, serialize_to_bson},
    error::Result,
};
use serde::{Deserialize, Serialize};

use crate::domain::Opening;

const ID: &str = "open_scopes";
/// How long to wait before a write that met another one is tried once more.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a write is tried that meets others.
const ATTEMPTS_MAX: u32 = 10;

/// The scopes of the jobs that have not ended.
#[derive(Clone, Debug)]
pub struct Scopes {
    documents: Collection<OpenScopes>,
    open_max: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct OpenScopes {
    #[serde(rename = "_id")]
    id: String,
    /// In the order in which they were taken.
    openings: Vec<Opening>,
}

/// What became of the wish for a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the job's.
    Yes,
    /// These are in the way, in the order in which they came; none where there are too many jobs altogether.
    No(Vec<Opening>),
}

impl Scopes {
    pub(super) fn open(database: &Database, open_max: u32) -> Self {
        Self { documents: database.collection("open_scopes"), open_max }
    }

    /// Every scope that is taken, in the order in which that happened.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn all(&self) -> Result<Vec<Opening>> {
        let found = self.documents.find_one(doc! { "_id": ID }).await?;
        Ok(found.map(|it| it.openings).unwrap_or_default())
    }

    /// Takes a scope where none of the taken ones overlaps with it, or, for one that replaces others, behind those.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn take(&self, opening: &Opening) -> Result<Taken> {
        // No room is left where the last place is taken.
        let last = format!("openings.{}", self.open_max.saturating_sub(1));
        let mut free = doc! { "_id": ID, last: { "$exists": false } };
        if !opening.replaces {
            free.insert("openings", doc! { "$not": { "$elemMatch": overlapping(&opening.scope) } });
        }
        let entry = serialize_to_bson(opening).map_err(mongodb::error::Error::from)?;
        let push = doc! { "$push": { "openings": entry } };
        for _ in 0..ATTEMPTS_MAX {
            match self.documents.update_one(free.clone(), push.clone()).upsert(true).await {
                Ok(_) => return Ok(Taken::Yes),
                // The document is there and does not match: something is in the way, or was a moment ago.
                Err(error) if is_duplicate_key(&error) => (),
                Err(error) => return Err(error),
            }
            let all = self.all().await?;
            let full = all.len() >= self.open_max as usize;
            let in_the_way = |it: &Opening| {
                !opening.replaces && crate::domain::overlap(&it.scope, &opening.scope)
            };
            let blocking: Vec<Opening> = all.into_iter().filter(in_the_way).collect();
            if full || !blocking.is_empty() {
                return Ok(Taken::No(blocking));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Taken::No(Vec::new()))
    }

    /// Gives back what a job had for this run.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn give_back(&self, job_id: &JobId, redrives: u32) -> Result<()> {
        let entry = doc! { "job_id": job_id.as_str(), "redrives": redrives };
        let pull = doc! { "$pull": { "openings": entry } };
        self.documents.update_one(doc! { "_id": ID }, pull).await.map(drop)
    }
}

/// Matches the openings whose scope overlaps with this one: in each member that it names they name the same or none.
fn overlapping(scope: &SyncScope) -> Document {
    let members = [
        ("scope.isp_id", scope.isp_id.as_ref().map(|it| it.as_str())),
        ("scope.account_id", scope.account_id.as_ref().map(|it| it.as_str())),
        ("scope.model", scope.model.as_ref().map(|it| it.as_str())),
    ];
    let mut filter = doc! { "job_id": { "$exists": true } };
    for (name, value) in members {
        if let Some(value) = value {
            filter.insert(name, doc! { "$in": [Bson::Null, Bson::from(value)] });
        }
    }
    filter
}
