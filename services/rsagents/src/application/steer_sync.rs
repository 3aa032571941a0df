//! `RSSyncControl`: a full sync is held, goes on, or sends again what has failed.

use async_task::{At, Order, Task, TaskStore as _};
use events::{JobId, RequestId, SyncAction, SyncControl};

use super::Failure;
use crate::{
    app::App,
    domain::{is_job_task, redrive_of, sync_task_id},
};

/// Why a job stands still that a person has paused.
const BY_HAND: &str = "by an operator";

/// Has a job do something.
///
/// # Errors
/// A redrive without an id of its own, or not all was done: doing it again is safe.
pub async fn steer_sync(app: &App, control: &SyncControl) -> Result<(), Failure> {
    let job_id = &control.job_id;
    match control.action {
        SyncAction::Pause => order(app, job_id, &Order::Pause(BY_HAND.to_owned())).await,
        SyncAction::Resume => order(app, job_id, &Order::Resume).await,
        SyncAction::Redrive => {
            let id = control.request_id.as_ref().filter(|it| is_job_task(it, job_id));
            let id = id.ok_or_else(|| {
                Failure::Malformed(format!("a redrive of `{job_id}` without a request of its own"))
            })?;
            redrive(app, job_id, id).await
        }
    }
}

/// Bulks look at their parent before they send anything, so it is enough to tell that.
async fn order(app: &App, job_id: &JobId, order: &Order) -> Result<(), Failure> {
    for id in app.tasks().store().of_job(job_id).await? {
        if is_job_task(&id, job_id) {
            app.tasks().order(&id, order).await?;
        }
    }
    Ok(())
}

async fn redrive(app: &App, job_id: &JobId, id: &RequestId) -> Result<(), Failure> {
    let first = app.tasks().store().find(&sync_task_id(job_id)).await?;
    let payload = redrive_of(first.map(|it| it.payload));
    let (now, limits) = (At::now(), &app.limits);
    app.tasks().start(Task::parent(id.clone(), job_id.clone(), payload, now, limits)).await?;
    Ok(())
}
