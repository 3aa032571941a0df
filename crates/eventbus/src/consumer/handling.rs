//! One attempt at one record: decode it, hand it to its callback, set it aside where it cannot be handled.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use events::Topic;
use futures_util::FutureExt;
use rdkafka::{Message, message::OwnedMessage};
use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    Delivery, EventBusMessage, EventBusProducer, Outcome, Serializer,
    dead_letters::{Cause, History, set_aside},
    registry::Callback,
};

/// How long a key waits whose callback panicked or took too long.
const PAUSE: Duration = Duration::from_secs(1);

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
        }
    }
}

impl Handling {
    /// Makes one attempt and notes it in `tried`.
    pub(crate) async fn attempt(&self, tried: &mut Tried, callback: &Callback) -> Ended {
        tried.attempts += 1;
        let first_attempt_at = *tried.first_attempt_at.get_or_insert_with(Instant::now);
        let record = Arc::clone(&tried.record);
        let message = match self.serializer.deserialize(&record) {
            Ok(message) => message,
            Err(err) => return self.refuse(tried, Cause::Undecodable, &err.to_string()).await,
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
        let message = &delivery.message;
        if let Some(topic) = Topic::find(&message.topic) {
            let Some(event) = topic.event(&message.event_type) else {
                let error = format!("`{}` has no event `{}`", topic.name, message.event_type);
                return self.refuse(tried, Cause::UnknownEventType, &error).await;
            };
            if !event.consumers.contains(&self.group.as_str()) {
                self.count(message, "not_for_us");
                return Ended::Done;
            }
        }
        let (topic, event_type) = (message.topic.clone(), message.event_type.clone());
        let began = Instant::now();
        let outcome = self.call(delivery.clone(), callback).await;
        metrics::histogram!("eventbus_handling_seconds",
            "group" => self.group.clone(), "topic" => topic, "event_type" => event_type)
        .record(began.elapsed().as_secs_f64());
        self.settle(tried, &delivery.message, outcome).await
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

    async fn settle(
        &self,
        tried: &mut Tried,
        message: &EventBusMessage,
        outcome: Outcome,
    ) -> Ended {
        match outcome {
            Outcome::Done => self.count(message, "done"),
            Outcome::Skipped(reason) => {
                tracing::debug!(reason, "a record has no effect");
                self.count(message, reason);
            }
            Outcome::Reject { reason } => {
                self.count(message, "rejected");
                return self.refuse(tried, Cause::Rejected, &reason).await;
            }
            Outcome::RetryAfter { after, counted, reason } => {
                self.count(message, "retried");
                tried.previous_failure_at = Some(Instant::now());
                tried.counted += u32::from(counted);
                if tried.counted >= self.attempts_max {
                    return self.refuse(tried, Cause::Exhausted, &reason).await;
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

    async fn refuse(&self, tried: &Tried, cause: Cause, error: &str) -> Ended {
        let history = History { group: &self.group, cause, error, attempts: tried.attempts };
        set_aside(&self.dead_letters, &tried.record, history).await;
        Ended::Done
    }

    fn count(&self, message: &EventBusMessage, outcome: &'static str) {
        metrics::counter!("eventbus_records_total",
            "group" => self.group.clone(), "topic" => message.topic.clone(),
            "event_type" => message.event_type.clone(), "outcome" => outcome)
        .increment(1);
    }
}
