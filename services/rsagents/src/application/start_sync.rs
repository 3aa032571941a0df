//! `RSSyncAgentPackages`: a full sync asks for the packages of a scope.

use async_task::{At, Task, TaskResult};
use events::SyncRequest;

use super::Failure;
use crate::{
    app::App,
    domain::{is_job_task, sync_request},
};

/// Starts sending the packages of a scope. A request that comes again gets the reply that is stored.
///
/// # Errors
/// The request is of another job, or the task could not be started: doing it again is safe.
pub async fn start_sync(app: &App, request: &SyncRequest) -> Result<TaskResult, Failure> {
    let (id, job_id) = (&request.request_id, &request.job_id);
    if !is_job_task(id, job_id) {
        return Err(Failure::Malformed(format!("`{id}` is no request of the job `{job_id}`")));
    }
    let (now, limits) = (At::now(), &app.limits);
    let task = Task::parent(id.clone(), job_id.clone(), sync_request(request), now, limits);
    Ok(app.tasks().start(task).await?)
}
