//! Where records go that cannot be handled: unchanged, with their history in headers.

use std::time::Duration;

use events::topics;
use jiff::Timestamp;
use rdkafka::{
    Message,
    message::{Header, Headers, OwnedHeaders, OwnedMessage},
};

use crate::EventBusProducer;

/// How long a refused dead letter waits to be tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The header with the time of a record's first failure.
const FAILED_AT: &str = "dlq_failed_at";

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
    let original = || record.headers().into_iter().flat_map(|it| it.iter());
    // A record that was replayed and fails again keeps the time of its first failure.
    let first_failure = original().find(|it| it.key == FAILED_AT).and_then(|it| it.value);
    let added: [(&str, &[u8]); 8] = [
        ("dlq_topic", record.topic().as_bytes()),
        ("dlq_partition", partition.as_bytes()),
        ("dlq_offset", offset.as_bytes()),
        ("dlq_group", history.group.as_bytes()),
        ("dlq_cause", history.cause.as_str().as_bytes()),
        ("dlq_error", history.error.as_bytes()),
        ("dlq_attempts", &history.attempts.to_string().into_bytes()),
        (FAILED_AT, first_failure.unwrap_or(now.as_bytes())),
    ];
    let kept = original().filter(|it| !added.iter().any(|(name, _)| *name == it.key));
    let headers = kept.fold(OwnedHeaders::new(), OwnedHeaders::insert);
    added.iter().fold(headers, |all, (key, value)| all.insert(Header { key, value: Some(*value) }))
}
