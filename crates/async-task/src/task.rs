//! A task at rest.

use std::time::Duration;

use events::{JobId, RequestId, SyncCounts, SyncReply, SyncStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Children, Items, Limits};

/// What a task is about: an enum of the task types of one service, tagged by their names.
pub trait Payload:
    Clone + std::fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The form of the documents. A document of another one is left alone and reported.
    const VERSION: u32;

    /// The name of the task type.
    fn task_type(&self) -> &'static str;

    /// The events that answer requests of this task type.
    fn replies(&self) -> &'static [&'static str];

    /// Most requests that the task may have open, the share of all tasks aside.
    fn window(&self) -> u64;

    /// Most requests that are opened per second.
    fn rate_per_s(&self) -> Option<u32> {
        None
    }

    /// Whether too many failures pause it. What nobody watches, nobody would resume.
    fn keeps_to_budget(&self) -> bool {
        true
    }

    /// Whether it sends again what has failed before: what ends well is no failure any more.
    fn is_redrive(&self) -> bool {
        false
    }

    /// Whether the parent is a task of the same service, so that it can be asked whether it has heard.
    fn parent_is_here(&self) -> bool;

    /// Whether an event of this type may answer the task.
    fn validate_event_type(&self, event_type: &str) -> bool {
        self.replies().contains(&event_type)
    }
}

/// A task type: its payload and its name.
pub trait TaskType {
    /// The name on the wire and at rest.
    const NAME: &'static str;
}

/// A moment, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct At(pub i64);

impl At {
    /// This moment.
    pub fn now() -> Self {
        Self(Timestamp::now().as_millisecond())
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; nothing where it is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or_default())
    }

    /// The moment as others write it.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::MAX)
    }
}

/// A task: what it is about, what it waits for, what became of the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Task<P: Payload> {
    /// The id of the request that asked for it, or of the job that it is.
    #[serde(rename = "_id")]
    pub id: RequestId,
    /// The form of the document.
    pub version: u32,
    /// Raised by every write: who writes has read the last one.
    pub fence: i64,
    /// The job that it belongs to.
    pub job_id: JobId,
    /// What it is about.
    pub payload: P,
    /// Where in its life it is.
    pub state: State,
    /// What it waits for.
    pub requests: Requests,
    /// What became of the requests that were answered.
    pub counts: SyncCounts,
    /// When it began.
    pub started_at: At,
    /// When it changed last.
    pub updated_at: At,
    /// When it is over at the latest.
    pub deadline_at: At,
    /// When somebody must look at it; never again once its end is known to have been heard.
    pub wake_at: Option<At>,
    /// When its parent was told last.
    pub told_at: At,
    /// Whether something has changed since.
    pub untold: bool,
}

/// Where in its life a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum State {
    /// It opens requests and waits for answers.
    Running,
    /// It opens none until it is resumed.
    Paused {
        /// Why.
        why: String,
    },
    /// It opens none any more and waits for what it has sent.
    Cancelling {
        /// When that began.
        since: At,
    },
    /// It is over.
    Ended {
        /// How.
        end: End,
        /// Why, where that is not plain.
        reason: Option<String>,
        /// Whether whoever asked is known to have heard: then this is a tombstone.
        heard: bool,
    },
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Everything was done.
    Completed,
    /// All came to an end, some not a good one.
    CompletedWithFailures,
    /// Somebody did not want it any more.
    Cancelled,
    /// It could not go on.
    Failed,
}

/// What a task waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requests {
    /// Other tasks, opened while there is room.
    Children(Children),
    /// Records, all sent at once.
    Items(Items),
}

/// What starting a task or dispatching an event came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskResult {
    /// Whether the task is over.
    pub completed: bool,
    /// Whether anything has changed: not so for what is repeated, too late or unknown.
    pub changed: bool,
}

impl<P: Payload> Task<P> {
    /// A task that opens children.
    pub fn parent(id: RequestId, job_id: JobId, payload: P, now: At, limits: &Limits) -> Self {
        let life = Duration::from_secs(limits.job_seconds);
        Self::new(id, job_id, payload, Requests::Children(Children::default()), now, life)
    }

    /// A task whose requests are records with these keys, of which a copy is sent now.
    pub fn bulk(
        id: RequestId,
        job_id: JobId,
        payload: P,
        keys: Vec<String>,
        now: At,
        limits: &Limits,
    ) -> Self {
        let total = keys.len() as u64;
        let items = Items::new(keys, now.plus(limits.record()));
        let life = Duration::from_secs(limits.bulk_seconds);
        let mut task = Self::new(id, job_id, payload, Requests::Items(items), now, life);
        task.counts.total = total;
        task.settle(now, limits);
        task
    }

    fn new(
        id: RequestId,
        job_id: JobId,
        payload: P,
        requests: Requests,
        now: At,
        life: Duration,
    ) -> Self {
        Self {
            id,
            version: P::VERSION,
            fence: 1,
            job_id,
            payload,
            state: State::Running,
            requests,
            counts: SyncCounts::default(),
            started_at: now,
            updated_at: now,
            deadline_at: now.plus(life),
            wake_at: Some(now),
            told_at: now,
            untold: false,
        }
    }

    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended { .. })
    }

    /// Whether it is over and whoever asked knows.
    pub fn is_tombstone(&self) -> bool {
        matches!(self.state, State::Ended { heard: true, .. })
    }

    /// Whether it is to end without opening anything more.
    pub fn is_cancelling(&self) -> bool {
        matches!(self.state, State::Cancelling { .. })
    }

    /// The children, where it has such.
    pub fn children(&self) -> Option<&Children> {
        match &self.requests {
            Requests::Children(children) => Some(children),
            Requests::Items(_) => None,
        }
    }

    /// The records, where it has such.
    pub fn items(&self) -> Option<&Items> {
        match &self.requests {
            Requests::Children(_) => None,
            Requests::Items(items) => Some(items),
        }
    }

    /// How many records of its children have not ended.
    pub fn open_items(&self) -> u64 {
        self.children().map_or(0, Children::open_items)
    }

    /// Whether it waits for the answer to this request.
    pub fn holds_open(&self, request_id: &RequestId) -> bool {
        let ours = request_id.task_id() == self.id.as_str() && !self.has_ended();
        ours && match &self.requests {
            Requests::Children(children) => children.open.contains_key(request_id.key()),
            Requests::Items(items) => items.holds_open(request_id.key()),
        }
    }

    /// What became of its requests, the open ones as far as they have told.
    pub fn counts_so_far(&self) -> SyncCounts {
        match &self.requests {
            Requests::Children(children) => {
                let so_far = children.open.values().fold(self.counts, |sum, it| {
                    let total = it.counts.total.max(it.size);
                    sum.plus(SyncCounts { total, ..it.counts })
                });
                let total = so_far.total.max(children.expected.unwrap_or_default());
                SyncCounts { total, ..so_far }
            }
            Requests::Items(_) => self.counts,
        }
    }

    /// Why it stands still; nothing where it moves.
    pub fn standstill(&self) -> Option<String> {
        match &self.state {
            State::Paused { why } => return Some(format!("{PAUSED}{why}")),
            State::Ended { reason, .. } => return reason.clone(),
            State::Running | State::Cancelling { .. } => (),
        }
        match &self.requests {
            Requests::Children(children) => children.standstill(),
            Requests::Items(items) => items.standstill(),
        }
    }

    /// What its parent is told now.
    pub fn report(&self) -> SyncReply {
        let status = match &self.state {
            State::Running | State::Paused { .. } | State::Cancelling { .. } => SyncStatus::Running,
            State::Ended { end, .. } => match end {
                End::Completed => SyncStatus::Completed,
                End::CompletedWithFailures => SyncStatus::CompletedWithFailures,
                End::Cancelled => SyncStatus::Cancelled,
                End::Failed => SyncStatus::Failed,
            },
        };
        SyncReply {
            job_id: self.job_id.clone(),
            request_id: self.id.clone(),
            status,
            counts: self.counts_so_far(),
            reason: self.standstill(),
        }
    }
}

/// How the reason of a task that was paused begins.
pub const PAUSED: &str = "paused: ";
/// How the reason of a task begins whose records all come back too late.
pub const STALLED: &str = "stalled: ";
/// How the reason goes on where the task has paused by itself: a person must look first.
pub const OVER_BUDGET: &str = "too many failures";
