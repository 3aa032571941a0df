//! The tasks of the service: a full sync's part that is about packages, and its bulks.

use async_task::{Payload, TaskType};
use events::{JobId, RequestId, SyncMode, SyncRequest, SyncScope};
use serde::{Deserialize, Serialize};

/// What a task of this service is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum AgentTask {
    /// `RSSyncAgentPackages`
    RSSyncAgentPackages(SyncAgentPackages),
    /// `RSSyncAgentPackagesBulk`
    RSSyncAgentPackagesBulk(SyncAgentPackagesBulk),
}

/// Sends the packages of a scope, bulk by bulk, and then what is said of its ISPs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncAgentPackages {
    /// Which packages.
    pub scope: SyncScope,
    /// What is sent.
    pub mode: SyncMode,
    /// Most packages that are open at a time.
    pub window: u32,
    /// Most packages per second.
    pub rate_per_s: Option<u32>,
    /// Whether only what has failed before is sent.
    pub redrive: bool,
}

/// Sends the packages of a range of ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncAgentPackagesBulk {
    /// What is sent.
    pub mode: SyncMode,
    /// Whether it has failed before.
    pub redrive: bool,
}

impl TaskType for SyncAgentPackages {
    const NAME: &'static str = "RSSyncAgentPackages";
}

impl TaskType for SyncAgentPackagesBulk {
    const NAME: &'static str = "RSSyncAgentPackagesBulk";
}

impl Payload for AgentTask {
    const VERSION: u32 = 1;

    fn task_type(&self) -> &'static str {
        match self {
            Self::RSSyncAgentPackages(_) => SyncAgentPackages::NAME,
            Self::RSSyncAgentPackagesBulk(_) => SyncAgentPackagesBulk::NAME,
        }
    }

    fn replies(&self) -> &'static [&'static str] {
        match self {
            Self::RSSyncAgentPackages(_) => &["RSSyncAgentPackagesBulkReply"],
            Self::RSSyncAgentPackagesBulk(_) => &["RSAgentPackageCreatedReply", "RSSystemReply"],
        }
    }

    fn window(&self) -> u64 {
        match self {
            Self::RSSyncAgentPackages(it) => u64::from(it.window),
            // A bulk sends all of its packages at once.
            Self::RSSyncAgentPackagesBulk(_) => u64::MAX,
        }
    }

    fn rate_per_s(&self) -> Option<u32> {
        match self {
            Self::RSSyncAgentPackages(it) => it.rate_per_s,
            Self::RSSyncAgentPackagesBulk(_) => None,
        }
    }

    fn is_redrive(&self) -> bool {
        match self {
            Self::RSSyncAgentPackages(it) => it.redrive,
            Self::RSSyncAgentPackagesBulk(it) => it.redrive,
        }
    }

    fn parent_is_here(&self) -> bool {
        match self {
            Self::RSSyncAgentPackages(_) => false,
            Self::RSSyncAgentPackagesBulk(_) => true,
        }
    }
}

/// What a job of this id, which asks for nothing in particular, would have the service do.
const UNSAID: SyncAgentPackages = SyncAgentPackages {
    scope: SyncScope { isp_id: None, account_id: None, model: None },
    mode: SyncMode::Force,
    window: 2_000,
    rate_per_s: None,
    redrive: false,
};

/// The task that a request asks for.
pub fn sync_request(request: &SyncRequest) -> AgentTask {
    AgentTask::RSSyncAgentPackages(SyncAgentPackages {
        scope: request.scope.clone(),
        mode: request.mode,
        window: request.window.max(1),
        rate_per_s: request.rate_per_s,
        redrive: false,
    })
}

/// The task that sends again what has failed of another, which may be forgotten.
pub fn redrive_of(first: Option<AgentTask>) -> AgentTask {
    let first = match first {
        Some(AgentTask::RSSyncAgentPackages(first)) => first,
        Some(AgentTask::RSSyncAgentPackagesBulk(_)) | None => UNSAID,
    };
    AgentTask::RSSyncAgentPackages(SyncAgentPackages { redrive: true, ..first })
}

/// The id of the first request of a job that this service gets.
pub fn sync_task_id(job_id: &JobId) -> RequestId {
    format!("{job_id}/agents").parse().expect("the id of a job is short and of the same letters")
}

/// Whether `id` is that of a task which a job has asked for, and none of its bulks.
pub fn is_job_task(id: &RequestId, job_id: &JobId) -> bool {
    id.task_id() == job_id.as_str()
}
