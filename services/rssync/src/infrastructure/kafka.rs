//! The Kafka face: the replies of rsclient and rsagents.

use async_task::on_answers;
use eventbus::{Batch, Delivery, EventBusRegistry, Outcome};
use events::{AgentsReply, ClientReply, DecodeError, SyncReply, Topic, TopicEvent};

use crate::{
    app::App,
    application::{Failure, take_replies},
};

/// Most replies that are counted in one write. They are of one job, so that a batch seldom has as many.
const REPLIES_MAX: usize = 100;

/// The topics that the service consumes, each with what handles its records.
pub fn registries(app: &App) -> Vec<EventBusRegistry> {
    let registry = |topic: &Topic| {
        let app = app.clone();
        EventBusRegistry::batch(topic.name, Batch::OfOneKey(REPLIES_MAX), move |deliveries| {
            let app = app.clone();
            async move { on_records(&app, &deliveries).await }
        })
    };
    vec![registry(ClientReply::topic()), registry(AgentsReply::topic())]
}

/// Handles one attempt at records of any of the topics.
pub async fn on_records(app: &App, deliveries: &[Delivery]) -> Vec<Outcome> {
    let told = |delivery: &Delivery| {
        read(delivery).map_err(|failure| failure.problem().outcome(delivery.attempt))
    };
    let dispatch = |replies| async { take_replies(app, replies).await.map_err(Failure::problem) };
    on_answers(deliveries, told, dispatch).await
}

fn read(delivery: &Delivery) -> Result<SyncReply, Failure> {
    let message = &delivery.message;
    let malformed = |error: DecodeError| Failure::Malformed(error.to_string());
    Ok(match message.topic == AgentsReply::topic().name {
        true => match message.event().map_err(malformed)? {
            AgentsReply::RSSyncAgentPackagesReply(it)
            | AgentsReply::RSSyncAgentPackagesBulkReply(it) => it,
        },
        false => match message.event().map_err(malformed)? {
            ClientReply::RSSyncSystemReply(it)
            | ClientReply::RSSyncAccountsReply(it)
            | ClientReply::RSSyncAccountsBulkReply(it) => it,
        },
    })
}
