//! Where a device is on its way from the ISP to the backend.

use async_task::{Children, Task, TaskStore as _};
use auth::Caller;
use events::{DeviceId, DeviceKind, IspId};
use jiff::Timestamp;

use super::explain_device::read_own;
use crate::{
    app::App,
    application::Failure,
    domain::{Device, Said, Source, SyncPart, SyncPartState, Trace, Which, Work, trace},
    infrastructure::witnesses::Witnesses,
};

/// Follows a device: what is stored, published, applied or refused, what it waits for, what was set aside. Whoever is
/// asked and does not answer leaves a gap that says so.
///
/// # Errors
/// There is no such device, or it is not the caller's: both look alike from outside. Or the store failed.
pub async fn trace_device(
    app: &App,
    witnesses: &Witnesses,
    caller: &Caller,
    isp_id: Option<&IspId>,
    id: &DeviceId,
) -> Result<Trace, Failure> {
    let read = read_own(app, caller, isp_id, id).await?;
    let device = &read.devices[0];
    let (backend, dead_lettered, tasks) = tokio::join!(
        witnesses.backend(id),
        witnesses.dead_lettered(id, &device.account_id),
        tasks(app, device),
    );
    let Tasks { syncs, raising } = tasks?;
    let said = Said { backend, dead_lettered, syncs, raising };
    Ok(trace(read.inputs(device), said, Timestamp::now()))
}

/// What tasks have to do with a device.
#[derive(Default)]
struct Tasks {
    syncs: Vec<SyncPart>,
    raising: Option<String>,
}

/// The bulks that hold the device open, and the syncs and walks that have not come to it.
async fn tasks(app: &App, device: &Device) -> Result<Tasks, Failure> {
    let id = device.id.as_str();
    let Tasks { mut syncs, mut raising } = Tasks::default();
    for task in app.async_tasks.holding(id).await? {
        let expired = task.items().is_some_and(|it| it.expired.iter().any(|it| it == id));
        syncs.push(SyncPart {
            job_id: task.job_id.to_string(),
            task: task.id.to_string(),
            state: if expired { SyncPartState::Expired } else { SyncPartState::Sent },
            standstill: task.standstill(),
        });
    }
    for task in app.async_tasks.opening().await? {
        let Some(children) = task.children() else { continue };
        let reaches = reaches(&task.payload, device);
        if reaches && (children.will_open(id) || has_asked(app, &task, children, id).await?) {
            if matches!(task.payload, Work::Walk(_)) {
                raising.get_or_insert_with(|| task.job_id.to_string());
            }
            syncs.push(SyncPart {
                job_id: task.job_id.to_string(),
                task: task.id.to_string(),
                state: SyncPartState::Queued,
                standstill: task.standstill(),
            });
        }
    }
    Ok(Tasks { syncs, raising })
}

/// Whether a bulk that is to do the device was asked for, and has not begun.
async fn has_asked(
    app: &App,
    task: &Task<Work>,
    children: &Children,
    id: &str,
) -> Result<bool, Failure> {
    for key in children.open_about(id) {
        if app.async_tasks.find(&task.request_id(key)).await?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a task that opens bulks will come to the device. One that sends failures again does not say which.
fn reaches(work: &Work, device: &Device) -> bool {
    match work {
        Work::RSSyncAccounts(_) | Work::Walk(_) => (),
        Work::RSSyncSystem(_) | Work::RSSyncAccountsBulk(_) => return false,
    }
    let scope = work.scope();
    let state = device.state.as_ref();
    let is_router = state.is_some_and(|it| it.kind == DeviceKind::Router);
    let is_of_kind = match work.which() {
        Which::All => is_router || scope.model.is_none(),
        Which::Routers => is_router,
    };
    let model = state.and_then(|it| it.model.as_ref());
    work.source() == Source::Scope
        && is_of_kind
        && scope.isp_id.is_none_or(|it| it == device.isp_id)
        && scope.account_id.is_none_or(|it| it == device.account_id)
        && scope.model.is_none_or(|it| Some(&it) == model)
}
