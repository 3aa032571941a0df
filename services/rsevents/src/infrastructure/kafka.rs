//! The Kafka faces: what provisioning says, one by one; what happens in the homes, many at a time.

use std::time::Duration;

use eventbus::{Batch, Delivery, EventBusRegistry, Outcome, backoff};
use events::{HsEvent, ProvisioningEvent, TopicEvent as _};

use super::event;
use crate::{
    app::App,
    application::{
        Arrived, Effect, Failure, Fate, remove_account, remove_device, save_account, save_devices,
        save_provision, take_events,
    },
};

/// Nothing that is unknown waits longer until it is looked for again.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(2);
/// Why a record about a person has no effect.
const NO_PEOPLE: &str = "no people are kept here";

/// What the fleet's own broker carries for this service.
pub fn provisioning(app: &App) -> Vec<EventBusRegistry> {
    let app = app.clone();
    vec![EventBusRegistry::new(ProvisioningEvent::topic().name, move |delivery| {
        let app = app.clone();
        async move { on_provisioning(&app, &delivery).await }
    })]
}

/// What HS-BE's broker carries.
pub fn homes(app: &App, batch_max: usize) -> Vec<EventBusRegistry> {
    let app = app.clone();
    let batch = Batch::Ready(batch_max.max(1));
    vec![EventBusRegistry::batch(HsEvent::topic().name, batch, move |deliveries| {
        let app = app.clone();
        async move { on_events(&app, &deliveries).await }
    })]
}

/// Handles one attempt at a record of provisioning.
pub async fn on_provisioning(app: &App, delivery: &Delivery) -> Outcome {
    let ended = match read(delivery) {
        Ok(event) => provision(app, &event).await,
        Err(failure) => Err(failure),
    };
    match ended {
        Ok(Some(Effect::Applied)) => Outcome::Done,
        Ok(Some(Effect::Superseded)) => Outcome::Skipped("superseded"),
        Ok(None) => Outcome::Skipped(NO_PEOPLE),
        Err(failure) => failure.problem().outcome(delivery.attempt),
    }
}

async fn provision(app: &App, event: &ProvisioningEvent) -> Result<Option<Effect>, Failure> {
    let effect = match event {
        ProvisioningEvent::AccountCreated(it) | ProvisioningEvent::AccountUpdated(it) => {
            save_account(app, it).await?
        }
        ProvisioningEvent::AccountDeleted(it) | ProvisioningEvent::ProvisionDeleted(it) => {
            remove_account(app, it).await?
        }
        ProvisioningEvent::UserCreated(_)
        | ProvisioningEvent::UserUpdated(_)
        | ProvisioningEvent::UserDeleted(_) => return Ok(None),
        ProvisioningEvent::DeviceCreated(it) | ProvisioningEvent::DeviceUpdated(it) => {
            save_devices(app, std::slice::from_ref(it)).await?
        }
        ProvisioningEvent::DeviceDeleted(it) => remove_device(app, it).await?,
        ProvisioningEvent::ProvisionCreated(it) | ProvisioningEvent::ProvisionUpdated(it) => {
            save_provision(app, it).await?
        }
    };
    Ok(Some(effect))
}

fn read(delivery: &Delivery) -> Result<ProvisioningEvent, Failure> {
    let event: ProvisioningEvent =
        delivery.message.event().map_err(|err| Failure::Malformed(err.to_string()))?;
    match (&delivery.message.attributes.tenant, event.isp_id()) {
        // The envelope speaks for the credential, the payload only for itself.
        (Some(envelope), Some(payload)) if envelope != payload => {
            Err(Failure::TenantMismatch(format!("sent by `{envelope}`, says `{payload}`")))
        }
        _ => Ok(event),
    }
}

/// Handles one attempt at events from the homes.
pub async fn on_events(app: &App, deliveries: &[Delivery]) -> Vec<Outcome> {
    let arrived = deliveries.iter().map(|it| Arrived {
        message: &it.message,
        event: event::read(&it.message.event_type, &it.message.payload)
            .map_err(|err| Failure::Malformed(err.to_string())),
        waited: it.taken_at.elapsed(),
    });
    let fates = take_events(app, arrived.collect()).await;
    let outcomes = fates.into_iter().zip(deliveries).map(|(fate, it)| outcome(fate, it.attempt));
    outcomes.collect()
}

fn outcome(fate: Fate, attempt: u32) -> Outcome {
    match fate {
        Fate::Told => Outcome::Done,
        Fate::Folded => Outcome::Skipped("folded"),
        Fate::Skipped(why) => Outcome::Skipped(why),
        Fate::Hold(rest) => Outcome::hold(rest),
        Fate::Wait(reason) => {
            let after = backoff(attempt).min(LOOK_AGAIN_MAX);
            Outcome::RetryAfter { after, counted: false, reason }
        }
        Fate::Failed(failure) => failure.problem().outcome(attempt),
    }
}
