//! The collection `task_failures`: records of jobs that did not end well.

use std::time::Duration;

use events::JobId;
use futures_util::TryStreamExt as _;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{DateTime, Document, doc},
    options::IndexOptions,
};
use serde::{Deserialize, Serialize};

use crate::{At, Failure, Result};

/// How long failures are kept: as long as their job.
const LIFE: Duration = Duration::from_secs(90 * 86_400);

/// A cheap handle to the failures.
#[derive(Clone, Debug)]
pub struct Failures {
    documents: Collection<Document>,
}

/// Which failures of a job.
#[derive(Clone, Debug, Default)]
pub struct FailureQuery {
    /// Only those of this class.
    pub class: Option<String>,
    /// Only those of keys behind this one.
    pub after: Option<String>,
    /// Only those of keys up to this one.
    pub up_to: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Some failures of a job, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailurePage {
    /// The failures.
    pub items: Vec<Failure>,
    /// Whether there are more behind them.
    pub more: bool,
}

/// How many failures of one class a job has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureClass {
    /// The class.
    #[serde(rename(deserialize = "_id"))]
    pub class: String,
    /// How many.
    pub count: i64,
}

impl Failures {
    /// Makes the indexes.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn open(database: &Database) -> Result<Self> {
        let documents = database.collection("task_failures");
        let expiry = IndexOptions::builder().expire_after(Duration::ZERO).build();
        let expiry = IndexModel::builder().keys(doc! { "expire_at": 1 }).options(expiry).build();
        let of_job = IndexModel::builder().keys(doc! { "job_id": 1, "key": 1 }).build();
        documents.create_indexes([of_job, expiry]).await?;
        Ok(Self { documents })
    }

    /// Keeps failures, one of each job and key. The same once more changes nothing; another task's attempt counts.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn keep(&self, failures: &[Failure]) -> Result<()> {
        for it in failures {
            let task_id = it.task_id.as_str();
            let before = doc! { "$ifNull": ["$attempts", 0_i32] };
            let again = doc! { "$cond": [
                { "$eq": ["$task_id", task_id] }, before.clone(), { "$add": [before, 1_i32] },
            ] };
            let expire_at = DateTime::from_millis(it.at.plus(LIFE).0);
            let set = doc! { "$set": {
                "attempts": again,
                "job_id": it.job_id.as_str(),
                "task_id": task_id,
                "key": { "$literal": &it.key },
                "class": { "$literal": &it.class },
                "reason": { "$literal": &it.reason },
                "at": it.at.0,
                "expire_at": expire_at,
            } };
            let id = doc! { "_id": format!("{}/{}", it.job_id, it.key) };
            self.documents.update_one(id, vec![set]).upsert(true).await?;
        }
        Ok(())
    }

    /// Forgets failures of records that have ended well since.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn forget(&self, job_id: &JobId, keys: &[&str]) -> Result<()> {
        let ids: Vec<String> = keys.iter().map(|it| format!("{job_id}/{it}")).collect();
        self.documents.delete_many(doc! { "_id": { "$in": ids } }).await?;
        Ok(())
    }

    /// Some failures of a job.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn page(&self, job_id: &JobId, query: &FailureQuery) -> Result<FailurePage> {
        let mut filter = doc! { "job_id": job_id.as_str() };
        if let Some(class) = &query.class {
            filter.insert("class", class);
        }
        let mut keys = Document::new();
        if let Some(after) = &query.after {
            keys.insert("$gt", after);
        }
        if let Some(up_to) = &query.up_to {
            keys.insert("$lte", up_to);
        }
        if !keys.is_empty() {
            filter.insert("key", keys);
        }
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
        let documents = self.documents.clone_with_type::<Failure>();
        let found = documents.find(filter).sort(doc! { "key": 1 }).limit(limit).await?;
        let mut items: Vec<Failure> = found.try_collect().await?;
        let more = items.len() > query.limit;
        items.truncate(query.limit);
        Ok(FailurePage { items, more })
    }

    /// How many failures of each class a job has, the most frequent first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn classes(&self, job_id: &JobId) -> Result<Vec<FailureClass>> {
        let stages = [
            doc! { "$match": { "job_id": job_id.as_str() } },
            doc! { "$group": { "_id": "$class", "count": { "$sum": 1_i64 } } },
            doc! { "$sort": { "count": -1, "_id": 1 } },
        ];
        let found = self.documents.aggregate(stages).with_type::<FailureClass>().await?;
        Ok(found.try_collect().await?)
    }

    /// How many failures of a job have keys behind this one.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn count(&self, job_id: &JobId, after: Option<&str>) -> Result<u64> {
        let mut filter = doc! { "job_id": job_id.as_str() };
        if let Some(after) = after {
            filter.insert("key", doc! { "$gt": after });
        }
        Ok(self.documents.count_documents(filter).await?)
    }
}

impl Failure {
    /// A record that could not be sent.
    pub fn unsendable(
        task: (&JobId, &events::RequestId),
        key: &str,
        class: &str,
        why: &str,
    ) -> Self {
        Self {
            job_id: task.0.clone(),
            task_id: task.1.clone(),
            key: key.to_owned(),
            class: class.to_owned(),
            reason: why.to_owned(),
            attempts: 1,
            at: At::now(),
        }
    }
}
