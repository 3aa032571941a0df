//! A job as rssync tells it.

use std::fmt;

use events::{JobId, SyncCounts, SyncMode, SyncScope};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Ending,
    service::{Refusal, Whom},
    shown::line,
};

/// A job, and the words in which rssync told it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    pub(crate) told: Value,
    pub(crate) is: Known,
}

/// What this program knows of a job.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Known {
    pub(crate) job_id: JobId,
    pub(crate) state: State,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) scope: SyncScope,
    pub(crate) mode: Option<SyncMode>,
    pub(crate) window: Option<u32>,
    pub(crate) rate_per_s: Option<u32>,
    pub(crate) step: Option<String>,
    #[serde(default)]
    pub(crate) counts: SyncCounts,
    pub(crate) requested_by: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) updated_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Running,
    Paused,
    Stalled,
    Cancelling,
    Completed,
    CompletedWithFailures,
    Cancelled,
    Failed,
}

impl State {
    /// How a command ends that followed the job; `None` while it goes on.
    pub(crate) fn ending(self) -> Option<Ending> {
        match self {
            Self::Running | Self::Paused | Self::Stalled | Self::Cancelling => None,
            Self::Completed => Some(Ending::Well),
            Self::CompletedWithFailures => Some(Ending::WithFailures),
            Self::Cancelled => Some(Ending::Cancelled),
            Self::Failed => Some(Ending::Failed),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stalled => "stalled",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::CompletedWithFailures => "completed with failures",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        })
    }
}

impl TryFrom<Value> for Job {
    type Error = Refusal;

    fn try_from(told: Value) -> Result<Self, Refusal> {
        let is = Known::deserialize(&told)
            .map_err(|err| Refusal::senseless(Whom::Rssync, "job", err))?;
        Ok(Self { told, is })
    }
}

impl Known {
    /// Entities whose end is known.
    pub(crate) fn ended(&self) -> u64 {
        let it = &self.counts;
        let ends = [
            it.applied,
            it.unchanged,
            it.superseded,
            it.gone,
            it.rejected,
            it.not_sent,
            it.unknown,
        ];
        ends.into_iter().fold(0, u64::saturating_add)
    }

    /// The state, and why it is so.
    pub(crate) fn state_and_reason(&self) -> String {
        match &self.reason {
            None => self.state.to_string(),
            Some(reason) => format!("{} ({})", self.state, line(reason.as_bytes())),
        }
    }

    /// Which homes, in words.
    pub(crate) fn scope_in_words(&self) -> String {
        let SyncScope { isp_id, account_id, model } = &self.scope;
        let isp = isp_id.as_ref().map(|it| format!("ISP {it}"));
        let account = account_id.as_ref().map(|it| format!("account {it}"));
        let model = model.as_ref().map(|it| format!("model {it}"));
        let parts: Vec<_> = [isp, account, model].into_iter().flatten().collect();
        if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
    }

    /// What is sent, in a word.
    pub(crate) fn mode_in_words(&self) -> &'static str {
        match self.mode {
            Some(SyncMode::Force) => "force",
            Some(SyncMode::Delta) => "delta",
            None => "",
        }
    }
}
