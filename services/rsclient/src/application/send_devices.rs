//! Send devices again, as a sync or a walk asks for.

use async_task::{At, Failure as Failed, Sent, Task};
use eventbus::{Attributes, EventBusMessage, Lane, Origin, PublishError};
use events::{DeviceId, Revision, RsProvisioningEvent, TopicEvent};
use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::{
    SOURCE,
    app::App,
    application::{Failure, read::Read},
    domain::{
        Device, Inputs, Manner, Publication, Published, Work, flags_again, publication, said_again,
        split_key,
    },
};

/// Sends the records of these keys as they are now, each to be answered. Copies are not sent on after `expires_at`.
///
/// A sync raises nothing, so that it never overtakes a change: each device's revision is read before its inputs. A walk
/// raises first, because what holds for its devices has changed.
///
/// # Errors
/// The store or the bus failed; doing it again sends copies again.
pub async fn send_devices(
    app: &App,
    bulk: &Task<Work>,
    keys: &[String],
    expires_at: At,
) -> Result<Sent, Failure> {
    if keys.is_empty() {
        return Ok(Sent::default());
    }
    let ids = ids(keys);
    let read = read(app, bulk.payload.manner(), &ids).await?;
    let mut sent = Sent::default();
    let mut due = Vec::new();
    for key in keys {
        match said(&read, bulk.payload.manner(), key) {
            Some((device, event)) => due.push((key, device, event)),
            None => sent.gone.push(key.clone()),
        }
    }
    // What was overtaken is not said, for it may have ended meanwhile: it is asked for again when its time is over.
    let due = marked_live(app, due).await?;
    let copies = due.iter().map(|(key, _, event)| copy(bulk, key, event, expires_at));
    let published = app.bus.publish_all(copies.collect()).await;
    for ((key, device, event), published) in due.iter().zip(published) {
        match published {
            Ok(place) => {
                app.store.devices.note_published(device, event, place);
                note(app, device, event).await?;
            }
            Err(error @ PublishError::TooLarge(_)) => {
                let task = (&bulk.job_id, &bulk.id);
                sent.failures.push(Failed::unsendable(task, key, "too_large", &error.to_string()));
            }
            Err(error @ PublishError::Deliver { .. }) => return Err(error.into()),
        }
    }
    Ok(sent)
}

/// Devices of which the backend holds something newer than we have ever said: our store was set back. They are raised
/// above that and sent again. Those of which something newer is on its way are sent again, too; the rest was only
/// overtaken by a change.
///
/// # Errors
/// The store or the bus failed; doing it again does all of it again.
pub async fn repair_devices(
    app: &App,
    bulk: &Task<Work>,
    held: &[(String, Revision)],
    expires_at: At,
) -> Result<Vec<String>, Failure> {
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = held.iter().map(|(key, _)| key.clone()).collect();
    let known = app.store.devices.find(&ids(&keys)).await?;
    let mut again = Vec::new();
    for (key, held) in held {
        let (id, _) = split_key(key);
        let Some(device) = known.iter().find(|it| it.id.as_str() == id) else { continue };
        if device.rs_revision < *held {
            metrics::counter!("rsclient_revisions_repaired_total").increment(1);
            app.store.devices.raise_past(&device.id, *held).await?;
        }
        if device.rs_revision != *held {
            again.push(key.clone());
        }
    }
    send_devices(app, bulk, &again, expires_at).await?;
    Ok(again)
}

fn ids(keys: &[String]) -> Vec<DeviceId> {
    let mut ids: Vec<DeviceId> =
        keys.iter().filter_map(|it| split_key(it).0.parse().ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

async fn read(app: &App, manner: Manner, ids: &[DeviceId]) -> Result<Read, Failure> {
    let now_ms = Timestamp::now().as_millisecond();
    match manner {
        Manner::Raised => app.store.devices.raise(ids, now_ms).await?,
        Manner::Force | Manner::Delta => (),
    }
    let read = Read::all(app, ids).await?;
    let unraised = read.devices.iter().filter(|it| it.rs_revision == Revision::default());
    let unraised: Vec<DeviceId> = unraised.map(|it| it.id.clone()).collect();
    if unraised.is_empty() {
        return Ok(read);
    }
    // Whoever wrote them has not come to that yet.
    app.store.devices.raise(&unraised, now_ms).await?;
    Read::all(app, ids).await
}

fn said<'a>(
    read: &'a Read,
    manner: Manner,
    key: &str,
) -> Option<(&'a Device, RsProvisioningEvent)> {
    let (id, flags) = split_key(key);
    let place = read.devices.binary_search_by(|it| it.id.as_str().cmp(id)).ok()?;
    let inputs: Inputs<'_> = read.inputs(&read.devices[place]);
    let event = match (manner, flags) {
        (_, true) => flags_again(inputs),
        (Manner::Force | Manner::Delta, false) => said_again(inputs),
        // A raised revision supersedes a command that was not told yet: so it goes along.
        (Manner::Raised, false) => match publication(inputs, Timestamp::now()) {
            Publication::Live(event) | Publication::Removed(event) => Some(event),
            Publication::Nothing => None,
        },
    };
    event.map(|it| (inputs.device, it))
}

type Copied<'a> = (&'a String, &'a Device, RsProvisioningEvent);

/// Whoever may have been told is told of the end: so a device is marked before it is said for the first time. Answers all
/// but those that could not be marked, because they were raised meanwhile.
async fn marked_live<'a>(app: &App, due: Vec<Copied<'a>>) -> Result<Vec<Copied<'a>>, Failure> {
    let is_unsaid = |(_, device, event): &Copied<'_>| match event {
        RsProvisioningEvent::RSDeviceCreated(_)
        | RsProvisioningEvent::RSDeviceUpdated(_)
        | RsProvisioningEvent::RSDeviceAction(_) => device.published != Published::Live,
        RsProvisioningEvent::RSDeviceDeleted(_)
        | RsProvisioningEvent::RSUserUpdated(_)
        | RsProvisioningEvent::RSCustomFlagsUpdated(_)
        | RsProvisioningEvent::RSRouterUploadIntervalsUpdated(_) => false,
    };
    let mark = async |it: &Copied<'_>| match is_unsaid(it) {
        true => app.store.devices.mark_live(&it.1.id, it.1.rs_revision, false).await,
        false => Ok(true),
    };
    let marked = try_join_all(due.iter().map(mark)).await?;
    Ok(due.into_iter().zip(marked).filter(|(_, is_marked)| *is_marked).map(|(it, _)| it).collect())
}

async fn note(app: &App, device: &Device, event: &RsProvisioningEvent) -> Result<(), Failure> {
    match event {
        RsProvisioningEvent::RSDeviceDeleted(_) if device.published == Published::Live => {
            app.store.devices.mark_removed(&device.id, device.rs_revision).await?;
        }
        RsProvisioningEvent::RSDeviceAction(it) => {
            app.store.devices.clear_action(&device.id, it.action.id.as_str()).await?;
        }
        RsProvisioningEvent::RSDeviceDeleted(_)
        | RsProvisioningEvent::RSDeviceCreated(_)
        | RsProvisioningEvent::RSDeviceUpdated(_)
        | RsProvisioningEvent::RSUserUpdated(_)
        | RsProvisioningEvent::RSCustomFlagsUpdated(_)
        | RsProvisioningEvent::RSRouterUploadIntervalsUpdated(_) => (),
    }
    Ok(())
}

/// A copy of what `event` says, to be answered to this bulk.
pub(super) fn copy(
    bulk: &Task<Work>,
    key: &str,
    event: &impl TopicEvent,
    expires_at: At,
) -> EventBusMessage {
    let request_id = bulk.request_id(key);
    let id = format!("{request_id}@{}", expires_at.0);
    let mut message = EventBusMessage::new(event, SOURCE, Origin::Message { id: &id, n: 0 });
    message.attributes = Attributes {
        request_id: Some(request_id),
        job_id: Some(bulk.job_id.clone()),
        lane: Lane::Sync,
        expires_at: Some(expires_at.timestamp()),
        force: bulk.payload.manner() == Manner::Force,
        ..message.attributes
    };
    message
}
