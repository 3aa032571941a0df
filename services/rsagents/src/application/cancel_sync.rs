//! `RSCancelSync`: a full sync is not wanted any more.

use async_task::{At, Task};
use events::JobId;

use super::Failure;
use crate::{
    app::App,
    domain::{redrive_of, sync_task_id},
};

/// Cancels what a job has asked for, and what it has not asked for yet.
///
/// # Errors
/// Not all could be cancelled: doing it again is safe.
pub async fn cancel_sync(app: &App, job_id: &JobId) -> Result<(), Failure> {
    let (now, limits) = (At::now(), &app.limits);
    let id = sync_task_id(job_id);
    let unborn = Task::parent(id, job_id.clone(), redrive_of(None), now, limits);
    Ok(app.tasks().cancel(job_id, vec![unborn]).await?)
}
