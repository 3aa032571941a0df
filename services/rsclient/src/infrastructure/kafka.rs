//! The Kafka face: one event, one use case.

use std::time::Duration;

use async_task::{Answers, on_answers};
use eventbus::{Batch, Delivery, EventBusMessage, EventBusRegistry, Outcome};
use events::{
    AdaptorReply, AppliedReply, ClientReply, ClientRequest, ConfigurationEvent, ProvisioningEvent,
    RsAgentEvent, RsEvent, SyncReply, Topic, TopicEvent,
};

use crate::{
    app::App,
    application::{
        Cause, Effect, Failure, cancel_sync, control_sync, remove_account, remove_device,
        remove_package, remove_user, save_account, save_agents, save_configuration,
        save_default_agents, save_device, save_package, save_provision, save_report, save_user,
        sync_accounts, sync_accounts_bulk, sync_system,
    },
};

/// Most replies that are counted in one write.
const REPLIES_MAX: usize = 500;
/// How long the next results of a bulk gather, so that they are one write.
const GATHER: Duration = Duration::from_millis(15);

/// The topics that the service consumes, each with what handles its records.
pub fn registries(app: &App) -> Vec<EventBusRegistry> {
    let one = |topic: &Topic| {
        let app = app.clone();
        EventBusRegistry::new(topic.name, move |delivery| {
            let app = app.clone();
            async move { on_record(&app, &delivery).await }
        })
    };
    let (replies, results) = (app.clone(), app.clone());
    let of_one_task = Batch::OfOneKey(REPLIES_MAX);
    vec![
        one(ProvisioningEvent::topic()),
        one(ConfigurationEvent::topic()),
        one(RsAgentEvent::topic()),
        one(RsEvent::topic()),
        one(ClientRequest::topic()),
        EventBusRegistry::batch(ClientReply::topic().name, of_one_task, move |deliveries| {
            let app = replies.clone();
            async move { on_replies(&app, &deliveries).await }
        }),
        EventBusRegistry::batch(AdaptorReply::topic().name, of_one_task, move |deliveries| {
            let app = results.clone();
            async move { on_results(&app, &deliveries).await }
        }),
    ]
}

/// Handles one attempt at a record of any of the topics.
pub async fn on_record(app: &App, delivery: &Delivery) -> Outcome {
    let message = &delivery.message;
    let ended = if message.topic == ConfigurationEvent::topic().name {
        on_configuration(app, message).await
    } else if message.topic == ClientRequest::topic().name {
        on_request(app, message).await
    } else if message.topic == RsAgentEvent::topic().name {
        on_agents(app, message).await
    } else if message.topic == RsEvent::topic().name {
        on_homes(app, message).await
    } else {
        on_provisioning(app, message).await
    };
    match ended {
        Ok(Effect::Applied) => Outcome::Done,
        Ok(Effect::Superseded) => Outcome::Skipped("superseded"),
        Err(failure) => failure.problem().outcome(delivery.attempt),
    }
}

/// Handles what bulks tell the task that asked for them.
pub async fn on_replies(app: &App, deliveries: &[Delivery]) -> Vec<Outcome> {
    let told = |delivery: &Delivery| match read_in(delivery)? {
        ClientReply::RSSyncSystemReply(it)
        | ClientReply::RSSyncAccountsReply(it)
        | ClientReply::RSSyncAccountsBulkReply(it) => Ok(it),
    };
    on_answers(deliveries, told, |it: Answers<SyncReply>| async move {
        let dispatched = app.tasks().dispatch_replies(&it.task_id, &it.event_type, &it.all).await;
        dispatched.map_err(|err| Failure::from(err).problem())
    })
    .await
}

/// Handles rsadaptor's replies to the bulk that sent the records.
pub async fn on_results(app: &App, deliveries: &[Delivery]) -> Vec<Outcome> {
    let told = |delivery: &Delivery| match read_in(delivery)? {
        AdaptorReply::RSDeviceCreatedReply(it)
        | AdaptorReply::RSAgentPackageCreatedReply(it)
        | AdaptorReply::RSSystemReply(it) => Ok(it),
    };
    on_answers(deliveries, told, |it: Answers<AppliedReply>| async move {
        let dispatched = app.tasks().dispatch_results(&it.task_id, &it.event_type, &it.all).await;
        let result = dispatched.map_err(|err| Failure::from(err).problem())?;
        if result.changed && !result.completed {
            tokio::time::sleep(GATHER).await;
        }
        Ok(result)
    })
    .await
}

fn read_in<E: TopicEvent>(delivery: &Delivery) -> Result<E, Outcome> {
    read(&delivery.message).map_err(|failure| failure.problem().outcome(delivery.attempt))
}

async fn on_request(app: &App, message: &EventBusMessage) -> Result<Effect, Failure> {
    let result = match read(message)? {
        ClientRequest::RSSyncSystem(it) => sync_system(app, &it).await?,
        ClientRequest::RSSyncAccounts(it) => sync_accounts(app, &it).await?,
        ClientRequest::RSSyncAccountsBulk(it) => sync_accounts_bulk(app, &it).await?,
        ClientRequest::RSCancelSync(it) => {
            cancel_sync(app, &it.job_id).await?;
            return Ok(Effect::Applied);
        }
        ClientRequest::RSSyncControl(it) => {
            control_sync(app, &it).await?;
            return Ok(Effect::Applied);
        }
    };
    Ok(if result.changed { Effect::Applied } else { Effect::Superseded })
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
            save_configuration(app, &it).await
        }
    }
}

async fn on_agents(app: &App, message: &EventBusMessage) -> Result<Effect, Failure> {
    let lane = message.attributes.lane;
    match read(message)? {
        RsAgentEvent::RSAgentsUpdated(it) => save_agents(app, &it, lane).await,
        RsAgentEvent::RSDefaultAgentsUpdated(it) => save_default_agents(app, &it, lane).await,
        RsAgentEvent::RSAgentPackageCreated(it) => save_package(app, &it).await,
        RsAgentEvent::RSAgentPackageDeleted(it) => remove_package(app, &it).await,
    }
}

async fn on_homes(app: &App, message: &EventBusMessage) -> Result<Effect, Failure> {
    match read(message)? {
        RsEvent::RSRouterAgentReported(it) => save_report(app, &it).await,
        // The registry has it for others alone.
        RsEvent::RSDeviceEventConnected(_) => Ok(Effect::Superseded),
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
    Cause { message_id: message.attributes.id.to_string() }
}
