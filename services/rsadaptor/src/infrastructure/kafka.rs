//! The Kafka face: one record, one use case; one end, one reply or outcome.

mod event;

use eventbus::{Delivery, EventBusMessage, EventBusProducer, EventBusRegistry, Origin, Outcome};
use events::{AppliedReply, IspId, ReplyStatus, RequestId, Revision, Text};

use crate::{
    app::App,
    application::Request,
    domain::{Attempt, Ending, Later, TENANT_MISMATCH},
    infrastructure::{problems::later, rejections::Rejection},
};
use event::{Event, Topic};

const SOURCE: &str = "/rsadaptor";

/// The topics of the service, each with its callback.
pub fn registries(app: &App, replies: &EventBusProducer) -> Vec<EventBusRegistry> {
    let registry = |topic: Topic| {
        let (app, replies) = (app.clone(), replies.clone());
        EventBusRegistry::new(topic.name(), move |delivery| {
            let (app, replies) = (app.clone(), replies.clone());
            async move { on_record(&app, &replies, &delivery).await }
        })
    };
    Topic::ALL.map(|it| registry(it).towards(app.backend.destination())).into()
}

/// Handles one record and answers it where it asks for that.
pub async fn on_record(app: &App, replies: &EventBusProducer, delivery: &Delivery) -> Outcome {
    let message = &delivery.message;
    let request = request(delivery);
    let topic = Topic::of(message);
    let event = topic.read(message);
    let handled = match &event {
        Ok(event) if is_foreign(message, event) => Ok(Ending::rejected(TENANT_MISMATCH, None)),
        Ok(event) => event.handle(app, &request, message.attributes.tenant.as_ref()).await,
        Err(error) => Ok(Ending::rejected(error.to_string(), None)),
    };
    let ending = match handled {
        Ok(ending) => ending,
        Err(later) => return wait(later),
    };
    note_rejection(app, message, event.as_ref().ok(), &ending);
    if let Some(request_id) = &message.attributes.request_id {
        let about = match &event {
            Ok(event) => event.about(),
            Err(_) => about_envelope(message, request_id),
        };
        let reply = reply(topic, message, request_id, about, &ending);
        if let Err(error) = replies.publish(&reply).await {
            let reason = format!("{:#}", anyhow::Error::new(error));
            return wait(later(&request.attempt, reason));
        }
    }
    if !event.is_ok_and(|it| it.is_only_counted()) {
        metrics::counter!("rsadaptor_applied_total", "status" => status_name(ending.status))
            .increment(1);
    }
    outcome(ending, message.attributes.request_id.is_some())
}

/// Remembers why a record was rejected. One of another tenant says nothing about the resource.
fn note_rejection(app: &App, message: &EventBusMessage, event: Option<&Event>, ending: &Ending) {
    let Ending { status: ReplyStatus::Rejected, http_status, error: Some(error), .. } = ending
    else {
        return;
    };
    if error == TENANT_MISMATCH {
        return;
    }
    let (resources, revision) = match event {
        Some(event) => (event.resources(), event.about().1),
        None => (Topic::of(message).resource_of_key(message), Revision::default()),
    };
    for it in resources {
        let (http_status, error, at) = (*http_status, error.clone(), jiff::Timestamp::now());
        app.rejections.note(&it, Rejection { revision, http_status, error, at });
    }
}

/// Whether the envelope, which speaks for the credential, names another tenant than the payload.
fn is_foreign(message: &EventBusMessage, event: &Event) -> bool {
    let (envelope, payload) = (message.attributes.tenant.as_ref(), event.isp_id());
    let is_foreign = envelope.is_some_and(|it| payload.is_some_and(|payload| it != payload));
    if is_foreign {
        metrics::counter!("rsadaptor_tenant_mismatches_total").increment(1);
        tracing::error!(?envelope, ?payload, "tenant mismatch: envelope and payload differ");
    }
    is_foreign
}

fn request(delivery: &Delivery) -> Request {
    Request {
        expires_at: delivery.message.attributes.expires_at,
        force: delivery.message.attributes.force,
        lane: delivery.message.attributes.lane,
        attempt: Attempt {
            number: delivery.attempt,
            last_if_counted: delivery.is_last_if_counted(),
            first_attempt_at: delivery.first_attempt_at.into_std(),
            previous_failure_at: delivery.previous_failure_at.map(tokio::time::Instant::into_std),
        },
    }
}

fn wait(Later { after, counted, reason }: Later) -> Outcome {
    Outcome::RetryAfter { after, counted, reason }
}

fn outcome(ending: Ending, replied: bool) -> Outcome {
    match ending.status {
        ReplyStatus::Applied | ReplyStatus::Unchanged => Outcome::Done,
        ReplyStatus::Superseded | ReplyStatus::Expired | ReplyStatus::NotSent => {
            Outcome::Skipped(status_name(ending.status))
        }
        ReplyStatus::Rejected if replied => Outcome::Skipped(status_name(ending.status)),
        ReplyStatus::Rejected => {
            Outcome::Reject { reason: ending.error.unwrap_or_else(|| "rejected".to_owned()) }
        }
    }
}

fn reply(
    topic: Topic,
    message: &EventBusMessage,
    request_id: &RequestId,
    (resource, revision, tenant): (Text, Revision, Option<&IspId>),
    ending: &Ending,
) -> EventBusMessage {
    let reply = AppliedReply {
        request_id: request_id.clone(),
        job_id: message.attributes.job_id.clone(),
        resource: resource.clone(),
        revision,
        held_revision: ending.held,
        status: ending.status,
        http_status: ending.http_status,
        error: ending.error.clone(),
    };
    let reply = topic.reply(&message.event_type, reply);
    let mut reply =
        EventBusMessage::new(&reply, SOURCE, Origin::Message { id: &message.attributes.id, n: 0 });
    if reply.trace_id.0.is_empty() {
        // Records of a sync have no span of their own; their replies stay in their trace.
        reply.trace_id = message.trace_id.clone();
    }
    // Nobody is in a hurry for it where nobody was for the record.
    reply.attributes.lane = message.attributes.lane;
    reply.attributes.subject = Some(resource.as_str().into());
    reply.attributes.tenant = message.attributes.tenant.as_ref().or(tenant).cloned();
    reply
}

/// What a record whose payload is malformed is about, as far as its envelope tells.
fn about_envelope<'a>(
    message: &'a EventBusMessage,
    request_id: &RequestId,
) -> (Text, Revision, Option<&'a IspId>) {
    let key = message.key.clone().and_then(|it| Text::try_from(it).ok());
    let asked = || Text::try_from(request_id.key().to_owned()).expect("an id is a text");
    (key.unwrap_or_else(asked), Revision::default(), message.attributes.tenant.as_ref())
}

fn status_name(status: ReplyStatus) -> &'static str {
    match status {
        ReplyStatus::Applied => "applied",
        ReplyStatus::Unchanged => "unchanged",
        ReplyStatus::Superseded => "superseded",
        ReplyStatus::Rejected => "rejected",
        ReplyStatus::Expired => "expired",
        ReplyStatus::NotSent => "not_sent",
    }
}
