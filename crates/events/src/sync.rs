//! Request and reply topics of the full sync.

use serde::{Deserialize, Serialize};

use crate::{AccountId, DeviceId, IspId, JobId, RequestId, Text};

/// Which homes a full sync covers; absent members narrow nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncScope {
    /// One ISP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isp_id: Option<IspId>,
    /// One account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,
    /// Routers of one model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Text>,
}

/// What a full sync sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// Everything, remembered deletions too.
    Force,
    /// What differs from what was applied.
    Delta,
}

/// Asks a service to send everything of its kind within a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRequest {
    /// The job.
    pub job_id: JobId,
    /// Where the reply goes.
    pub request_id: RequestId,
    /// Which homes.
    pub scope: SyncScope,
    /// What is sent.
    pub mode: SyncMode,
    /// Most devices that are open at a time.
    pub window: u32,
    /// Most devices per second.
    pub rate_per_s: Option<u32>,
}

/// Asks for the entities with `after` < id ≤ `up_to`, at most 500.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncBulkRequest {
    /// The job.
    pub job_id: JobId,
    /// Where the reply goes.
    pub request_id: RequestId,
    /// The last id of the bulk before; none for the first bulk.
    pub after: Option<DeviceId>,
    /// The last id of this bulk.
    pub up_to: DeviceId,
}

/// How far a request is, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReply {
    /// The job.
    pub job_id: JobId,
    /// Which request this answers.
    pub request_id: RequestId,
    /// How far it is.
    pub status: SyncStatus,
    /// What became of its entities, cumulative.
    pub counts: SyncCounts,
    /// Why it ended as it did.
    pub reason: Option<String>,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum SyncStatus {
    Running,
    Completed,
    CompletedWithFailures,
    Cancelled,
    Failed,
}

/// What became of the entities of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the replies")]
pub struct SyncCounts {
    pub total: u64,
    pub applied: u64,
    pub unchanged: u64,
    pub superseded: u64,
    pub gone: u64,
    pub rejected: u64,
    pub not_sent: u64,
    pub unknown: u64,
}

impl SyncCounts {
    /// How many entities have come to an end, whichever.
    pub fn settled(&self) -> u64 {
        let Self { total: _, applied, unchanged, superseded, gone, rejected, not_sent, unknown } =
            *self;
        applied + unchanged + superseded + gone + rejected + not_sent + unknown
    }

    /// How many did not end well.
    pub fn failed(&self) -> u64 {
        self.rejected + self.unknown
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, |one, two| one + two)
    }

    /// The greater of each: cumulative counts of one request, heard in any order.
    #[must_use]
    pub fn at_least(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    fn with(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            total: of(self.total, other.total),
            applied: of(self.applied, other.applied),
            unchanged: of(self.unchanged, other.unchanged),
            superseded: of(self.superseded, other.superseded),
            gone: of(self.gone, other.gone),
            rejected: of(self.rejected, other.rejected),
            not_sent: of(self.not_sent, other.not_sent),
            unknown: of(self.unknown, other.unknown),
        }
    }
}

/// Ends a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelSync {
    /// The job.
    pub job_id: JobId,
}

/// Steers a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncControl {
    /// The job.
    pub job_id: JobId,
    /// What it should do.
    pub action: SyncAction,
    /// Of a redrive: where its reply goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// What a job can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum SyncAction {
    Pause,
    Resume,
    Redrive,
}

/// What rsagents is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentsRequest {
    /// `RSSyncAgentPackages`
    RSSyncAgentPackages(SyncRequest),
    /// `RSSyncAgentPackagesBulk`
    RSSyncAgentPackagesBulk(SyncBulkRequest),
    /// `RSCancelSync`
    RSCancelSync(CancelSync),
    /// `RSSyncControl`
    RSSyncControl(SyncControl),
}

crate::topic_event! {
    AgentsRequest on "as-rs-agents-request-topic" {
        RSSyncAgentPackages(it) => (&it.request_id, &()),
        RSSyncAgentPackagesBulk(it) => (&it.request_id, &()),
        RSCancelSync(it) => (&it.job_id, &()),
        RSSyncControl(it) => (&it.job_id, &()),
    }
}

/// What rsagents answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentsReply {
    /// `RSSyncAgentPackagesReply`
    RSSyncAgentPackagesReply(SyncReply),
    /// `RSSyncAgentPackagesBulkReply`
    RSSyncAgentPackagesBulkReply(SyncReply),
}

crate::topic_event! {
    AgentsReply on "as-rs-agents-reply-topic" {
        RSSyncAgentPackagesReply(it) => (&it.request_id, &()),
        RSSyncAgentPackagesBulkReply(it) => (&it.request_id, &()),
    }
}

/// What rsclient is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRequest {
    /// `RSSyncSystem`
    RSSyncSystem(SyncRequest),
    /// `RSSyncAccounts`
    RSSyncAccounts(SyncRequest),
    /// `RSSyncAccountsBulk`
    RSSyncAccountsBulk(SyncBulkRequest),
    /// `RSCancelSync`
    RSCancelSync(CancelSync),
    /// `RSSyncControl`
    RSSyncControl(SyncControl),
}

crate::topic_event! {
    ClientRequest on "as-rs-client-request-topic" {
        RSSyncSystem(it) => (&it.request_id, &()),
        RSSyncAccounts(it) => (&it.request_id, &()),
        RSSyncAccountsBulk(it) => (&it.request_id, &()),
        RSCancelSync(it) => (&it.job_id, &()),
        RSSyncControl(it) => (&it.job_id, &()),
    }
}

/// What rsclient answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientReply {
    /// `RSSyncSystemReply`
    RSSyncSystemReply(SyncReply),
    /// `RSSyncAccountsReply`
    RSSyncAccountsReply(SyncReply),
    /// `RSSyncAccountsBulkReply`
    RSSyncAccountsBulkReply(SyncReply),
}

crate::topic_event! {
    ClientReply on "as-rs-client-reply-topic" {
        RSSyncSystemReply(it) => (&it.request_id, &()),
        RSSyncAccountsReply(it) => (&it.request_id, &()),
        RSSyncAccountsBulkReply(it) => (&it.request_id, &()),
    }
}
