//! A rollout as rsclient tells it.

use std::fmt;

use events::{AgentPackageId, IspId, JobId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Ending,
    service::{Refusal, Whom},
    shown::line,
};

/// A rollout, and the words in which rsclient told it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rollout {
    pub(crate) told: Value,
    pub(crate) is: Known,
}

/// What this program knows of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Known {
    pub(crate) rollout_id: JobId,
    pub(crate) isp_id: IspId,
    pub(crate) model: String,
    pub(crate) target_version: Option<String>,
    pub(crate) from: AgentPackageId,
    pub(crate) to: AgentPackageId,
    pub(crate) state: State,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) share_per_mille: u16,
    #[serde(default)]
    pub(crate) wave: u32,
    #[serde(default)]
    pub(crate) waves: u32,
    #[serde(default)]
    pub(crate) counts: Counts,
    #[serde(default)]
    pub(crate) of_wave: Counts,
    #[serde(default)]
    pub(crate) done: Vec<WaveDone>,
    pub(crate) requested_by: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) updated_at: Option<Timestamp>,
    pub(crate) deadline_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
}

/// What became of routers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Counts {
    pub(crate) routers: u64,
    pub(crate) installed: u64,
    pub(crate) failed: u64,
}

/// A wave that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct WaveDone {
    pub(crate) counts: Counts,
}

/// How far a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Starting,
    Raising,
    Walking,
    Soaking,
    Paused,
    Finishing,
    Aborting,
    Completed,
    Aborted,
    Failed,
}

impl State {
    /// How a command ends that followed the rollout; `None` while it goes on.
    pub(crate) fn ending(self) -> Option<Ending> {
        match self {
            Self::Starting
            | Self::Raising
            | Self::Walking
            | Self::Soaking
            | Self::Paused
            | Self::Finishing
            | Self::Aborting => None,
            Self::Completed => Some(Ending::Well),
            Self::Aborted => Some(Ending::Cancelled),
            Self::Failed => Some(Ending::Failed),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Raising => "raising",
            Self::Walking => "walking",
            Self::Soaking => "soaking",
            Self::Paused => "paused",
            Self::Finishing => "finishing",
            Self::Aborting => "aborting",
            Self::Completed => "completed",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
        })
    }
}

impl TryFrom<Value> for Rollout {
    type Error = Refusal;

    fn try_from(told: Value) -> Result<Self, Refusal> {
        let is = Known::deserialize(&told)
            .map_err(|err| Refusal::senseless(Whom::Rsclient, "rollout", err))?;
        Ok(Self { told, is })
    }
}

impl Known {
    /// The state, and why it is so.
    pub(crate) fn state_and_reason(&self) -> String {
        match &self.reason {
            None => self.state.to_string(),
            Some(reason) => format!("{} ({})", self.state, line(reason.as_bytes())),
        }
    }

    /// Which routers, in words.
    pub(crate) fn routers_in_words(&self) -> String {
        match &self.target_version {
            None => format!("model {}", self.model),
            Some(version) => format!("model {}, version {version}", self.model),
        }
    }

    /// Which wave, in words.
    pub(crate) fn wave_in_words(&self) -> String {
        let (whole, tenth) = (self.share_per_mille / 10, self.share_per_mille % 10);
        format!("{} of {} ({whole}.{tenth} %)", self.wave, self.waves)
    }
}
