//! Topic `as-rs-adaptor-reply-topic`: how a record that asked for an answer ended.

use serde::{Deserialize, Serialize};

use crate::{JobId, RequestId, Revision, Text};

/// How a record ended at HS-BE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedReply {
    /// Which request this answers.
    pub request_id: RequestId,
    /// The job that the request belongs to.
    pub job_id: Option<JobId>,
    /// The resource that the record was about.
    pub resource: Text,
    /// The revision that the record carried.
    pub revision: Revision,
    /// The revision that is held now, where one is.
    pub held_revision: Option<Revision>,
    /// How it ended.
    pub status: ReplyStatus,
    /// What HS-BE answered, where it was asked.
    pub http_status: Option<u16>,
    /// Why it was rejected.
    pub error: Option<String>,
}

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyStatus {
    /// HS-BE holds it.
    Applied,
    /// HS-BE held it already.
    Unchanged,
    /// Something newer is held.
    Superseded,
    /// It is wrong.
    Rejected,
    /// It was too late to be sent.
    Expired,
    /// A dry run.
    NotSent,
}

/// What rsadaptor answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdaptorReply {
    /// `RSDeviceCreatedReply`: to every record of `as-rs-provision-topic`
    RSDeviceCreatedReply(AppliedReply),
    /// `RSAgentPackageCreatedReply`
    RSAgentPackageCreatedReply(AppliedReply),
    /// `RSSystemReply`
    RSSystemReply(AppliedReply),
}

crate::topic_event! {
    AdaptorReply on "as-rs-adaptor-reply-topic" {
        RSDeviceCreatedReply(it) => (&it.request_id, &()),
        RSAgentPackageCreatedReply(it) => (&it.request_id, &()),
        RSSystemReply(it) => (&it.request_id, &()),
    }
}
