//! Where records go that cannot be handled: unchanged, with their history in headers.

use events::topics;
use jiff::Timestamp;
use rdkafka::message::{Header, OwnedHeaders};

use crate::{EventBusProducer, PublishError, Record};

/// Longest error that a dead letter tells, in bytes.
const ERROR_BYTES_MAX: usize = 4_096;

/// Headers of a dead letter beside those that the record had, and of what is done with it afterwards.
pub mod dlq_headers {
    /// How all of them begin.
    pub const PREFIX: &str = "dlq_";
    /// The topic of the record.
    pub const TOPIC: &str = "dlq_topic";
    /// Its partition there.
    pub const PARTITION: &str = "dlq_partition";
    /// Its offset there.
    pub const OFFSET: &str = "dlq_offset";
    /// The group that could not handle it.
    pub const GROUP: &str = "dlq_group";
    /// Why, in one word.
    pub const CAUSE: &str = "dlq_cause";
    /// Why, in a sentence.
    pub const ERROR: &str = "dlq_error";
    /// How often it was tried.
    pub const ATTEMPTS: &str = "dlq_attempts";
    /// When it failed for the first time.
    pub const FAILED_AT: &str = "dlq_failed_at";
    /// How many bytes its value had, where the broker does not take the value.
    pub const VALUE_BYTES: &str = "dlq_value_bytes";
    /// Of a record that was published again: when.
    pub const REPLAYED_AT: &str = "dlq_replayed_at";
    /// Of a record that was published again: topic, partition and offset of its dead letter.
    pub const REPLAYED_FROM: &str = "dlq_replayed_from";
    /// Of a mark, which has no value: what became of a dead letter, `replayed` or `dropped`.
    pub const MARK: &str = "dlq_mark";
    /// Of a mark: the partition of the dead letter.
    pub const MARK_PARTITION: &str = "dlq_mark_partition";
    /// Of a mark: the offset of the dead letter.
    pub const MARK_OFFSET: &str = "dlq_mark_offset";
    /// Of a mark: since when it holds.
    pub const MARKED_AT: &str = "dlq_marked_at";
}

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

/// The headers of a record's history.
const HISTORY: [&str; 8] = [
    dlq_headers::TOPIC,
    dlq_headers::PARTITION,
    dlq_headers::OFFSET,
    dlq_headers::GROUP,
    dlq_headers::CAUSE,
    dlq_headers::ERROR,
    dlq_headers::ATTEMPTS,
    dlq_headers::FAILED_AT,
];
/// A time that takes more is none.
const TIME_BYTES_MAX: usize = 64;

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
    record: &Record,
    history: History<'_>,
) -> Result<(), PublishError> {
    let topic = topics::dead_letter_topic(record.topic(), history.group);
    // A batch that was compressed may hold what no broker takes plainly: then the value is left out, or all but the history.
    let whole = history.headers(record, record.headers_without(|it| HISTORY.contains(&it)));
    let bytes = record.value().map_or(0, <[u8]>::len).to_string();
    let without_value = |it: OwnedHeaders| {
        it.insert(Header { key: dlq_headers::VALUE_BYTES, value: Some(bytes.as_bytes()) })
    };
    let bare = history.headers(record, OwnedHeaders::new());
    let tries = [
        (record.key(), record.value(), whole.clone()),
        (record.key(), None, without_value(whole)),
        (None, None, without_value(bare)),
    ];
    let mut forwarded = Ok(());
    for (key, value, headers) in tries {
        forwarded = producer.forward(key, value, &topic, headers).await.map(drop);
        if !matches!(forwarded, Err(PublishError::TooLarge(_))) {
            break;
        }
    }
    forwarded?;
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

impl History<'_> {
    /// The history as headers, behind those that are `kept` of the record.
    fn headers(&self, record: &Record, kept: OwnedHeaders) -> OwnedHeaders {
        let (partition, offset) = (record.partition().to_string(), record.offset().to_string());
        let (attempts, now) = (self.attempts.to_string(), Timestamp::now().to_string());
        let mut original = record.headers().into_iter().flatten();
        // A record that was replayed and fails again keeps the time of its first failure.
        let first_failure =
            original.find(|(name, _)| *name == dlq_headers::FAILED_AT).and_then(|(_, it)| it);
        let first_failure = first_failure.filter(|it| it.len() <= TIME_BYTES_MAX);
        let values: [&[u8]; HISTORY.len()] = [
            record.topic().as_bytes(),
            partition.as_bytes(),
            offset.as_bytes(),
            self.group.as_bytes(),
            self.cause.as_str().as_bytes(),
            cut(self.error).as_bytes(),
            attempts.as_bytes(),
            first_failure.unwrap_or(now.as_bytes()),
        ];
        let added = HISTORY.into_iter().zip(values);
        added.fold(kept, |all, (key, value)| all.insert(Header { key, value: Some(value) }))
    }
}

/// An error that quotes what it is about may be as long as that.
fn cut(error: &str) -> &str {
    &error[..error.floor_char_boundary(ERROR_BYTES_MAX)]
}
