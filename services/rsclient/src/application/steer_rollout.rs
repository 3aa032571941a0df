//! A person pauses, resumes or aborts a rollout, or looks at rollouts.

use async_task::At;
use auth::Caller;
use events::{IspId, JobId};

use crate::{
    app::App,
    application::Failure,
    domain::{Rollout, Steer},
};

/// How often a write is tried that others overtake.
const ROUNDS_MAX: usize = 20;

/// A page of rollouts.
#[derive(Clone, Debug)]
pub struct RolloutPage {
    /// The rollouts, the newest first.
    pub items: Vec<Rollout>,
    /// Behind which one the next page begins.
    pub next: Option<JobId>,
}

/// Has a rollout do something, in one write; what it already does is done.
///
/// # Errors
/// There is no such rollout, or it is not the caller's; its state does not allow it; or the store failed.
pub async fn steer_rollout(
    app: &App,
    caller: &Caller,
    isp_id: Option<&IspId>,
    id: &JobId,
    steer: Steer,
) -> Result<Rollout, Failure> {
    for _ in 0..ROUNDS_MAX {
        let held = find_rollout(app, caller, isp_id, id).await?;
        let mut rollout = held.clone();
        let steered = rollout.steer(steer, &caller.subject, At::now());
        steered.map_err(|it| Failure::Conflict(it.0.to_owned()))?;
        // Whoever looks at it just now is not disturbed.
        if rollout == held {
            return Ok(rollout);
        }
        if app.store.rollouts.write(&mut rollout).await? {
            return Ok(rollout);
        }
    }
    Err(Failure::Store(crate::infrastructure::store::StoreError::Contended { id: id.to_string() }))
}

/// A rollout that the caller may see.
///
/// # Errors
/// There is none, or it is not the caller's: both look alike from outside. Or the store failed.
pub async fn find_rollout(
    app: &App,
    caller: &Caller,
    isp_id: Option<&IspId>,
    id: &JobId,
) -> Result<Rollout, Failure> {
    let rollout = app.store.rollouts.find(id).await?.ok_or(Failure::NoSuch(Vec::new()))?;
    let is_own = caller.isp_id.as_ref().is_none_or(|it| *it == rollout.isp_id)
        && isp_id.is_none_or(|it| *it == rollout.isp_id);
    match is_own {
        true => Ok(rollout),
        false => {
            Err(Failure::TenantMismatch(format!("`{}` asks for rollout `{id}`", caller.subject)))
        }
    }
}

/// The rollouts that the caller may see, the newest first.
///
/// # Errors
/// Another ISP's are asked for, or the store failed.
pub async fn list_rollouts(
    app: &App,
    caller: &Caller,
    isp_id: Option<&IspId>,
    before: Option<&JobId>,
    limit: usize,
) -> Result<RolloutPage, Failure> {
    if let (Some(own), Some(named)) = (&caller.isp_id, isp_id)
        && own != named
    {
        let who = &caller.subject;
        return Err(Failure::TenantMismatch(format!("`{who}` asks for rollouts of `{named}`")));
    }
    let isp_id = caller.isp_id.as_ref().or(isp_id);
    let mut items = app.store.rollouts.page(isp_id, before, limit + 1).await?;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| has_more).map(|it| it.id.clone());
    Ok(RolloutPage { items, next })
}
