//! `RSSyncAgentPackagesBulk`: a task of this service asks for the packages of a range.

use async_task::TaskResult;
use events::SyncBulkRequest;

use super::Failure;
use crate::app::App;

/// Starts sending the packages of a range, where the task that asked still waits for them.
///
/// # Errors
/// The task could not be started: doing it again is safe.
pub async fn start_bulk(app: &App, request: &SyncBulkRequest) -> Result<TaskResult, Failure> {
    Ok(app.tasks().start_bulk(&request.request_id, &request.job_id).await?)
}
