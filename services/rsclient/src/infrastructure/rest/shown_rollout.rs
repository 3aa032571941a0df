//! A rollout as it is shown.

use async_task::At;
use events::{AgentPackageId, IspId, JobId, Text};
use jiff::Timestamp;
use openapi::schema;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Counts, Plan, Rollout, WHOLE_PER_MILLE, WaveDone};

/// A rollout as it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rollout)]
pub(super) struct Shown {
    #[schema(value_type = schema::Id)]
    rollout_id: JobId,
    #[schema(value_type = schema::Id)]
    isp_id: IspId,
    #[schema(value_type = schema::Text)]
    model: Text,
    #[schema(value_type = Option<schema::Text>)]
    target_version: Option<Text>,
    #[schema(value_type = schema::Id)]
    from: AgentPackageId,
    #[schema(value_type = schema::Id)]
    to: AgentPackageId,
    /// One of `starting`, `raising`, `walking`, `soaking`, `paused`, `finishing`, `aborting`, `completed`, `aborted` and
    /// `failed`.
    #[schema(value_type = String)]
    state: &'static str,
    /// Why it does not go on, or has ended so; nothing where it is complete.
    reason: Option<String>,
    /// How many of a thousand routers are led to the new package.
    share_per_mille: u16,
    /// The present wave, the first one being 1.
    wave: u32,
    /// How many waves there are.
    waves: u32,
    /// The routers that are moved, as they were counted last.
    counts: ShownCounts,
    /// Those of the present wave.
    of_wave: ShownCounts,
    /// So many routers of the wave must report that they have installed the package.
    needed: u64,
    /// The waves that are done.
    done: Vec<ShownWave>,
    plan: ShownPlan,
    requested_by: String,
    #[schema(value_type = schema::Time)]
    started_at: Timestamp,
    #[schema(value_type = schema::Time)]
    updated_at: Timestamp,
    /// When it is aborted at the latest.
    #[schema(value_type = schema::Time)]
    deadline_at: Timestamp,
    #[schema(value_type = Option<schema::Time>)]
    ended_at: Option<Timestamp>,
}

/// What became of routers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RolloutCounts)]
struct ShownCounts {
    routers: u64,
    installed: u64,
    failed: u64,
    /// Those that have not reported.
    silent: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RolloutWave)]
struct ShownWave {
    share_per_mille: u16,
    counts: ShownCounts,
    #[schema(value_type = schema::Time)]
    at: Timestamp,
}

/// How it goes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RolloutPlan)]
struct ShownPlan {
    waves_per_mille: Vec<u16>,
    success_per_mille: u16,
    error_per_mille: u16,
    soak_seconds: u64,
    wave_seconds: u64,
    rollout_seconds: u64,
}

impl From<&Rollout> for Shown {
    fn from(it: &Rollout) -> Self {
        Self {
            rollout_id: it.id.clone(),
            isp_id: it.isp_id.clone(),
            model: it.group.model.clone(),
            target_version: it.group.target_version.clone(),
            from: it.from.clone(),
            to: it.to.clone(),
            state: it.state.name(),
            reason: it.reason(),
            share_per_mille: it.share_per_mille.min(WHOLE_PER_MILLE),
            wave: it.wave + 1,
            waves: u32::try_from(it.plan.waves_per_mille.len()).unwrap_or(u32::MAX),
            counts: it.counts.into(),
            of_wave: it.of_wave.into(),
            needed: it.needed(),
            done: it.done.iter().map(ShownWave::from).collect(),
            plan: it.plan.clone().into(),
            requested_by: it.requested_by.clone(),
            started_at: it.started_at.timestamp(),
            updated_at: it.updated_at.timestamp(),
            deadline_at: it.deadline_at.timestamp(),
            ended_at: it.ended_at.map(At::timestamp),
        }
    }
}

impl From<Counts> for ShownCounts {
    fn from(it: Counts) -> Self {
        let Counts { routers, installed, failed } = it;
        Self { routers, installed, failed, silent: it.silent() }
    }
}

impl From<&WaveDone> for ShownWave {
    fn from(it: &WaveDone) -> Self {
        Self {
            share_per_mille: it.share_per_mille,
            counts: it.counts.into(),
            at: it.at.timestamp(),
        }
    }
}

impl From<Plan> for ShownPlan {
    fn from(it: Plan) -> Self {
        Self {
            waves_per_mille: it.waves_per_mille,
            success_per_mille: it.success_per_mille,
            error_per_mille: it.error_per_mille,
            soak_seconds: it.soak_seconds,
            wave_seconds: it.wave_seconds,
            rollout_seconds: it.rollout_seconds,
        }
    }
}
