//! The Kafka face: one event, one use case.

use std::time::Duration;

use eventbus::{Delivery, EventBusMessage, EventBusRegistry, Outcome};
use events::{ConfigurationEvent, ProvisioningEvent, Topic, TopicEvent};

use crate::{
    app::App,
    application::{
        Cause, Effect, Failure, remove_account, remove_device, remove_user, save_account,
        save_configuration, save_device, save_provision, save_user,
    },
};

/// The topics that the service consumes, each with what handles its records.
pub fn registries(app: &App) -> Vec<EventBusRegistry> {
    let registry = |topic: &Topic| {
        let app = app.clone();
        EventBusRegistry::new(topic.name, move |delivery| {
            let app = app.clone();
            async move { on_record(&app, &delivery).await }
        })
    };
    let configuration_limit = Duration::from_secs(app.publishing.configuration_limit_seconds);
    vec![
        registry(ProvisioningEvent::topic()),
        registry(ConfigurationEvent::topic()).within(configuration_limit),
    ]
}

/// Handles one attempt at a record of any of the topics.
pub async fn on_record(app: &App, delivery: &Delivery) -> Outcome {
    let message = &delivery.message;
    let ended = match message.topic == ConfigurationEvent::topic().name {
        true => on_configuration(app, message).await,
        false => on_provisioning(app, message).await,
    };
    match ended {
        Ok(Effect::Applied) => Outcome::Done,
        Ok(Effect::Superseded) => Outcome::Skipped("superseded"),
        Err(failure) => failure.problem().outcome(delivery.attempt),
    }
}

async fn on_provisioning(app: &App, message: &EventBusMessage) -> Result<Effect, Failure> {
    let event: ProvisioningEvent = read(message)?;
    let cause = &cause(message);
    match event {
        ProvisioningEvent::AccountCreated(it) | ProvisioningEvent::AccountUpdated(it) => {
            save_account(app, cause, &it).await
        }
        ProvisioningEvent::AccountDeleted(it) | ProvisioningEvent::ProvisionDeleted(it) => {
            remove_account(app, cause, &it).await.map(|()| Effect::Applied)
        }
        ProvisioningEvent::UserCreated(it) | ProvisioningEvent::UserUpdated(it) => {
            save_user(app, cause, &it).await
        }
        ProvisioningEvent::UserDeleted(it) => remove_user(app, cause, &it).await,
        ProvisioningEvent::DeviceCreated(it) | ProvisioningEvent::DeviceUpdated(it) => {
            save_device(app, cause, &it).await
        }
        ProvisioningEvent::DeviceDeleted(it) => remove_device(app, cause, &it).await,
        ProvisioningEvent::ProvisionCreated(it) | ProvisioningEvent::ProvisionUpdated(it) => {
            save_provision(app, cause, &it).await
        }
    }
}

async fn on_configuration(app: &App, message: &EventBusMessage) -> Result<Effect, Failure> {
    match read(message)? {
        ConfigurationEvent::ISPGlobalConfigurationsCreated(it)
        | ConfigurationEvent::ISPGlobalConfigurationsUpdated(it) => {
            save_configuration(app, &cause(message), &it).await
        }
    }
}

fn read<E: TopicEvent>(message: &EventBusMessage) -> Result<E, Failure> {
    let event: E = message.event().map_err(|err| Failure::Malformed(err.to_string()))?;
    match (&message.attributes.tenant, event.isp_id()) {
        // The envelope speaks for the credential, the payload only for itself.
        (Some(envelope), Some(payload)) if envelope != payload => {
            Err(Failure::TenantMismatch(format!("sent by `{envelope}`, says `{payload}`")))
        }
        _ => Ok(event),
    }
}

fn cause(message: &EventBusMessage) -> Cause {
    Cause { message_id: message.attributes.id.clone() }
}
