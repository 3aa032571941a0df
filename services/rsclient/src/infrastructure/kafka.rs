//! The Kafka face: one event, one use case.

use std::{collections::BTreeMap, time::Duration};

use eventbus::{Batch, Delivery, EventBusMessage, EventBusRegistry, Outcome};
use events::{
    AdaptorReply, AppliedReply, ClientReply, ClientRequest, ConfigurationEvent, ProvisioningEvent,
    RequestId, SyncReply, Topic, TopicEvent,
};

use crate::{
    app::App,
    application::{
        Cause, Effect, Failure, cancel_sync, control_sync, remove_account, remove_device,
        remove_user, save_account, save_configuration, save_device, save_provision, save_user,
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
    let of_one_task = |topic: &Topic| {
        let app = app.clone();
        EventBusRegistry::batch(topic.name, Batch::OfOneKey(REPLIES_MAX), move |deliveries| {
            let app = app.clone();
            async move { on_replies(&app, &deliveries).await }
        })
    };
    vec![
        one(ProvisioningEvent::topic()),
        one(ConfigurationEvent::topic()),
        one(ClientRequest::topic()),
        of_one_task(ClientReply::topic()),
        of_one_task(AdaptorReply::topic()),
    ]
}

/// Handles one attempt at a record of any of the topics.
pub async fn on_record(app: &App, delivery: &Delivery) -> Outcome {
    let message = &delivery.message;
    let ended = if message.topic == ConfigurationEvent::topic().name {
        on_configuration(app, message).await
    } else if message.topic == ClientRequest::topic().name {
        on_request(app, message).await
    } else {
        on_provisioning(app, message).await
    };
    match ended {
        Ok(Effect::Applied) => Outcome::Done,
        Ok(Effect::Superseded) => Outcome::Skipped("superseded"),
        Err(failure) => failure.problem().outcome(delivery.attempt),
    }
}

/// Handles replies to one task, all of them in one write.
pub async fn on_replies(app: &App, deliveries: &[Delivery]) -> Vec<Outcome> {
    let mut replies = Replies::default();
    let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        outcomes.push(match replies.take(&delivery.message) {
            Ok(()) => None,
            Err(failure) => Some(failure.problem().outcome(delivery.attempt)),
        });
    }
    let dispatched = replies.dispatch(app).await;
    let outcome = |delivery: &Delivery| match &dispatched {
        Ok(true) => Outcome::Done,
        Ok(false) => Outcome::Skipped("nobody_waits"),
        Err(failure) => failure.problem().outcome(delivery.attempt),
    };
    let each = outcomes.into_iter().zip(deliveries);
    each.map(|(known, delivery)| known.unwrap_or_else(|| outcome(delivery))).collect()
}

/// Replies by the task that waits for them.
#[derive(Default)]
struct Replies {
    of_children: BTreeMap<RequestId, Vec<SyncReply>>,
    of_records: BTreeMap<RequestId, Vec<AppliedReply>>,
}

impl Replies {
    fn take(&mut self, message: &EventBusMessage) -> Result<(), Failure> {
        if message.topic == AdaptorReply::topic().name {
            let reply = match read(message)? {
                AdaptorReply::RSDeviceCreatedReply(it)
                | AdaptorReply::RSAgentPackageCreatedReply(it)
                | AdaptorReply::RSSystemReply(it) => it,
            };
            let task = task_of(&reply.request_id)?;
            self.of_records.entry(task).or_default().push(reply);
        } else {
            let reply = match read(message)? {
                ClientReply::RSSyncSystemReply(it)
                | ClientReply::RSSyncAccountsReply(it)
                | ClientReply::RSSyncAccountsBulkReply(it) => it,
            };
            let task = task_of(&reply.request_id)?;
            self.of_children.entry(task).or_default().push(reply);
        }
        Ok(())
    }

    /// Answers whether anybody has waited for any of them.
    async fn dispatch(&self, app: &App) -> Result<bool, Failure> {
        let (tasks, mut waited) = (app.tasks(), false);
        for (task, replies) in &self.of_children {
            waited |= tasks.dispatch_replies(task, replies).await?.changed;
        }
        let mut gather = false;
        for (task, results) in &self.of_records {
            let result = tasks.dispatch_results(task, results).await?;
            waited |= result.changed;
            gather |= !result.completed;
        }
        if gather {
            tokio::time::sleep(GATHER).await;
        }
        Ok(waited)
    }
}

fn task_of(request_id: &RequestId) -> Result<RequestId, Failure> {
    let task = request_id.task_id().parse();
    task.map_err(|err: events::InvalidId| Failure::Malformed(err.to_string()))
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
