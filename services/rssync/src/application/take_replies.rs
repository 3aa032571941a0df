//! What rsclient and rsagents tell of a job.

use async_task::{TaskError, TaskStore as _};
use events::{RequestId, SyncReply, SyncStatus};

use super::Failure;
use crate::{app::App, domain::contradicts};

/// What came of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// They moved the job.
    Counted,
    /// They are repeated, late, or answer nothing that was asked here.
    NothingNew,
    /// The job is one of another version of this service. That one asks again where it misses an answer.
    OfAnotherVersion,
}

/// Counts replies of one job, and takes the next step where they were the last of one.
///
/// # Errors
/// Store or bus failed; the same replies once more do no harm.
pub async fn take_replies(
    app: &App,
    task_id: &RequestId,
    replies: &[SyncReply],
) -> Result<Heard, Failure> {
    let result = match app.tasks.dispatch_replies(task_id, replies).await {
        Ok(result) => result,
        Err(TaskError::Foreign(_)) => return Ok(Heard::OfAnotherVersion),
        Err(error) => return Err(error.into()),
    };
    if !result.changed {
        return Ok(Heard::NothingNew);
    }
    let last = replies.last().filter(|it| it.status == SyncStatus::Running);
    if let Some(last) = last.filter(|_| !result.completed)
        && let Some(job) = app.tasks.store().find(task_id).await?
        && job.holds_open(&last.request_id)
        && contradicts(&job, last.reason.as_deref())
    {
        app.services.tell_again(&job).await?;
    }
    Ok(Heard::Counted)
}
