//! Where records go that cannot be handled: unchanged, with their history in headers.

use std::time::Duration;

use events::topics;
use jiff::Timestamp;
use rdkafka::{
    Message,
    message::{OwnedHeaders, OwnedMessage},
};

use crate::{EventBusProducer, producer::text_header};

/// How long a refused dead letter waits to be tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a record is set aside: a word for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is no message.
    Undecodable,
    /// The registry knows no such event.
    UnknownEventType,
    /// The callback refused it.
    Rejected,
    /// It failed too often.
    Exhausted,
}

impl Cause {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::UnknownEventType => "unknown_event_type",
            Self::Rejected => "rejected",
            Self::Exhausted => "exhausted",
        }
    }
}

/// The history of a record that is set aside.
pub(crate) struct History<'a> {
    pub(crate) group: &'a str,
    pub(crate) cause: Cause,
    pub(crate) error: &'a str,
    pub(crate) attempts: u32,
}

/// Writes the record to its dead-letter topic and answers once the broker has acknowledged it. A dead letter
/// that cannot be written is tried again for as long as its partition is ours: its record is not done before.
pub(crate) async fn set_aside(
    producer: &EventBusProducer,
    record: &OwnedMessage,
    history: History<'_>,
) {
    let topic = topics::dead_letter_topic(record.topic(), history.group);
    let now = Timestamp::now().to_string();
    while let Err(err) = producer.forward(record, &topic, headers(record, &history, &now)).await {
        tracing::error!(topic, err = ?err, "a dead letter could not be written, trying again");
        tokio::time::sleep(PAUSE).await;
    }
    let cause = history.cause.as_str();
    metrics::counter!("eventbus_dead_letters_total",
        "topic" => record.topic().to_owned(), "group" => history.group.to_owned(), "cause" => cause)
    .increment(1);
    tracing::error!(
        cause,
        error = history.error,
        attempts = history.attempts,
        "a record was set aside"
    );
}

fn headers(record: &OwnedMessage, history: &History<'_>, now: &str) -> OwnedHeaders {
    let (partition, offset) = (record.partition().to_string(), record.offset().to_string());
    let added = [
        ("dlq_topic", record.topic()),
        ("dlq_partition", &partition),
        ("dlq_offset", &offset),
        ("dlq_group", history.group),
        ("dlq_cause", history.cause.as_str()),
        ("dlq_error", history.error),
        ("dlq_attempts", &history.attempts.to_string()),
        ("dlq_failed_at", now),
    ];
    let original = record.headers().cloned().unwrap_or_default();
    // A replayed record keeps the history of its first failure.
    added.into_iter().fold(original, |all, (name, value)| match name {
        "dlq_failed_at" if has(&all, name) => all,
        _ => all.insert(text_header(name, value)),
    })
}

fn has(headers: &OwnedHeaders, name: &str) -> bool {
    use rdkafka::message::Headers;
    headers.iter().any(|it| it.key == name)
}
