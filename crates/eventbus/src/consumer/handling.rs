//! One attempt at one record: decode it, hand it to its callback, set it aside where it cannot be handled.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use events::Topic;
use futures_util::FutureExt;
use rdkafka::{Message, message::OwnedMessage};
use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    Delivery, EventBusMessage, EventBusProducer, Outcome, Serializer, backoff,
    dead_letters::{Cause, History, set_aside},
    registry::Callback,
};

/// How long a key waits whose handling panicked or took too long.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// What every attempt of a consumer needs.
pub(crate) struct Handling {
    pub(crate) group: String,
    pub(crate) serializer: Serializer,
    pub(crate) dead_letters: EventBusProducer,
    pub(crate) attempts_max: u32,
    pub(crate) limit: Duration,
}

/// A record with what happened to it so far.
#[derive(Clone)]
pub(crate) struct Tried {
    pub(crate) record: Arc<OwnedMessage>,
    pub(crate) attempts: u32,
    pub(crate) counted: u32,
    pub(crate) first_attempt_at: Option<Instant>,
    pub(crate) previous_failure_at: Option<Instant>,
    /// It is to be set aside, and that has failed so many times.
    refused: Option<Refused>,
}

#[derive(Clone)]
struct Refused {
    cause: Cause,
    error: String,
    attempts: u32,
}

/// How an attempt ended.
pub(crate) enum Ended {
    /// The record's offset may be stored.
    Done,
    /// The record waits.
    Retry { after: Duration },
}

impl Tried {
    pub(crate) fn new(record: OwnedMessage) -> Self {
        Self {
            record: Arc::new(record),
            attempts: 0,
            counted: 0,
            first_attempt_at: None,
            previous_failure_at: None,
            refused: None,
        }
    }
}

impl Handling {
    /// Makes one attempt and notes it in `tried`.
    pub(crate) async fn attempt(&self, tried: &mut Tried, callback: &Callback) -> Ended {
        if let Some(refused) = tried.refused.take() {
            return self.set_aside(tried, refused).await;
        }
        tried.attempts += 1;
        let first_attempt_at = *tried.first_attempt_at.get_or_insert_with(Instant::now);
        let record = Arc::clone(&tried.record);
        let message = match self.serializer.deserialize(&record) {
            Ok(message) => message,
            Err(err) => return self.refuse(tried, Cause::Undecodable, err.to_string()).await,
        };
        let span = tracing::info_span!(
            "record",
            topic = record.topic(),
            partition = record.partition(),
            offset = record.offset(),
            key = message.key,
            event_type = message.event_type,
            attempt = tried.attempts
        );
        message.trace_id.adopt(&span);
        let delivery = Delivery {
            attempt: tried.attempts,
            counted: tried.counted,
            attempts_max: self.attempts_max,
            first_attempt_at,
            previous_failure_at: tried.previous_failure_at,
            message,
        };
        self.deliver(tried, delivery, callback).instrument(span).await
    }

    async fn deliver(&self, tried: &mut Tried, delivery: Delivery, callback: &Callback) -> Ended {
        let event = Event::of(&delivery.message);
        if let Some(topic) = Topic::find(&event.topic) {
            let Some(known) = topic.event(&event.event_type) else {
                let error = format!("`{}` has no event `{}`", topic.name, event.event_type);
                return self.refuse(tried, Cause::UnknownEventType, error).await;
            };
            if !known.consumers.contains(&self.group.as_str()) {
                self.count(&event, "not_for_us");
                return Ended::Done;
            }
        }
        let began = Instant::now();
        let outcome = self.call(delivery, callback).await;
        metrics::histogram!("eventbus_handling_seconds", "group" => self.group.clone(),
            "topic" => event.topic.clone(), "event_type" => event.event_type.clone())
        .record(began.elapsed().as_secs_f64());
        self.settle(tried, &event, outcome).await
    }

    /// A callback that panics or takes too long has failed; the record may be at fault.
    async fn call(&self, delivery: Delivery, callback: &Callback) -> Outcome {
        let call = AssertUnwindSafe(async { callback(delivery).await }).catch_unwind();
        let failed = match tokio::time::timeout(self.limit, call).await {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(_)) => "the callback panicked".to_owned(),
            Err(_) => format!("the callback took longer than {} s", self.limit.as_secs()),
        };
        Outcome::RetryAfter { after: PAUSE, counted: true, reason: failed }
    }

    async fn settle(&self, tried: &mut Tried, event: &Event, outcome: Outcome) -> Ended {
        match outcome {
            Outcome::Done => self.count(event, "done"),
            Outcome::Skipped(reason) => {
                tracing::debug!(reason, "a record has no effect");
                self.count(event, reason);
            }
            Outcome::Reject { reason } => {
                self.count(event, "rejected");
                return self.refuse(tried, Cause::Rejected, reason).await;
            }
            Outcome::RetryAfter { after, counted, reason } => {
                self.count(event, "retried");
                tried.previous_failure_at = Some(Instant::now());
                tried.counted += u32::from(counted);
                if tried.counted >= self.attempts_max {
                    return self.refuse(tried, Cause::Exhausted, reason).await;
                }
                tracing::warn!(
                    reason,
                    counted,
                    after_ms = after.as_millis() as u64,
                    "a record waits"
                );
                return Ended::Retry { after };
            }
        }
        Ended::Done
    }

    async fn refuse(&self, tried: &mut Tried, cause: Cause, error: String) -> Ended {
        self.set_aside(tried, Refused { cause, error, attempts: 0 }).await
    }

    /// A dead letter that cannot be written waits as a record does: its key stands still, others go on.
    async fn set_aside(&self, tried: &mut Tried, refused: Refused) -> Ended {
        let Refused { cause, error, attempts } = &refused;
        let history =
            History { group: &self.group, cause: *cause, error, attempts: tried.attempts };
        let Err(err) = set_aside(&self.dead_letters, &tried.record, history).await else {
            return Ended::Done;
        };
        tracing::error!(
            ?err,
            topic = tried.record.topic(),
            "a dead letter could not be written, trying again"
        );
        let attempts = attempts + 1;
        tried.refused = Some(Refused { attempts, ..refused });
        Ended::Retry { after: backoff(attempts) }
    }

    fn count(&self, event: &Event, outcome: &'static str) {
        metrics::counter!("eventbus_records_total", "group" => self.group.clone(),
            "topic" => event.topic.clone(), "event_type" => event.event_type.clone(),
            "outcome" => outcome)
        .increment(1);
    }
}

/// What a record is counted under.
struct Event {
    topic: String,
    event_type: String,
}

impl Event {
    fn of(message: &EventBusMessage) -> Self {
        Self { topic: message.topic.clone(), event_type: message.event_type.clone() }
    }
}
