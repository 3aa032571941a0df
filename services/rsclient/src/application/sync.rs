//! Start, steer and cancel what a full sync asks of this service, and the walk over an ISP's devices.

use async_task::{At, Order, Task, TaskResult};
use events::{
    IspId, JobId, RequestId, SyncAction, SyncBulkRequest, SyncControl, SyncMode, SyncRequest,
    SyncScope,
};

use crate::{
    app::App,
    application::Failure,
    domain::{Rollout, RolloutStep, Source, SyncAccounts, SyncSystem, Walk, Which, Work},
};

/// Most devices of a redrive that are open at a time.
const REDRIVE_WINDOW: u32 = 500;

/// Starts to send what ISPs say for all of their homes.
///
/// # Errors
/// The store or the bus failed; doing it again is safe.
pub async fn sync_system(app: &App, request: &SyncRequest) -> Result<TaskResult, Failure> {
    let (scope, mode) = (request.scope.clone(), request.mode);
    let work = Work::RSSyncSystem(SyncSystem { scope, mode });
    Ok(app.tasks().start(parent(app, &request.request_id, &request.job_id, work)).await?)
}

/// Starts to send the devices of a scope, in bulks.
///
/// # Errors
/// The store or the bus failed; doing it again is safe.
pub async fn sync_accounts(app: &App, request: &SyncRequest) -> Result<TaskResult, Failure> {
    let work = Work::RSSyncAccounts(SyncAccounts {
        scope: request.scope.clone(),
        mode: request.mode,
        window: request.window,
        rate_per_s: request.rate_per_s,
        source: Source::Scope,
    });
    Ok(app.tasks().start(parent(app, &request.request_id, &request.job_id, work)).await?)
}

/// Sends the devices of one bulk, where its parent waits for it.
///
/// # Errors
/// The store or the bus failed; doing it again is safe.
pub async fn sync_accounts_bulk(
    app: &App,
    request: &SyncBulkRequest,
) -> Result<TaskResult, Failure> {
    Ok(app.tasks().start_bulk(&request.request_id, &request.job_id).await?)
}

/// Cancels what a job asked of this service, also what it has not asked yet.
///
/// # Errors
/// The store or the bus failed; doing it again is safe.
pub async fn cancel_sync(app: &App, job_id: &JobId) -> Result<(), Failure> {
    let everything = (SyncScope::default(), SyncMode::Delta);
    let unborn = |key: &str, work| {
        let id = format!("{job_id}/{key}").parse().expect("a job and a key are a request id");
        parent(app, &id, job_id, work)
    };
    let (scope, mode) = everything.clone();
    let system = unborn("system", Work::RSSyncSystem(SyncSystem { scope, mode }));
    let accounts = unborn("accounts", accounts(everything, Source::Scope));
    Ok(app.tasks().cancel(job_id, vec![system, accounts]).await?)
}

/// Pauses or resumes what a job asked of this service, or sends again what has failed.
///
/// # Errors
/// The store or the bus failed, or a redrive says not where its reply goes.
pub async fn control_sync(app: &App, control: &SyncControl) -> Result<(), Failure> {
    let order = match control.action {
        SyncAction::Pause => Order::Pause("by an operator".to_owned()),
        SyncAction::Resume => Order::Resume,
        SyncAction::Redrive => {
            let Some(request_id) = &control.request_id else {
                return Err(Failure::Malformed("a redrive needs a request_id".to_owned()));
            };
            let work = accounts((SyncScope::default(), SyncMode::Force), Source::Failures);
            app.tasks().start(parent(app, request_id, &control.job_id, work)).await?;
            return Ok(());
        }
    };
    Ok(app.tasks().order_job(&control.job_id, &order).await?)
}

/// Has all devices of an ISP published again, raised. One walk per ISP: a change during it makes it go round again.
///
/// # Errors
/// The store or the bus failed; doing it again is safe.
pub async fn walk_isp(app: &App, isp_id: &IspId) -> Result<(), Failure> {
    walk(app, Walk::over(isp_id.clone(), Which::All)).await
}

/// Has all routers of an ISP published again, raised. One such walk per ISP, as above.
///
/// # Errors
/// The store or the bus failed; doing it again is safe.
pub async fn walk_routers(app: &App, isp_id: &IspId) -> Result<(), Failure> {
    walk(app, Walk::over(isp_id.clone(), Which::Routers)).await
}

/// Has the routers of a step of a rollout published again, raised. Each step has a walk of its own, so that its end says
/// that all of them have been told.
///
/// # Errors
/// The store or the bus failed; doing it again is safe.
pub(super) async fn walk_rollout(app: &App, rollout: &Rollout) -> Result<(), Failure> {
    let step = RolloutStep { job_id: rollout.walk_id(), model: rollout.group.model.clone() };
    let walk = Walk::of_rollout(rollout.isp_id.clone(), step);
    let (id, job_id) = task_of(&walk);
    app.tasks().start(parent(app, &id, &job_id, Work::Walk(walk))).await?;
    Ok(())
}

fn task_of(walk: &Walk) -> (RequestId, JobId) {
    let job_id = walk.job_id();
    (job_id.as_str().parse().expect("a job's id is a task's id"), job_id)
}

async fn walk(app: &App, walk: Walk) -> Result<(), Failure> {
    let (id, job_id) = task_of(&walk);
    let task = parent(app, &id, &job_id, Work::Walk(walk));
    app.tasks().start_or_go_round_again(task).await?;
    Ok(())
}

fn accounts((scope, mode): (SyncScope, SyncMode), source: Source) -> Work {
    let window = REDRIVE_WINDOW;
    Work::RSSyncAccounts(SyncAccounts { scope, mode, window, rate_per_s: None, source })
}

fn parent(app: &App, id: &RequestId, job_id: &JobId, work: Work) -> Task<Work> {
    Task::parent(id.clone(), job_id.clone(), work, At::now(), &app.limits)
}
