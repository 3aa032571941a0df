//! A full sync that somebody asks for.

use std::time::Duration;

use async_task::{At, Task, TaskStore as _};
use auth::Caller;
use events::IspId;
use uuid::Uuid;

use super::{Failure, find_job::is_of, tend_scopes::tend_one};
use crate::{
    app::App,
    domain::{JobTask, OnRunning, Opening, Start, overlap, task_id},
    infrastructure::store::Taken,
};

/// How long to wait before a job is looked for once more whose scope is taken and that is not there yet.
const PAUSE: Duration = Duration::from_millis(20);
/// How often it is looked for.
const LOOKS_MAX: u32 = 50;

/// Starts a job, or answers the one that is in its way, as the caller wants it.
///
/// The scope is taken first, with all that the job is made of; then the job is made. Whoever dies between the two leaves
/// an entry from which the job is made soon.
///
/// # Errors
/// The scope is not the caller's, or taken by a job that must not make room.
pub async fn start_job(app: &App, caller: &Caller, start: Start) -> Result<JobTask, Failure> {
    let mut start = start;
    start.scope.isp_id = own_isp(caller, start.scope.isp_id)?;
    // Where the job that was in the way ends at that moment, the second look finds the scope free.
    for _ in 0..LOOKS_MAX {
        if start.on_running == OnRunning::Replace {
            check_replaceable(app, caller, &start).await?;
        }
        let opening = opening_of(caller, &start);
        match app.store.scopes.take(&opening).await? {
            Taken::Yes => {
                return made(app, &opening).await;
            }
            Taken::No(blocking) if blocking.is_empty() => {
                let reason = "too many jobs have not ended";
                return Err(Failure::Conflict(reason.to_owned()));
            }
            Taken::No(blocking) => {
                if let Some(job) = in_the_way(app, caller, &start, &blocking).await? {
                    return Ok(job);
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Failure::Conflict("the scope is taken and given back all the time".to_owned()))
}

/// The ISP that a job is for: a caller of an ISP can name that one alone, and need not.
fn own_isp(caller: &Caller, named: Option<IspId>) -> Result<Option<IspId>, Failure> {
    match (&caller.isp_id, named) {
        (None, named) => Ok(named),
        (Some(own), None) => Ok(Some(own.clone())),
        (Some(own), Some(named)) if *own == named => Ok(Some(named)),
        (Some(own), Some(named)) => {
            Err(Failure::Foreign(format!("`{own}` wants a full sync of `{named}`")))
        }
    }
}

fn opening_of(caller: &Caller, start: &Start) -> Opening {
    let job_id = format!("j-{}", Uuid::now_v7());
    Opening {
        job_id: job_id.parse().expect("a UUID has the letters of an id"),
        scope: start.scope.clone(),
        mode: start.mode,
        window: start.window,
        rate_per_s: start.rate_per_s,
        requested_by: caller.subject.clone(),
        of_operator: caller.is_operator(),
        replaces: start.on_running == OnRunning::Replace,
        redrives: 0,
    }
}

/// Makes the job whose scope was taken. What fails from here on is repaired by itself.
async fn made(app: &App, opening: &Opening) -> Result<JobTask, Failure> {
    if let Err(error) = tend_one(app, &opening.job_id).await {
        let error = format!("{:#}", anyhow::Error::new(error));
        tracing::warn!(job_id = %opening.job_id, error, "a job begins later than asked for");
    }
    match app.tasks.store().find(&task_id(&opening.job_id)).await {
        Ok(Some(job)) => Ok(job),
        Ok(None) | Err(_) => {
            let (id, job_id) = (task_id(&opening.job_id), opening.job_id.clone());
            Ok(Task::parent(id, job_id, opening.payload(), At::now(), app.tasks.limits()))
        }
    }
}

/// The job that the caller is told of instead; none where it has just ended.
async fn in_the_way(
    app: &App,
    caller: &Caller,
    start: &Start,
    blocking: &[Opening],
) -> Result<Option<JobTask>, Failure> {
    let Some(visible) = blocking.iter().find(|it| is_of(caller, &it.scope)) else {
        return Err(not_yours());
    };
    if start.on_running == OnRunning::Reject {
        let reason = format!("the job {} covers this scope", visible.job_id);
        return Err(Failure::Conflict(reason));
    }
    tend_one(app, &visible.job_id).await?;
    let found = app.tasks.store().find(&task_id(&visible.job_id)).await?;
    Ok(found.filter(|it| !it.has_ended()))
}

/// Nobody cancels what is not theirs.
async fn check_replaceable(app: &App, caller: &Caller, start: &Start) -> Result<(), Failure> {
    let all = app.store.scopes.all().await?;
    let mut blocking = all.iter().filter(|it| overlap(&it.scope, &start.scope));
    match blocking.any(|it| !is_of(caller, &it.scope)) {
        true => Err(not_yours()),
        false => Ok(()),
    }
}

fn not_yours() -> Failure {
    Failure::Conflict("a job that is not yours covers this scope".to_owned())
}
