//! Replies: of bulks to the task that asked for them, of rsadaptor to the bulk that sent a package.

use std::collections::BTreeMap;

use async_task::TaskResult;
use events::{AppliedReply, RequestId, SyncReply};

use super::Failure;
use crate::app::App;

/// What nothing came of.
const NOTHING: TaskResult = TaskResult { completed: false, changed: false };

/// Counts what bulks tell, one write for each task.
///
/// # Errors
/// A task could not be moved: the same replies once more do no harm.
pub async fn fold_replies(app: &App, replies: Vec<SyncReply>) -> Result<TaskResult, Failure> {
    let mut result = NOTHING;
    for (task_id, replies) in by_task(replies, |it| &it.request_id) {
        result = either(result, app.tasks.dispatch_replies(&task_id, &replies).await?);
    }
    Ok(result)
}

/// Counts how packages ended, one write for each bulk.
///
/// # Errors
/// A bulk could not be moved: the same replies once more do no harm.
pub async fn fold_results(app: &App, results: Vec<AppliedReply>) -> Result<TaskResult, Failure> {
    let mut result = NOTHING;
    for (task_id, results) in by_task(results, |it| &it.request_id) {
        result = either(result, app.tasks.dispatch_results(&task_id, &results).await?);
    }
    Ok(result)
}

/// Replies by the task that waits for them. A request without a task is nobody's.
fn by_task<T>(
    replies: Vec<T>,
    request_id: impl Fn(&T) -> &RequestId,
) -> BTreeMap<RequestId, Vec<T>> {
    let mut tasks: BTreeMap<RequestId, Vec<T>> = BTreeMap::new();
    for reply in replies {
        if let Ok(task_id) = request_id(&reply).task_id().parse() {
            tasks.entry(task_id).or_default().push(reply);
        }
    }
    tasks
}

fn either(one: TaskResult, other: TaskResult) -> TaskResult {
    TaskResult {
        completed: one.completed || other.completed,
        changed: one.changed || other.changed,
    }
}
