//! Jobs by page. They are the tasks of this service: reading them is all that happens here.

use events::{IspId, JobId};
use futures_util::TryStreamExt as _;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{Document, deserialize_from_document, doc},
    error::Result,
};

use crate::domain::JobTask;

/// Reads jobs.
#[derive(Clone, Debug)]
pub struct Jobs(Collection<Document>);

/// Which jobs are asked for, newest first.
#[derive(Clone, Debug)]
pub struct PageOfJobs {
    /// Only those of this ISP.
    pub isp_id: Option<IspId>,
    /// Only those that are older than this one.
    pub before: Option<JobId>,
    /// At most so many.
    pub limit: u32,
}

impl Jobs {
    pub(super) async fn open(database: &Database) -> Result<Self> {
        let jobs = database.collection::<Document>("async_tasks");
        let keys = doc! { "payload.scope.isp_id": 1, "_id": -1 };
        jobs.create_index(IndexModel::builder().keys(keys).build()).await?;
        Ok(Self(jobs))
    }

    /// One page. A document of another version is left out.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn page(&self, wanted: &PageOfJobs) -> Result<Vec<JobTask>> {
        let mut filter = doc! { "payload.task_type": "SyncAll" };
        if let Some(isp_id) = &wanted.isp_id {
            filter.insert("payload.scope.isp_id", isp_id.as_str());
        }
        if let Some(before) = &wanted.before {
            filter.insert("_id", doc! { "$lt": before.as_str() });
        }
        // Job ids begin with the time at which they were made.
        let found = self.0.find(filter).sort(doc! { "_id": -1 }).limit(i64::from(wanted.limit));
        let documents: Vec<Document> = found.await?.try_collect().await?;
        let read = documents.into_iter().filter_map(|it| {
            deserialize_from_document::<JobTask>(it)
                .inspect_err(|error| tracing::warn!(%error, "a job that cannot be read"))
                .ok()
        });
        Ok(read.collect())
    }
}
