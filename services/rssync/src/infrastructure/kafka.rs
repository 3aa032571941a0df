//! The Kafka face: the replies of rsclient and rsagents.

use std::collections::BTreeMap;

use eventbus::{Batch, Delivery, EventBusRegistry, Outcome};
use events::{AgentsReply, ClientReply, RequestId, SyncReply, Topic, TopicEvent};

use crate::{
    app::App,
    application::{Failure, Heard, take_replies},
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
    let mut outcomes: Vec<Option<Outcome>> = vec![None; deliveries.len()];
    let mut by_task: BTreeMap<RequestId, Vec<(usize, SyncReply)>> = BTreeMap::new();
    for (at, delivery) in deliveries.iter().enumerate() {
        match read(delivery) {
            Ok((task_id, reply)) => by_task.entry(task_id).or_default().push((at, reply)),
            Err(failure) => outcomes[at] = Some(failure.problem().outcome(delivery.attempt)),
        }
    }
    for (task_id, replies) in by_task {
        let (places, replies): (Vec<usize>, Vec<SyncReply>) = replies.into_iter().unzip();
        let heard = take_replies(app, &task_id, &replies).await;
        let mut failed = None;
        let outcome = match heard {
            Ok(Heard::Counted) => Outcome::Done,
            Ok(Heard::NothingNew) => Outcome::Skipped("no request is open"),
            Ok(Heard::OfAnotherVersion) => Outcome::Skipped("another version's task"),
            Err(failure) => {
                let problem = failure.problem();
                let outcome = problem.clone().outcome(1);
                failed = Some(problem);
                outcome
            }
        };
        for at in places {
            outcomes[at] = Some(match &failed {
                Some(problem) => problem.clone().outcome(deliveries[at].attempt),
                None => outcome.clone(),
            });
        }
    }
    let decided = outcomes.into_iter();
    decided.map(|it| it.expect("every record was read or refused")).collect()
}

fn read(delivery: &Delivery) -> Result<(RequestId, SyncReply), Failure> {
    let message = &delivery.message;
    let malformed = |error: String| Failure::Malformed(error);
    let reply = match message.topic == AgentsReply::topic().name {
        true => match message.event().map_err(|it| malformed(it.to_string()))? {
            AgentsReply::RSSyncAgentPackagesReply(it)
            | AgentsReply::RSSyncAgentPackagesBulkReply(it) => it,
        },
        false => match message.event().map_err(|it| malformed(it.to_string()))? {
            ClientReply::RSSyncSystemReply(it)
            | ClientReply::RSSyncAccountsReply(it)
            | ClientReply::RSSyncAccountsBulkReply(it) => it,
        },
    };
    let task_id = reply.request_id.task_id().parse();
    let task_id = task_id.map_err(|it: events::InvalidId| malformed(it.to_string()))?;
    Ok((task_id, reply))
}
