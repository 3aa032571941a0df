//! A rollout: the routers of a group are led from one package to another in waves, and back where that goes wrong.
//!
//! This is what is stored of it, and its state machine: [`Rollout::act`] says what is to be done in the world, [`Rollout::after`] what follows from
//! how that went, [`Rollout::steer`] what follows from what a person wants. Each is one conditional write of one document
//! that holds counts and no router. Whatever is done in the world may be done twice, and too late.

mod plan;
#[cfg(test)]
mod simulation;
mod steps;
mod words;

use std::time::Duration;

use async_task::At;
use events::{AgentPackageId, IspId, JobId};
use serde::{Deserialize, Serialize};

pub use self::plan::{Plan, WrongPlan};
use super::Group;

/// Longest name of who wanted a rollout that is kept.
const WHO_CHARACTERS_MAX: usize = 200;

/// A rollout at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// The rollout.
    #[serde(rename = "_id")]
    pub id: JobId,
    /// Raised by every write: who writes has read the last one.
    pub fence: i64,
    /// The tenant.
    pub isp_id: IspId,
    /// Whose routers.
    pub group: Group,
    /// What they run before.
    pub from: AgentPackageId,
    /// What they run afterwards.
    pub to: AgentPackageId,
    /// How it goes.
    pub plan: Plan,
    /// Who wanted it.
    pub requested_by: String,
    /// It is not over: each model has at most one such.
    pub open: bool,
    /// Where in its life it is.
    pub state: RolloutState,
    /// Why it pauses as soon as what is being raised is raised.
    #[serde(default)]
    pub pauses: Option<String>,
    /// Both packages know of it.
    pub pinned: bool,
    /// The present wave.
    pub wave: u32,
    /// The share as it was raised last.
    pub share_per_mille: u16,
    /// How often it has had the routers told.
    pub walks: u32,
    /// Whether they have been told of the present share.
    pub told: bool,
    /// Why they have not.
    pub standstill: Option<String>,
    /// All routers that it has moved, as they were counted last.
    pub counts: Counts,
    /// Those of the present wave.
    pub of_wave: Counts,
    /// The failures that somebody knew of who has resumed it.
    pub forgiven: Forgiven,
    /// The waves that are done.
    pub done: Vec<WaveDone>,
    /// When it began.
    pub started_at: At,
    /// When it changed last.
    pub updated_at: At,
    /// When it is aborted at the latest.
    pub deadline_at: At,
    /// When it was over.
    pub ended_at: Option<At>,
    /// When somebody must look at it; never again once nothing is left to do.
    pub wake_at: Option<At>,
}

/// Where in its life a rollout is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum RolloutState {
    /// The packages are being told of it.
    Starting,
    /// The share is being raised.
    Raising,
    /// The routers of the wave are told and report.
    Walking {
        /// Since when.
        since: At,
    },
    /// Enough of them have reported: whether it stays so is waited for.
    Soaking {
        /// Since when.
        since: At,
    },
    /// Nothing is raised until somebody resumes it.
    Paused {
        /// Why.
        why: String,
        /// Since when.
        since: At,
    },
    /// The group becomes one of the package.
    Finishing,
    /// The share is taken back, and the routers are told.
    Aborting {
        /// Why.
        why: String,
        /// How often they have been told.
        walks: u32,
    },
    /// It is over.
    Ended {
        /// How.
        end: RolloutEnd,
        /// Why, where that is not plain.
        reason: Option<String>,
        /// How often to look for what it has left behind.
        tidy: u32,
    },
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutEnd {
    /// All routers run the new package.
    Completed,
    /// All run what they ran before.
    Aborted,
    /// It could not begin.
    Failed,
}

/// What became of routers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Those that are to run the new package.
    pub routers: u64,
    /// Those of them that report that they do.
    pub installed: u64,
    /// Those of them that report that they could not install it.
    pub failed: u64,
}

/// Failures that are known of and count no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgiven {
    /// Of all routers.
    pub all: u64,
    /// Of those of the present wave.
    pub of_wave: u64,
}

/// A wave that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveDone {
    /// The share that it raised to.
    pub share_per_mille: u16,
    /// What had become of its routers.
    pub counts: Counts,
    /// When it was done.
    pub at: At,
}

/// What is to be done in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Tell both packages: neither may be given up, and a share of nothing is made.
    Pin,
    /// Raise the share, then begin the walk.
    Raise,
    /// Count.
    Look,
    /// Make the group one of the package, in one write that takes the share away, too.
    Settle,
    /// Take the share away, then begin the walk, and say whether it is over.
    Withdraw,
    /// Take away what is left behind.
    Tidy,
}

/// How that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Both packages know of it, or one may not be used.
    Pinned(Result<(), String>),
    /// The share is raised and the walk has begun.
    Raised,
    /// This was counted.
    Looked(Look),
    /// The group is one of the package, or must not become one.
    Settled(Result<(), String>),
    /// The share is gone, and the walk is as far as this.
    Withdrawn(Walked),
    /// Nothing is left.
    Tidied,
}

/// What there was to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// How far the walk is.
    pub walked: Walked,
    /// Why the routers do not run what they should.
    pub trouble: Option<String>,
    /// All routers that are moved.
    pub counts: Counts,
    /// Those of the present wave.
    pub of_wave: Counts,
}

/// How far a walk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walked {
    /// On its way; why it stands still, if it does.
    UnderWay(Option<String>),
    /// All routers have been told.
    Done,
    /// All but some, which the backend does not take.
    Partly(String),
    /// Some never will be.
    Failed(String),
}

/// What a person may have a rollout do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// Raise nothing until it is resumed.
    Pause,
    /// Go on.
    Resume,
    /// Lead the routers back.
    Abort,
}

/// Why a rollout does not do that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSteer(pub &'static str);

impl Counts {
    /// Those that have not reported.
    pub fn silent(&self) -> u64 {
        self.routers.saturating_sub(self.installed + self.failed)
    }

    /// How many of these that were not forgiven have to be well.
    fn needed(&self, per_mille: u16, forgiven: u64) -> u64 {
        let judged = self.routers.saturating_sub(forgiven.min(self.failed));
        (judged * u64::from(per_mille)).div_ceil(1_000)
    }

    fn is_over(&self, per_mille: u16, forgiven: u64) -> bool {
        self.failed.saturating_sub(forgiven) * 1_000 > self.routers * u64::from(per_mille)
    }
}

impl Rollout {
    /// One that is about to start, from the first package of two to the second. Whoever wants it is kept by name.
    pub fn new(
        id: JobId,
        isp_id: IspId,
        group: Group,
        (from, to): (AgentPackageId, AgentPackageId),
        plan: Plan,
        who: &str,
        now: At,
    ) -> Self {
        Self {
            id,
            fence: 1,
            isp_id,
            group,
            from,
            to,
            requested_by: who.chars().take(WHO_CHARACTERS_MAX).collect(),
            open: true,
            state: RolloutState::Starting,
            pauses: None,
            pinned: false,
            wave: 0,
            share_per_mille: 0,
            walks: 0,
            told: false,
            standstill: None,
            counts: Counts::default(),
            of_wave: Counts::default(),
            forgiven: Forgiven::default(),
            done: Vec::new(),
            started_at: now,
            updated_at: now,
            deadline_at: now.plus(Duration::from_secs(plan.rollout_seconds)),
            ended_at: None,
            wake_at: Some(now),
            plan,
        }
    }

    /// The share that the present wave raises to.
    pub fn wanted_per_mille(&self) -> u16 {
        let wave = usize::try_from(self.wave).unwrap_or(usize::MAX);
        self.plan.waves_per_mille.get(wave).copied().unwrap_or_default()
    }

    /// The share that the wave before raised to.
    pub fn before_per_mille(&self) -> u16 {
        // The last wave may be gone through again, when it is done already.
        let before = usize::try_from(self.wave).ok().and_then(|it| it.checked_sub(1));
        before.and_then(|it| self.done.get(it)).map_or(0, |it| it.share_per_mille)
    }

    /// How many routers of the present wave must report that they run the package.
    pub fn needed(&self) -> u64 {
        self.of_wave.needed(self.plan.success_per_mille, self.forgiven.of_wave)
    }

    /// The present walk: each has a name of its own.
    pub fn walk_id(&self) -> JobId {
        format!("{}-{}", self.id, self.walks).parse().expect("an id and a number are an id")
    }

    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, RolloutState::Ended { .. })
    }
}
