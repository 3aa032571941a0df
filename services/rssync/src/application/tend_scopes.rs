//! Taken scopes and the jobs that have them are brought together: whatever a crash has left, and jobs that wait.

use std::time::Duration;

use async_task::{At, Task, TaskStore as _};
use chassis::CancellationToken;
use events::JobId;
use tokio::time::{MissedTickBehavior, interval};

use super::{Failure, steer_job::run_again};
use crate::{
    app::App,
    domain::{JobTask, Opening, hold_back, let_go, overlap, task_id},
};

/// Looks at every scope that is taken, until `stop`: now and then, and whenever a job has ended.
pub async fn tend_scopes_until(app: &App, stop: &CancellationToken) {
    let mut ticks = interval(Duration::from_millis(app.settings.jobs.wake_every_ms.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = async {
            tokio::select! {
                _ = ticks.tick() => (),
                () = app.job_ended.notified() => (),
            }
        };
        if stop.run_until_cancelled(due).await.is_none() {
            return;
        }
        if let Err(error) = tend_scopes(app).await {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::warn!(error, "scopes could not be looked at");
        }
    }
}

/// Looks at every scope that is taken. One of which the job fails does not keep the others.
///
/// # Errors
/// The store does not say which scopes are taken.
pub async fn tend_scopes(app: &App) -> Result<(), Failure> {
    let all = app.store.scopes.all().await?;
    for (at, opening) in all.iter().enumerate() {
        if let Err(error) = tend(app, opening, &all[..at]).await {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::warn!(job_id = %opening.job_id, error, "a job could not be looked after");
        }
    }
    Ok(())
}

/// Looks at the scope of one job.
pub(super) async fn tend_one(app: &App, job_id: &JobId) -> Result<(), Failure> {
    let all = app.store.scopes.all().await?;
    let Some(at) = all.iter().position(|it| it.job_id == *job_id) else { return Ok(()) };
    tend(app, &all[at], &all[..at]).await
}

/// `earlier` are the scopes that were taken before.
async fn tend(app: &App, opening: &Opening, earlier: &[Opening]) -> Result<(), Failure> {
    let blocking: Vec<&Opening> =
        earlier.iter().filter(|it| overlap(&it.scope, &opening.scope)).collect();
    let waits_for = blocking.first().map(|it| it.job_id.clone());
    let give_back = || app.store.scopes.give_back(&opening.job_id, opening.redrives);
    match app.tasks.store().find(&task_id(&opening.job_id)).await? {
        None if opening.redrives > 0 => give_back().await?,
        None => begin(app, opening, waits_for).await?,
        Some(job) if job.has_ended() => {
            match job.payload.sync_all().redrives < opening.redrives {
                true => run_again(app, &opening.job_id, opening.redrives).await?,
                false => give_back().await?,
            }
            return Ok(());
        }
        Some(job) if job.payload.sync_all().waits_for != waits_for => {
            move_on(app, job, waits_for).await?;
        }
        Some(_) => (),
    }
    for it in blocking.into_iter().filter(|it| opening.may_replace(it)) {
        make_room(app, &it.job_id).await?;
    }
    Ok(())
}

/// Makes the job for which a scope was taken.
async fn begin(app: &App, opening: &Opening, waits_for: Option<JobId>) -> Result<(), Failure> {
    let (id, job_id) = (task_id(&opening.job_id), opening.job_id.clone());
    let mut job = Task::parent(id, job_id, opening.payload(), At::now(), app.tasks.limits());
    if let Some(it) = waits_for {
        hold_back(&mut job, it);
    }
    app.tasks.start(job).await?;
    Ok(())
}

/// Lets a job go that waited, or notes for which one it waits now.
async fn move_on(app: &App, job: JobTask, waits_for: Option<JobId>) -> Result<(), Failure> {
    let (id, mut job) = (job.id.clone(), job);
    match waits_for {
        // A job that runs does not wait any more, whatever came before it.
        Some(_) if job.payload.sync_all().waits_for.is_none() => return Ok(()),
        Some(it) => hold_back(&mut job, it),
        None => drop(let_go(&mut job, At::now())),
    }
    // Somebody else wrote it: the next look finds it as it is then.
    if app.tasks.store().update(&mut job).await? {
        app.tasks.wake(&id).await?;
    }
    Ok(())
}

/// Cancels a job that is in the way.
async fn make_room(app: &App, job_id: &JobId) -> Result<(), Failure> {
    let Some(job) = app.tasks.store().find(&task_id(job_id)).await? else { return Ok(()) };
    if !job.has_ended() && !job.is_cancelling() {
        app.tasks.cancel(job_id, Vec::new()).await?;
    }
    Ok(())
}
