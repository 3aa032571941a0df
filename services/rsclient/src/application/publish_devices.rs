//! Tell the others what holds for devices now.

use eventbus::{Delivered, EventBusMessage, Origin, PublishError};
use events::{DeviceId, IspId, RsProvisioningEvent};
use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;

use crate::{
    SOURCE,
    app::App,
    application::{Cause, Failure, read::Read},
    domain::{
        Device, Inputs, Publication, Published, changed_flags, publication, puts_flags_in_doubt,
    },
    infrastructure::store::DevicesOf,
};

/// How often a device is read again that somebody else has raised meanwhile: whoever raises it that often publishes it.
const ROUNDS_MAX: usize = 5;

/// Publishes all devices of somebody, in bounded batches.
///
/// # Errors
/// The store or the bus failed; doing it again does all of it again. Or what holds for a device is too large for
/// the bus: then all others were published.
pub async fn publish_devices_of(
    app: &App,
    cause: &Cause,
    isp_id: &IspId,
    of: DevicesOf<'_>,
) -> Result<(), Failure> {
    let limit = app.publishing.batch_devices.max(1);
    let (mut after, mut oversized) = (None, Ok(()));
    loop {
        let ids = app.store.devices.page(isp_id, of, after.as_ref(), limit).await?;
        oversized = go_on(oversized, publish_devices(app, cause, &ids).await)?;
        match ids.last() {
            Some(last) if ids.len() == limit => after = Some(last.clone()),
            Some(_) | None => return oversized,
        }
    }
}

/// Publishes what holds for these devices, after the input that touches them was written.
///
/// The order of the steps is what makes concurrent changes safe: the revision is raised after the input was
/// written, and all inputs are read after that. So whoever publishes the highest revision has seen every input.
///
/// # Errors
/// The store or the bus failed; doing it again does all of it again. Or what holds for a device is too large for
/// the bus: then all others were published.
pub async fn publish_devices(app: &App, cause: &Cause, ids: &[DeviceId]) -> Result<(), Failure> {
    let mut oversized = Ok(());
    for batch in ids.chunks(app.publishing.batch_devices.max(1)) {
        let mut batch = batch.to_vec();
        for _ in 0..ROUNDS_MAX {
            app.store.devices.raise(&batch, Timestamp::now().as_millisecond()).await?;
            let read = Read::all(app, &batch).await?;
            let Due { events, overtaken } = due(app, &read).await?;
            fail::fail_point!("rsclient::before-publish", |_| std::process::abort());
            let sent = events.iter().map(|(device, event)| publish(app, cause, &device.id, event));
            let sent = join_all(sent).await;
            oversized = go_on(oversized, settle(app, &events, sent).await)?;
            app.store.mark_ended_devices(&read.ended()).await?;
            if overtaken.is_empty() {
                break;
            }
            batch = overtaken;
        }
    }
    oversized
}

/// A message that is too large will be so the next time, and is no reason to keep the others waiting: it is told at
/// the end. Every other failure ends the work at once.
fn go_on(
    oversized: Result<(), Failure>,
    told: Result<(), Failure>,
) -> Result<Result<(), Failure>, Failure> {
    match told {
        Err(Failure::Publish(PublishError::TooLarge(_))) => Ok(oversized.and(told)),
        Ok(()) => Ok(oversized),
        Err(failure) => Err(failure),
    }
}

async fn publish(
    app: &App,
    cause: &Cause,
    device_id: &DeviceId,
    event: &RsProvisioningEvent,
) -> Result<Delivered, PublishError> {
    let what = match event {
        RsProvisioningEvent::RSCustomFlagsUpdated(_)
        | RsProvisioningEvent::RSRouterUploadIntervalsUpdated(_) => "flags",
        RsProvisioningEvent::RSDeviceCreated(_)
        | RsProvisioningEvent::RSDeviceUpdated(_)
        | RsProvisioningEvent::RSDeviceDeleted(_)
        | RsProvisioningEvent::RSDeviceAction(_)
        | RsProvisioningEvent::RSUserUpdated(_) => "device",
    };
    let id = format!("{}/{what}/{device_id}", cause.message_id);
    let origin = Origin::Message { id: &id, n: 0 };
    app.bus.publish(&EventBusMessage::new(event, SOURCE, origin)).await
}

/// Notes what was published. One message that failed does not hide that the others did not.
async fn settle(
    app: &App,
    due: &[(&Device, RsProvisioningEvent)],
    sent: Vec<Result<Delivered, PublishError>>,
) -> Result<(), Failure> {
    let mut failed = None;
    for ((device, event), sent) in due.iter().zip(sent) {
        match sent {
            Ok(place) => app.store.devices.note_published(device, event, place),
            Err(err @ PublishError::TooLarge(_)) => {
                tracing::error!(device_id = device.id.as_str(), "what holds for it is too large");
                failed.get_or_insert(err);
                continue;
            }
            Err(err @ PublishError::Deliver { .. }) => {
                failed = Some(err);
                continue;
            }
        }
        match event {
            RsProvisioningEvent::RSDeviceDeleted(_) => {
                app.store.devices.mark_removed(&device.id, device.rs_revision).await?;
            }
            // A command that did not go out with its device has expired.
            RsProvisioningEvent::RSDeviceCreated(_)
            | RsProvisioningEvent::RSDeviceUpdated(_)
            | RsProvisioningEvent::RSDeviceAction(_) => {
                if let Some(action) = &device.pending_action {
                    app.store.devices.clear_action(&device.id, action.id.as_str()).await?;
                }
            }
            RsProvisioningEvent::RSCustomFlagsUpdated(it)
            | RsProvisioningEvent::RSRouterUploadIntervalsUpdated(it) => {
                app.store.devices.mark_flags(it).await?;
            }
            RsProvisioningEvent::RSUserUpdated(_) => (),
        }
    }
    failed.map_or(Ok(()), |err| Err(err.into()))
}

/// What is to be said.
struct Due<'a> {
    events: Vec<(&'a Device, RsProvisioningEvent)>,
    /// Raised by somebody else since they were read. That may be a walk, which does not say all that is said here: flags
    /// that a router has no more.
    overtaken: Vec<DeviceId>,
}

/// A device is marked as served before that is said, so that whoever finds it not served any more knows that it must be
/// taken back.
async fn due<'a>(app: &App, read: &'a Read) -> Result<Due<'a>, Failure> {
    let now = Timestamp::now();
    let said = try_join_all(read.devices.iter().map(|it| said(app, read.inputs(it), now))).await?;
    let mut due = Due { events: Vec::new(), overtaken: Vec::new() };
    for (device, said) in read.devices.iter().zip(said) {
        match said {
            Some(events) => due.events.extend(events.into_iter().map(|it| (device, it))),
            None => due.overtaken.push(device.id.clone()),
        }
    }
    Ok(due)
}

/// Nothing where somebody has raised the device meanwhile. A router's flags follow the router: the backend takes no flags
/// of a router that it does not know.
async fn said(
    app: &App,
    inputs: Inputs<'_>,
    now: Timestamp,
) -> Result<Option<Vec<RsProvisioningEvent>>, Failure> {
    let device = inputs.device;
    let event = match publication(inputs, now) {
        Publication::Live(event) => event,
        Publication::Removed(event) => return Ok(Some(vec![event])),
        Publication::Nothing => return Ok(Some(Vec::new())),
    };
    let flags = changed_flags(inputs);
    let in_doubt = puts_flags_in_doubt(device, flags.as_ref());
    let is_marked = device.published == Published::Live && (device.flags_in_doubt || !in_doubt);
    let (id, read) = (&device.id, device.rs_revision);
    let ours = is_marked || app.store.devices.mark_live(id, read, in_doubt).await?;
    Ok(ours.then(|| [Some(event), flags].into_iter().flatten().collect()))
}
