//! What the tasks of the service are about.

use async_task::{Payload, TaskType};
use events::{IspId, JobId, SyncMode, SyncScope, Text};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The namespace of the ids of walks.
const WALKS: Uuid = Uuid::from_u128(0x1f6c_8f43_58a1_5b6e_8d1e_7a8f_1b52_6a01);
/// Most requests that a walk has open.
const WALK_WINDOW: u64 = 1_000;

/// What a task of the service is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Work {
    /// Everything that ISPs say for all of their homes.
    RSSyncSystem(SyncSystem),
    /// Devices of a scope, in bulks.
    RSSyncAccounts(SyncAccounts),
    /// Some devices, or documents of ISPs.
    RSSyncAccountsBulk(SyncAccountsBulk),
    /// All devices of an ISP for which something has changed.
    Walk(Walk),
}

/// Sends again what ISPs say for all of their homes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncSystem {
    /// Whose.
    pub scope: SyncScope,
    /// Whether what is unchanged is sent, too.
    pub mode: SyncMode,
}

/// Sends devices again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncAccounts {
    /// Which.
    pub scope: SyncScope,
    /// Whether what is unchanged is sent, too.
    pub mode: SyncMode,
    /// Most requests that are open.
    pub window: u32,
    /// Most requests that are opened per second.
    pub rate_per_s: Option<u32>,
    /// Where the devices are found.
    pub source: Source,
}

/// Where the devices of a sync are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// All of the scope.
    Scope,
    /// Those of which the job has kept a failure.
    Failures,
}

/// Sends some devices, or documents of ISPs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncAccountsBulk {
    /// How.
    pub manner: Manner,
    /// Where they were found.
    pub source: Source,
}

/// How a device is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// As it is, even where nothing would change.
    Force,
    /// As it is.
    Delta,
    /// With a revision of its own, because what holds for it has changed.
    Raised,
}

/// Publishes all devices of an ISP for which something has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Walk {
    /// The ISP.
    pub isp_id: IspId,
    /// Which of its devices.
    #[serde(default)]
    pub which: Which,
    /// The step of a rollout that it is for; nothing where it is the one walk of the ISP.
    #[serde(default)]
    pub step: Option<RolloutStep>,
}

/// A step of a rollout for which routers are told what they are to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutStep {
    /// The name of the walk.
    pub job_id: JobId,
    /// Only routers of this model can be concerned.
    pub model: Text,
}

/// Which devices of a scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// All of them.
    #[default]
    All,
    /// Its routers.
    Routers,
}

impl TaskType for SyncSystem {
    const NAME: &'static str = "RSSyncSystem";
}

impl TaskType for SyncAccounts {
    const NAME: &'static str = "RSSyncAccounts";
}

impl TaskType for SyncAccountsBulk {
    const NAME: &'static str = "RSSyncAccountsBulk";
}

impl TaskType for Walk {
    const NAME: &'static str = "Walk";
}

impl Payload for Work {
    const VERSION: u32 = 1;

    fn task_type(&self) -> &'static str {
        match self {
            Self::RSSyncSystem(_) => SyncSystem::NAME,
            Self::RSSyncAccounts(_) => SyncAccounts::NAME,
            Self::RSSyncAccountsBulk(_) => SyncAccountsBulk::NAME,
            Self::Walk(_) => Walk::NAME,
        }
    }

    fn replies(&self) -> &'static [&'static str] {
        match self {
            Self::RSSyncSystem(_) | Self::RSSyncAccounts(_) | Self::Walk(_) => {
                &["RSSyncAccountsBulkReply"]
            }
            Self::RSSyncAccountsBulk(_) => &["RSDeviceCreatedReply", "RSSystemReply"],
        }
    }

    fn window(&self) -> u64 {
        match self {
            Self::RSSyncAccounts(it) => u64::from(it.window.max(1)),
            Self::RSSyncSystem(_) | Self::RSSyncAccountsBulk(_) | Self::Walk(_) => WALK_WINDOW,
        }
    }

    fn rate_per_s(&self) -> Option<u32> {
        match self {
            Self::RSSyncAccounts(it) => it.rate_per_s,
            Self::RSSyncSystem(_) | Self::RSSyncAccountsBulk(_) | Self::Walk(_) => None,
        }
    }

    fn keeps_to_budget(&self) -> bool {
        match self {
            Self::RSSyncSystem(_) | Self::RSSyncAccounts(_) | Self::RSSyncAccountsBulk(_) => true,
            Self::Walk(_) => false,
        }
    }

    fn is_redrive(&self) -> bool {
        match self {
            Self::RSSyncAccounts(it) => it.source == Source::Failures,
            Self::RSSyncAccountsBulk(it) => it.source == Source::Failures,
            Self::RSSyncSystem(_) | Self::Walk(_) => false,
        }
    }

    fn parent_is_here(&self) -> bool {
        match self {
            Self::RSSyncAccountsBulk(_) => true,
            Self::RSSyncSystem(_) | Self::RSSyncAccounts(_) | Self::Walk(_) => false,
        }
    }
}

impl Work {
    /// Which devices a task that opens bulks is about.
    pub fn scope(&self) -> SyncScope {
        match self {
            Self::RSSyncSystem(SyncSystem { scope, .. })
            | Self::RSSyncAccounts(SyncAccounts { scope, .. }) => scope.clone(),
            Self::Walk(walk) => SyncScope {
                isp_id: Some(walk.isp_id.clone()),
                model: walk.step.as_ref().map(|it| it.model.clone()),
                ..SyncScope::default()
            },
            Self::RSSyncAccountsBulk(_) => SyncScope::default(),
        }
    }

    /// Which of the devices of its scope.
    pub fn which(&self) -> Which {
        match self {
            Self::Walk(walk) => walk.which,
            Self::RSSyncSystem(_) | Self::RSSyncAccounts(_) | Self::RSSyncAccountsBulk(_) => {
                Which::All
            }
        }
    }

    /// Where its devices are found.
    pub fn source(&self) -> Source {
        match self {
            Self::RSSyncAccounts(SyncAccounts { source, .. })
            | Self::RSSyncAccountsBulk(SyncAccountsBulk { source, .. }) => *source,
            Self::RSSyncSystem(_) | Self::Walk(_) => Source::Scope,
        }
    }

    /// How its devices are sent.
    pub fn manner(&self) -> Manner {
        match self {
            Self::RSSyncAccounts(SyncAccounts { mode, .. })
            | Self::RSSyncSystem(SyncSystem { mode, .. }) => match mode {
                SyncMode::Force => Manner::Force,
                SyncMode::Delta => Manner::Delta,
            },
            Self::RSSyncAccountsBulk(SyncAccountsBulk { manner, .. }) => *manner,
            Self::Walk(_) => Manner::Raised,
        }
    }
}

impl Walk {
    /// A walk over these devices of an ISP.
    pub fn over(isp_id: IspId, which: Which) -> Self {
        Self { isp_id, which, step: None }
    }

    /// The walk of a step of a rollout of this ISP.
    pub fn of_rollout(isp_id: IspId, step: RolloutStep) -> Self {
        Self { isp_id, which: Which::Routers, step: Some(step) }
    }

    /// The job of the one such walk of an ISP, or of the step.
    pub fn job_id(&self) -> JobId {
        if let Some(step) = &self.step {
            return step.job_id.clone();
        }
        let isp = Uuid::new_v5(&WALKS, self.isp_id.as_str().as_bytes());
        let id = match self.which {
            Which::All => format!("walk-{isp}"),
            Which::Routers => format!("walk-routers-{isp}"),
        };
        id.parse().expect("a word and a UUID are an id")
    }
}
