//! The Kafka face: requests one by one, replies of one task together.

use async_task::TaskResult;
use eventbus::{Batch, Delivery, EventBusRegistry, Outcome};
use events::{AdaptorReply, AgentsReply, AgentsRequest, AppliedReply, SyncReply, TopicEvent as _};

use crate::{
    app::App,
    application::{
        Failure, cancel_sync, fold_replies, fold_results, start_bulk, start_sync, steer_sync,
    },
};

/// Most replies of one task that are counted together.
const REPLIES_MAX: usize = 500;
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
    let read = sort(deliveries, |delivery| match delivery.message.event::<AgentsReply>() {
        Ok(AgentsReply::RSSyncAgentPackagesBulkReply(it)) => Ok(it),
        Ok(AgentsReply::RSSyncAgentPackagesReply(_)) => Err(Outcome::Skipped(ANOTHER_S)),
        Err(error) => Err(malformed(&error.to_string(), delivery.attempt)),
    });
    let told: Vec<SyncReply> = read.iter().filter_map(|it| it.as_ref().ok().cloned()).collect();
    let folded = fold_replies(app, told).await;
    outcomes(deliveries, &read, folded)
}

/// Handles one attempt at rsadaptor's replies.
pub async fn on_results(app: &App, deliveries: &[Delivery]) -> Vec<Outcome> {
    let read = sort(deliveries, |delivery| match delivery.message.event::<AdaptorReply>() {
        Ok(AdaptorReply::RSAgentPackageCreatedReply(it)) => Ok(it),
        Ok(AdaptorReply::RSDeviceCreatedReply(_) | AdaptorReply::RSSystemReply(_)) => {
            Err(Outcome::Skipped(ANOTHER_S))
        }
        Err(error) => Err(malformed(&error.to_string(), delivery.attempt)),
    });
    let told: Vec<AppliedReply> = read.iter().filter_map(|it| it.as_ref().ok().cloned()).collect();
    let folded = fold_results(app, told).await;
    outcomes(deliveries, &read, folded)
}

/// What each record says, or what becomes of it without having been heard.
fn sort<T>(
    deliveries: &[Delivery],
    read: impl Fn(&Delivery) -> Result<T, Outcome>,
) -> Vec<Result<T, Outcome>> {
    deliveries.iter().map(read).collect()
}

/// What becomes of each record, where those that were heard ended as one.
fn outcomes<T>(
    deliveries: &[Delivery],
    read: &[Result<T, Outcome>],
    folded: Result<TaskResult, Failure>,
) -> Vec<Outcome> {
    let (problem, done) = match folded {
        Ok(result) => (None, outcome_of(result)),
        Err(failure) => (Some(failure.problem()), Outcome::Done),
    };
    let of = |(delivery, read): (&Delivery, &Result<T, Outcome>)| match (read, &problem) {
        (Err(outcome), _) => outcome.clone(),
        (Ok(_), Some(problem)) => problem.clone().outcome(delivery.attempt),
        (Ok(_), None) => done.clone(),
    };
    deliveries.iter().zip(read).map(of).collect()
}

fn outcome_of(result: TaskResult) -> Outcome {
    if result.changed { Outcome::Done } else { Outcome::Skipped(NOTHING_NEW) }
}

fn malformed(why: &str, attempt: u32) -> Outcome {
    Failure::Malformed(why.to_owned()).problem().outcome(attempt)
}
