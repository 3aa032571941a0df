//! Where records go that cannot be handled: unchanged, with their history in headers.

use events::topics;
use jiff::Timestamp;
use rdkafka::{
    Message,
    message::{Header, OwnedHeaders, OwnedMessage},
};

use crate::{EventBusProducer, PublishError, serializer::all_headers};

/// Longest error that a dead letter tells, in bytes.
const ERROR_BYTES_MAX: usize = 4_096;

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

/// Writes the record to its dead-letter topic and answers once the broker has acknowledged it. Its record is not
/// done before.
pub(crate) async fn set_aside(
    producer: &EventBusProducer,
    record: &OwnedMessage,
    history: History<'_>,
) -> Result<(), PublishError> {
    let topic = topics::dead_letter_topic(record.topic(), history.group);
    let headers = headers(record, &history);
    match producer.forward(record, record.payload(), &topic, headers.clone()).await {
        // A batch that was compressed may hold what no broker takes plainly: then its history alone is kept.
        Err(PublishError::TooLarge(_)) => {
            let bytes = record.payload().map_or(0, <[u8]>::len).to_string();
            let headers = headers.insert(header("dlq_value_bytes", bytes.as_bytes()));
            producer.forward(record, None, &topic, headers).await?;
        }
        forwarded => drop(forwarded?),
    }
    let cause = history.cause.as_str();
    metrics::counter!("eventbus_dead_letters_total",
        "topic" => record.topic().to_owned(), "group" => history.group.to_owned(), "cause" => cause)
    .increment(1);
    tracing::error!(
        topic = record.topic(),
        partition = record.partition(),
        offset = record.offset(),
        cause,
        error = history.error,
        attempts = history.attempts,
        "a record was set aside"
    );
    Ok(())
}

fn headers(record: &OwnedMessage, history: &History<'_>) -> OwnedHeaders {
    let (partition, offset) = (record.partition().to_string(), record.offset().to_string());
    let (attempts, now) = (history.attempts.to_string(), Timestamp::now().to_string());
    let original = all_headers(record);
    let mut read = original.iter().flatten();
    // A record that was replayed and fails again keeps the time of its first failure.
    let first_failure = read.find(|it| it.key == FAILED_AT).and_then(|it| it.value);
    let added: [(&str, &[u8]); 8] = [
        ("dlq_topic", record.topic().as_bytes()),
        ("dlq_partition", partition.as_bytes()),
        ("dlq_offset", offset.as_bytes()),
        ("dlq_group", history.group.as_bytes()),
        ("dlq_cause", history.cause.as_str().as_bytes()),
        ("dlq_error", cut(history.error).as_bytes()),
        ("dlq_attempts", attempts.as_bytes()),
        (FAILED_AT, first_failure.unwrap_or(now.as_bytes())),
    ];
    let kept = match &original {
        Some(original) => original
            .iter()
            .filter(|it| !added.iter().any(|(name, _)| *name == it.key))
            .fold(OwnedHeaders::new(), |all, it| all.insert(it.clone())),
        // Names that cannot be read can be copied all the same.
        None => record.headers().cloned().unwrap_or_default(),
    };
    added.iter().fold(kept, |all, (name, value)| all.insert(header(name, value)))
}

fn header<'a>(key: &'a str, value: &'a [u8]) -> Header<'a, &'a [u8]> {
    Header { key, value: Some(value) }
}

/// An error that quotes what it is about may be as long as that.
fn cut(error: &str) -> &str {
    &error[..error.floor_char_boundary(ERROR_BYTES_MAX)]
}
