//! The collection `async_tasks`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chassis::mongo::is_duplicate_key;
use events::{JobId, RequestId};
use futures_util::TryStreamExt as _;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{DateTime, Document, deserialize_from_document, doc, serialize_to_document},
    options::IndexOptions,
};

use crate::{
    At, Failure, Failures, Limits, Payload, Result, Task, TaskError, TaskStore, window::Window,
};

/// The document of the shared window; no id of a task begins like this.
const WINDOW: &str = "~window";
/// How many tasks are remembered as they were written last.
const REMEMBERED_MAX: usize = 256;
/// Most tasks that are shown at a time.
const SHOWN_MAX: i64 = 100;
/// How often a write of the window is tried that others overtake.
const ROUNDS_MAX: u64 = 50;

/// A cheap handle to the tasks of a service.
#[derive(Debug)]
pub struct AsyncTasks<P: Payload> {
    documents: Collection<Document>,
    failures: Failures,
    window_total: u64,
    tombstone_life: Duration,
    /// Tasks as this process has written them last: most often nobody else writes them.
    remembered: Arc<Mutex<HashMap<RequestId, Task<P>>>>,
}

impl<P: Payload> Clone for AsyncTasks<P> {
    fn clone(&self) -> Self {
        Self {
            documents: self.documents.clone(),
            failures: self.failures.clone(),
            window_total: self.window_total,
            tombstone_life: self.tombstone_life,
            remembered: Arc::clone(&self.remembered),
        }
    }
}

impl<P: Payload> AsyncTasks<P> {
    /// Makes the indexes.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn open(database: &Database, limits: &Limits) -> Result<Self> {
        let documents = database.collection("async_tasks");
        let expiry = IndexOptions::builder().expire_after(Duration::ZERO).build();
        let due = IndexOptions::builder().sparse(true).build();
        let indexes = [
            IndexModel::builder().keys(doc! { "expire_at": 1 }).options(expiry).build(),
            IndexModel::builder().keys(doc! { "wake_at": 1 }).options(due).build(),
            IndexModel::builder().keys(doc! { "job_id": 1 }).build(),
        ];
        documents.create_indexes(indexes).await?;
        Ok(Self {
            documents,
            failures: Failures::open(database).await?,
            window_total: limits.window_total,
            tombstone_life: limits.tombstone_life(),
            remembered: Arc::default(),
        })
    }

    /// The failures of jobs.
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// The collection itself, for what a service keeps beside its tasks.
    pub fn documents(&self) -> &Collection<Document> {
        &self.documents
    }

    /// Unfinished tasks that wait for what became of the record with this key.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn holding(&self, key: &str) -> Result<Vec<Task<P>>> {
        self.unfinished(doc! { "$or": [
            { "requests.items.open": key }, { "requests.items.expired": key },
        ] })
        .await
    }

    /// Unfinished tasks that open others.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn opening(&self) -> Result<Vec<Task<P>>> {
        self.unfinished(doc! { "requests.children": { "$exists": true } }).await
    }

    /// Some unfinished tasks; those of another form are left out.
    async fn unfinished(&self, mut filter: Document) -> Result<Vec<Task<P>>> {
        filter.insert("wake_at", doc! { "$exists": true });
        let found = self.documents.find(filter).limit(SHOWN_MAX).await?;
        let found: Vec<Document> = found.try_collect().await?;
        Ok(found.into_iter().filter_map(|it| read(it).ok()).collect())
    }

    fn document(&self, task: &Task<P>) -> Result<Document> {
        let mut document = serialize_to_document(task).map_err(mongodb::error::Error::from)?;
        match task.wake_at {
            Some(_) => None,
            None => document.remove("wake_at"),
        };
        if task.is_tombstone() {
            let end = task.updated_at.plus(self.tombstone_life);
            document.insert("expire_at", DateTime::from_millis(end.0));
        }
        Ok(document)
    }

    fn remember(&self, task: &Task<P>) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if task.has_ended() {
            remembered.remove(&task.id);
            return;
        }
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(task.id.clone(), task.clone());
    }

    fn forget(&self, id: &RequestId) {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    async fn ids(&self, filter: Document, limit: usize) -> Result<Vec<RequestId>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = self.documents.find(filter).projection(doc! { "_id": 1 });
        let found = found.sort(doc! { "wake_at": 1 }).limit(limit).await?;
        let found: Vec<Document> = found.try_collect().await?;
        let id = |it: Document| it.get_str("_id").ok().and_then(|it| it.parse().ok());
        Ok(found.into_iter().filter_map(id).collect())
    }
}

/// Reads a task; a document of another form is left to those who know it.
pub(crate) fn read<P: Payload>(document: Document) -> Result<Task<P>> {
    let id = document.get_str("_id").unwrap_or_default().to_owned();
    let version =
        document.get("version").and_then(|it| it.as_i64().or_else(|| it.as_i32().map(i64::from)));
    if version != Some(i64::from(P::VERSION)) {
        return Err(TaskError::Foreign(id));
    }
    deserialize_from_document(document).map_err(|_| TaskError::Foreign(id))
}

impl<P: Payload> TaskStore<P> for AsyncTasks<P> {
    async fn find(&self, id: &RequestId) -> Result<Option<Task<P>>> {
        let found = self.documents.find_one(doc! { "_id": id.as_str() }).await?;
        found.map(read).transpose()
    }

    async fn find_by_request(&self, request_id: &RequestId) -> Result<Option<Task<P>>> {
        let remembered = {
            let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            remembered.get(request_id).cloned()
        };
        match remembered {
            Some(task) => Ok(Some(task)),
            None => self.find(request_id).await,
        }
    }

    async fn insert(&self, task: &Task<P>) -> Result<bool> {
        match self.documents.insert_one(self.document(task)?).await {
            Ok(_) => {
                self.remember(task);
                Ok(true)
            }
            Err(error) if is_duplicate_key(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn update(&self, task: &mut Task<P>) -> Result<bool> {
        let read = doc! { "_id": task.id.as_str(), "fence": task.fence };
        task.fence += 1;
        let replaced = self.documents.replace_one(read, self.document(task)?).await;
        match &replaced {
            Ok(it) if it.matched_count == 1 => self.remember(task),
            Ok(_) | Err(_) => {
                task.fence -= 1;
                self.forget(&task.id);
            }
        }
        Ok(replaced?.matched_count == 1)
    }

    async fn delete(&self, task: &Task<P>) -> Result<()> {
        self.forget(&task.id);
        let read = doc! { "_id": task.id.as_str(), "fence": task.fence };
        self.documents.delete_one(read).await?;
        Ok(())
    }

    async fn due(&self, now: At, limit: usize) -> Result<Vec<RequestId>> {
        self.ids(doc! { "wake_at": { "$lte": now.0 } }, limit).await
    }

    async fn of_job(&self, job_id: &JobId) -> Result<Vec<RequestId>> {
        let unfinished = doc! { "job_id": job_id.as_str(), "wake_at": { "$exists": true } };
        self.ids(unfinished, usize::MAX).await
    }

    async fn postpone(&self, id: &RequestId, until: At) -> Result<()> {
        let later = doc! { "$max": { "wake_at": until.0 } };
        let unfinished = doc! { "_id": id.as_str(), "wake_at": { "$exists": true } };
        self.documents.update_one(unfinished, later).await?;
        Ok(())
    }

    async fn hold(&self, holder: &Task<P>, wanted: u64, now: At) -> Result<u64> {
        let (reading, open) = ((holder.id.as_str(), holder.fence), holder.open_items());
        for round in 0..ROUNDS_MAX {
            // Who was overtaken often waits longer, so that all get their turn.
            if round > 0 {
                tokio::time::sleep(Duration::from_millis(round.min(20))).await;
            }
            let held = self.documents.find_one(doc! { "_id": WINDOW }).await?;
            let fence = held.as_ref().and_then(|it| it.get_i64("fence").ok()).unwrap_or_default();
            let mut window: Window = match held {
                Some(held) => deserialize_from_document(held).unwrap_or_default(),
                None => Window::default(),
            };
            let before = window.clone();
            let granted = window.grant(reading, open, wanted, self.window_total, now);
            if window == before {
                return Ok(granted);
            }
            let mut next = serialize_to_document(&window).map_err(mongodb::error::Error::from)?;
            next.insert("fence", fence + 1);
            let read = doc! { "_id": WINDOW, "fence": fence };
            let written = self.documents.replace_one(read, next).upsert(fence == 0).await;
            match written {
                Ok(it) if it.matched_count == 1 || it.upserted_id.is_some() => return Ok(granted),
                Ok(_) => (),
                Err(error) if is_duplicate_key(&error) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Err(TaskError::Contended(WINDOW.to_owned()))
    }

    async fn keep_failures(&self, failures: &[Failure]) -> Result<()> {
        self.failures.keep(failures).await
    }

    async fn forget_failures(&self, job_id: &JobId, keys: &[&str]) -> Result<()> {
        self.failures.forget(job_id, keys).await
    }
}
