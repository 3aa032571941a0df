//! Plays rsadaptor: answers what wants an answer, a package as its name says.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use eventbus::{
    ClientType, Delivery, DualEventBusConsumer, EventBusFactory, EventBusMessage, EventBusProducer,
    EventBusRegistry, Origin, Outcome, Settings,
};
use events::{
    AdaptorReply, AppliedReply, ReplyStatus, RequestId, Revision, RsAgentEvent, TopicEvent as _,
};
/// The group that packages are for.
pub(crate) const GROUP: &str = "rsadaptor";
/// How far the backend is ahead of a package that was set back.
pub(crate) const AHEAD: u64 = 1_000_000_000_000;

#[derive(Clone)]
struct Adaptor {
    bus: EventBusProducer,
    /// Requests that were answered before.
    seen: Arc<Mutex<HashSet<RequestId>>>,
}

/// Answers until it is dropped.
pub(crate) fn play(kafka: Settings) -> DualEventBusConsumer {
    let factory = EventBusFactory::new("adaptor", kafka);
    let bus = factory.producer(ClientType::Default).unwrap();
    let consumer = factory.consumer(GROUP, ClientType::Default).unwrap();
    let adaptor = Adaptor { bus, seen: Arc::default() };
    let registry = EventBusRegistry::new(RsAgentEvent::topic().name, move |delivery| {
        let adaptor = adaptor.clone();
        async move { adaptor.answer(&delivery).await }
    });
    consumer.register(vec![registry]).unwrap();
    consumer
}

impl Adaptor {
    async fn answer(&self, delivery: &Delivery) -> Outcome {
        let message = &delivery.message;
        let Some(request_id) = &message.attributes.request_id else { return Outcome::Done };
        let (revision, of_isp) = match message.event().unwrap() {
            RsAgentEvent::RSAgentPackageCreated(it) => (it.revision, false),
            RsAgentEvent::RSAgentPackageDeleted(it) => (it.revision, false),
            RsAgentEvent::RSAgentsUpdated(it) => (it.revision, true),
            RsAgentEvent::RSDefaultAgentsUpdated(it) => (it.revision, true),
        };
        let first = self.seen.lock().unwrap().insert(request_id.clone());
        let Some((status, held)) = fate(request_id, first, revision) else { return Outcome::Done };
        let rejected = status == ReplyStatus::Rejected;
        let reply = AppliedReply {
            request_id: request_id.clone(),
            job_id: message.attributes.job_id.clone(),
            resource: request_id.key().to_owned().try_into().unwrap(),
            revision,
            held_revision: held,
            status,
            http_status: rejected.then_some(422),
            error: rejected.then(|| "the signature is wrong".to_owned()),
        };
        let reply = match of_isp {
            true => AdaptorReply::RSSystemReply(reply),
            false => AdaptorReply::RSAgentPackageCreatedReply(reply),
        };
        let origin = Origin::Message { id: &message.attributes.id, n: 0 };
        let reply = EventBusMessage::new(&reply, "/rsadaptor", origin);
        self.bus.publish(&reply).await.unwrap();
        // A reply may come twice.
        self.bus.publish(&reply).await.unwrap();
        Outcome::Done
    }
}

/// How a package ends, by its name; the first time or later.
fn fate(
    request_id: &RequestId,
    first: bool,
    revision: Revision,
) -> Option<(ReplyStatus, Option<Revision>)> {
    let is = |name: &str| request_id.key().contains(name);
    let redriven = request_id.task_id().contains("/agents~");
    let status = match (first, redriven) {
        _ if is("silent") => return None,
        (true, _) if is("slow") => return None,
        (true, _) if is("ahead") => {
            let held = Revision::try_from(revision.get() + AHEAD).unwrap();
            return Some((ReplyStatus::Superseded, Some(held)));
        }
        (true, _) if is("late") => ReplyStatus::Expired,
        (_, false) if is("wrong") => ReplyStatus::Rejected,
        _ if is("same") => ReplyStatus::Unchanged,
        _ => ReplyStatus::Applied,
    };
    Some((status, Some(revision)))
}
