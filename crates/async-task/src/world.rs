//! What a task needs of the world: a store, and the service that it belongs to.
//!
//! Both are traits because there are two worlds: the real one, and a simulated one in which time, crashes and the
//! order of messages are chosen, to drive the same transitions and the same driver through a million histories.

use events::{AppliedReply, JobId, RequestId, Revision, SyncReply};
use serde::{Deserialize, Serialize};

use crate::{At, Child, NewChild, Payload, Task};

/// Why a task could not be moved. Whoever tried tries again later: none of it is a record's fault.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The store did not answer.
    #[error("the store of tasks did not answer")]
    Store(#[from] mongodb::error::Error),
    /// A document of another version, or none of a task at all.
    #[error("the document of task `{0}` cannot be read by this version")]
    Foreign(String),
    /// Others wrote the task again and again.
    #[error("task `{0}` is written by too many at a time")]
    Contended(String),
    /// What the service was asked for failed.
    #[error("{0:#}")]
    Service(anyhow::Error),
}

impl From<anyhow::Error> for TaskError {
    fn from(error: anyhow::Error) -> Self {
        Self::Service(error)
    }
}

/// What the world answers.
pub type Result<T> = std::result::Result<T, TaskError>;

/// A record that did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The job.
    pub job_id: JobId,
    /// The task that sent the record.
    pub task_id: RequestId,
    /// The record's key.
    pub key: String,
    /// What kind of failure it is: a status of the backend, or a word.
    pub class: String,
    /// Why.
    pub reason: String,
    /// How often it has failed.
    pub attempts: u32,
    /// When.
    pub at: At,
}

impl Failure {
    /// A record that was rejected.
    pub fn rejected(job_id: &JobId, task_id: &RequestId, result: &AppliedReply, at: At) -> Self {
        let class = result.http_status.map_or_else(|| "rejected".to_owned(), |it| it.to_string());
        let reason = result.error.clone().unwrap_or_default();
        let key = result.request_id.key().to_owned();
        Self {
            job_id: job_id.clone(),
            task_id: task_id.clone(),
            key,
            class,
            reason,
            attempts: 1,
            at,
        }
    }
}

/// What a parent opens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This child.
    Child(NewChild),
    /// Nothing before one of the open ones has ended.
    Wait,
    /// Nothing more, ever.
    Nothing,
}

/// What became of records that were to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// There was nothing to send for these.
    pub gone: Vec<String>,
    /// These cannot be sent.
    pub failures: Vec<Failure>,
}

/// What a person or a parent may have a task do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Open nothing more, wait for what was sent, end.
    Cancel,
    /// Open nothing more until it is resumed.
    Pause(String),
    /// Go on.
    Resume,
}

/// Where tasks are kept.
pub trait TaskStore<P: Payload>: Send + Sync {
    /// The task of this id, as the store holds it.
    fn find(&self, id: &RequestId) -> impl Future<Output = Result<Option<Task<P>>>> + Send;

    /// The task that waits for the answer to this request, perhaps as it was a moment ago: a write shows it.
    fn find_by_request(
        &self,
        request_id: &RequestId,
    ) -> impl Future<Output = Result<Option<Task<P>>>> + Send;

    /// Keeps a new task. Answers whether there was none of its id.
    fn insert(&self, task: &Task<P>) -> impl Future<Output = Result<bool>> + Send;

    /// Keeps `task` where nobody has written it since it was read, and raises its fence. Answers whether it did.
    fn update(&self, task: &mut Task<P>) -> impl Future<Output = Result<bool>> + Send;

    /// Removes a task where nobody has written it since it was read.
    fn delete(&self, task: &Task<P>) -> impl Future<Output = Result<()>> + Send;

    /// Tasks that somebody must look at by now.
    fn due(&self, now: At, limit: usize) -> impl Future<Output = Result<Vec<RequestId>>> + Send;

    /// Tasks of a job that have not ended.
    fn of_job(&self, job_id: &JobId) -> impl Future<Output = Result<Vec<RequestId>>> + Send;

    /// Leaves a task alone until then, whatever is wrong with it.
    fn postpone(&self, id: &RequestId, until: At) -> impl Future<Output = Result<()>> + Send;

    /// Lets `holder` as it was read have up to `wanted` of the window that all tasks of the service share, what it has
    /// open included; answers how many it may have. Nothing open and nothing wanted gives back what it had.
    fn hold(
        &self,
        holder: &Task<P>,
        wanted: u64,
        now: At,
    ) -> impl Future<Output = Result<u64>> + Send;

    /// Keeps failures; the same once more changes nothing.
    fn keep_failures(&self, failures: &[Failure]) -> impl Future<Output = Result<()>> + Send;

    /// Forgets failures of a job: records of these keys have ended well since.
    fn forget_failures(
        &self,
        job_id: &JobId,
        keys: &[&str],
    ) -> impl Future<Output = Result<()>> + Send;
}

/// What a task does in its service. Everything may happen twice.
pub trait Service: Send + Sync {
    /// What its tasks are about.
    type Payload: Payload;

    /// What time it is.
    fn now(&self) -> At {
        At::now()
    }

    /// What `parent` opens behind its cursor, with at most `room` requests.
    fn next(
        &self,
        parent: &Task<Self::Payload>,
        room: u64,
    ) -> impl Future<Output = Result<Next>> + Send;

    /// How many entities are behind the cursor of `parent`.
    fn remaining(&self, parent: &Task<Self::Payload>) -> impl Future<Output = Result<u64>> + Send;

    /// Asks for a child; once more where it was silent.
    fn ask(
        &self,
        parent: &Task<Self::Payload>,
        request_id: &RequestId,
        child: &Child,
    ) -> impl Future<Output = Result<()>> + Send;

    /// What a bulk that `parent` opened is about, and the keys of its records.
    fn bulk(
        &self,
        parent: &Task<Self::Payload>,
        child: &Child,
    ) -> impl Future<Output = Result<(Self::Payload, Vec<String>)>> + Send;

    /// Sends the records of these keys as they are now; copies are not sent on after `expires_at`.
    fn send(
        &self,
        bulk: &Task<Self::Payload>,
        keys: &[String],
        expires_at: At,
    ) -> impl Future<Output = Result<Sent>> + Send;

    /// The backend holds something newer than what was sent. Where our store knows nothing of it, it was set back:
    /// then what it says is raised above what is held, and sent again. Answers the keys for which that is so.
    fn overtaken(
        &self,
        bulk: &Task<Self::Payload>,
        held: &[(String, Revision)],
        expires_at: At,
    ) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Tells whoever asked for `task` how it is; returns when that is durable.
    fn reply(
        &self,
        task: &Task<Self::Payload>,
        reply: SyncReply,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Passes an order on to children in other services.
    fn pass_on(
        &self,
        task: &Task<Self::Payload>,
        order: &Order,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The task is over and its parent knows.
    fn ended(&self, task: &Task<Self::Payload>) -> impl Future<Output = Result<()>> + Send;
}
