//! What rsclient and rsagents tell of a job.

use async_task::{Answers, TaskResult, TaskStore as _};
use events::{SyncReply, SyncStatus};

use super::Failure;
use crate::{app::App, domain::contradicts};

/// Counts replies of one job, and takes the next step where they were the last of one. A service that stands still
/// where the job does not, or the other way round, is told again.
///
/// # Errors
/// Store or bus failed; the same replies once more do no harm.
pub async fn take_replies(app: &App, replies: Answers<SyncReply>) -> Result<TaskResult, Failure> {
    let Answers { task_id, event_type, all } = replies;
    let result = app.tasks.dispatch_replies(&task_id, &event_type, &all).await?;
    let last = all.last().filter(|it| it.status == SyncStatus::Running);
    if let Some(last) = last.filter(|_| result.changed && !result.completed)
        && let Some(job) = app.tasks.store().find(&task_id).await?
        && job.holds_open(&last.request_id)
        && contradicts(&job, last.reason.as_deref())
    {
        app.services.tell_again(&job).await?;
    }
    Ok(result)
}
