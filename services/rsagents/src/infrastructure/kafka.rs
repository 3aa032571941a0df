//! The Kafka face: requests one by one, replies of one task together.

use async_task::{Answers, TaskResult, on_answers};
use eventbus::{Batch, Delivery, EventBusRegistry, Outcome};
use events::{AdaptorReply, AgentsReply, AgentsRequest, AppliedReply, SyncReply, TopicEvent as _};

use crate::{
    app::App,
    application::{Failure, cancel_sync, start_bulk, start_sync, steer_sync, take_package_replies},
};

/// Most replies of one task that are counted together.
const REPLIES_MAX: usize = 500;
/// How rsadaptor answers what was said of a package.
const PACKAGE_REPLY: &str = "RSAgentPackageCreatedReply";
/// Why a reply has no effect that is for somebody else.
const ANOTHER_S: &str = "another service's";
/// Why a record has no effect whose task knows it already, or is not known.
const NOTHING_NEW: &str = "nothing new";

/// The topics of the service, each with its callback.
pub fn registries(app: &App) -> Vec<EventBusRegistry> {
    let (requests, replies, results) = (app.clone(), app.clone(), app.clone());
    let batch = Batch::OfOneKey(REPLIES_MAX);
    vec![
        EventBusRegistry::new(AgentsRequest::topic().name, move |delivery| {
            let app = requests.clone();
            async move { on_request(&app, &delivery).await }
        }),
        EventBusRegistry::batch(AgentsReply::topic().name, batch, move |deliveries| {
            let app = replies.clone();
            async move { on_replies(&app, &deliveries).await }
        }),
        EventBusRegistry::batch(AdaptorReply::topic().name, batch, move |deliveries| {
            let app = results.clone();
            async move { on_results(&app, &deliveries).await }
        }),
    ]
}

/// Handles one attempt at a request.
pub async fn on_request(app: &App, delivery: &Delivery) -> Outcome {
    let event = match delivery.message.event::<AgentsRequest>() {
        Ok(event) => event,
        Err(error) => return malformed(&error.to_string(), delivery.attempt),
    };
    let handled = match event {
        AgentsRequest::RSSyncAgentPackages(it) => start_sync(app, &it).await.map(outcome_of),
        AgentsRequest::RSSyncAgentPackagesBulk(it) => start_bulk(app, &it).await.map(outcome_of),
        AgentsRequest::RSCancelSync(it) => {
            cancel_sync(app, &it.job_id).await.map(|()| Outcome::Done)
        }
        AgentsRequest::RSSyncControl(it) => steer_sync(app, &it).await.map(|()| Outcome::Done),
    };
    handled.unwrap_or_else(|failure| failure.problem().outcome(delivery.attempt))
}

/// Handles one attempt at replies of bulks.
pub async fn on_replies(app: &App, deliveries: &[Delivery]) -> Vec<Outcome> {
    let read = |delivery: &Delivery| match delivery.message.event::<AgentsReply>() {
        Ok(AgentsReply::RSSyncAgentPackagesBulkReply(it)) => Ok(it),
        Ok(AgentsReply::RSSyncAgentPackagesReply(_)) => Err(Outcome::Skipped(ANOTHER_S)),
        Err(error) => Err(malformed(&error.to_string(), delivery.attempt)),
    };
    on_answers(deliveries, read, |it: Answers<SyncReply>| async move {
        let folded = app.tasks().dispatch_replies(&it.task_id, &it.event_type, &it.all).await;
        folded.map_err(|error| Failure::from(error).problem())
    })
    .await
}

/// Handles one attempt at rsadaptor's replies.
pub async fn on_results(app: &App, deliveries: &[Delivery]) -> Vec<Outcome> {
    let read = |delivery: &Delivery| match delivery.message.event::<AdaptorReply>() {
        Ok(AdaptorReply::RSAgentPackageCreatedReply(it) | AdaptorReply::RSSystemReply(it)) => {
            Ok(it)
        }
        Ok(AdaptorReply::RSDeviceCreatedReply(_)) => Err(Outcome::Skipped(ANOTHER_S)),
        Err(error) => Err(malformed(&error.to_string(), delivery.attempt)),
    };
    on_answers(deliveries, read, |it: Answers<AppliedReply>| async move {
        let Answers { task_id, event_type, all } = it;
        let taken = match event_type.as_str() {
            PACKAGE_REPLY => take_package_replies(app, &task_id, &event_type, &all).await,
            _ => {
                let folded = app.tasks().dispatch_results(&task_id, &event_type, &all).await;
                folded.map_err(Failure::from)
            }
        };
        taken.map_err(Failure::problem)
    })
    .await
}

fn outcome_of(result: TaskResult) -> Outcome {
    if result.changed { Outcome::Done } else { Outcome::Skipped(NOTHING_NEW) }
}

fn malformed(why: &str, attempt: u32) -> Outcome {
    Failure::Malformed(why.to_owned()).problem().outcome(attempt)
}
