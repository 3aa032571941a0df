//! A job, where the caller may see it.

use async_task::TaskStore as _;
use auth::Caller;
use events::{JobId, SyncScope};

use super::Failure;
use crate::{
    app::App,
    domain::{JobTask, task_id},
};

/// The job of this id.
///
/// # Errors
/// There is none, or it is not the caller's: both look alike from outside.
pub async fn find_job(app: &App, caller: &Caller, job_id: &JobId) -> Result<JobTask, Failure> {
    let found = app.tasks.store().find(&task_id(job_id)).await?;
    let job = found.ok_or_else(|| Failure::NoSuchJob(job_id.clone()))?;
    match is_of(caller, &job.payload.sync_all().scope) {
        true => Ok(job),
        false => Err(Failure::Foreign(format!("`{}` asks for job `{job_id}`", caller.subject))),
    }
}

/// Whether a caller may see, start and steer jobs over this scope: an ISP those that name it, an operator all.
pub(super) fn is_of(caller: &Caller, scope: &SyncScope) -> bool {
    caller.is_operator() || caller.isp_id == scope.isp_id
}
