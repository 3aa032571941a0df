//! A job is cancelled, paused, resumed, or has what failed sent again.

use async_task::{At, Order, State};
use auth::Caller;
use events::JobId;

use super::{Failure, find_job, tend_scopes::tend_one};
use crate::{
    app::App,
    domain::{JobTask, Opening, can_be_redriven, task_id},
    infrastructure::store::Taken,
};

/// What a job can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send nothing more.
    Cancel,
    /// Send nothing more until it is resumed.
    Pause,
    /// Go on.
    Resume,
    /// Send again what failed.
    Redrive,
}

/// Has a job do something. The state is written first, then the services are told, and told again until they say that
/// they know.
///
/// # Errors
/// The job is not the caller's, or its state does not allow it.
pub async fn steer_job(
    app: &App,
    caller: &Caller,
    job_id: &JobId,
    action: Action,
) -> Result<(), Failure> {
    let job = find_job(app, caller, job_id).await?;
    let is_moving = match &job.state {
        State::Running | State::Paused { .. } => true,
        State::Cancelling { .. } | State::Ended { .. } => false,
    };
    let conflict = |why: &str| Err(Failure::Conflict(format!("the job {job_id} {why}")));
    match action {
        // What has ended does not run any more: that is all that the caller wants.
        Action::Cancel if job.has_ended() => Ok(()),
        Action::Cancel => Ok(app.tasks.cancel(job_id, Vec::new()).await?),
        Action::Pause | Action::Resume if !is_moving => conflict("is over, or about to be"),
        Action::Pause => {
            let order = Order::Pause(format!("by {}", caller.subject));
            app.tasks.order(&job.id, &order).await?;
            Ok(())
        }
        Action::Resume => {
            app.tasks.order(&job.id, &Order::Resume).await?;
            Ok(())
        }
        Action::Redrive if !job.has_ended() => conflict("has not ended"),
        Action::Redrive if !can_be_redriven(&job) => conflict("has no failures"),
        Action::Redrive => redrive(app, caller, &job).await,
    }
}

/// Takes the scope once more, then has the job run again: as at the start, the entry says all that there is to do.
async fn redrive(app: &App, caller: &Caller, job: &JobTask) -> Result<(), Failure> {
    let sync_all = job.payload.sync_all();
    app.store.scopes.give_back(&job.job_id, sync_all.redrives).await?;
    let opening = Opening {
        job_id: job.job_id.clone(),
        scope: sync_all.scope.clone(),
        mode: sync_all.mode,
        window: sync_all.window,
        rate_per_s: sync_all.rate_per_s,
        requested_by: sync_all.requested_by.clone(),
        of_operator: caller.is_operator(),
        replaces: false,
        redrives: sync_all.redrives + 1,
    };
    let is_ours = |it: &Opening| it.job_id == job.job_id;
    match app.store.scopes.take(&opening).await? {
        Taken::Yes => (),
        // Somebody else has it redriven at this moment.
        Taken::No(blocking) if blocking.iter().any(is_ours) => (),
        Taken::No(blocking) => {
            let who = blocking.first().map_or("too many jobs", |it| it.job_id.as_str());
            return Err(Failure::Conflict(format!("{who} must end before")));
        }
    }
    tend_one(app, &job.job_id).await
}

/// The job runs again, as its `nth` redrive says, if it does not already.
pub(super) async fn run_again(app: &App, job_id: &JobId, nth: u32) -> Result<(), Failure> {
    use async_task::TaskStore as _;

    let id = task_id(job_id);
    let life = std::time::Duration::from_secs(app.tasks.limits().job_seconds);
    while let Some(mut job) = app.tasks.store().find(&id).await? {
        if !crate::domain::redrive(&mut job, nth, At::now(), life) {
            return Ok(());
        }
        if app.tasks.store().update(&mut job).await? {
            // It asks at once: its requests count as silent.
            return Ok(app.tasks.wake(&id).await?);
        }
    }
    Ok(())
}
