//! Writing to the broker, one record at a time.

use anyhow::{Context as _, Result};
use eventbus::{
    dlq_headers as names,
    letters::{Letter, State},
};
use jiff::Timestamp;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};

/// Publishes the letter's record to `topic`, in a partition where the key does not choose it, and answers where it
/// lies. `None` where the broker never takes it.
pub(crate) async fn publish(
    producer: &FutureProducer,
    letter: &Letter,
    topic: &str,
    partition: Option<i32>,
    headers: OwnedHeaders,
) -> Result<Option<String>> {
    let value = letter.value();
    match send(producer, letter, topic, partition, value, headers).await {
        Ok(place) => Ok(Some(place)),
        Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
            Ok(None)
        }
        Err(error) => {
            Err(error).with_context(|| format!("{} was not taken by `{topic}`", letter.place))
        }
    }
}

/// Lays a mark beside a letter: in its partition, so that no retention takes the mark away before the letter.
pub(crate) async fn mark(
    producer: &FutureProducer,
    letter: &Letter,
    topic: &str,
    state: State,
) -> Result<()> {
    let (partition, offset) = (letter.place.partition.to_string(), letter.place.offset.to_string());
    let now = Timestamp::now().to_string();
    let headers = [
        (names::MARK, state.as_str()),
        (names::MARK_PARTITION, partition.as_str()),
        (names::MARK_OFFSET, offset.as_str()),
        (names::MARKED_AT, now.as_str()),
    ];
    let headers = headers.into_iter().fold(OwnedHeaders::new(), |all, (key, value)| {
        all.insert(Header { key, value: Some(value) })
    });
    let sent = send(producer, letter, topic, Some(letter.place.partition), None, headers).await;
    sent.map(drop).with_context(|| {
        format!(
            "{} could not be marked as {} in `{topic}`; it is harmless to repeat",
            letter.place,
            state.as_str()
        )
    })
}

async fn send(
    producer: &FutureProducer,
    letter: &Letter,
    topic: &str,
    partition: Option<i32>,
    value: Option<&[u8]>,
    headers: OwnedHeaders,
) -> Result<String, KafkaError> {
    let record: FutureRecord<'_, [u8], [u8]> = FutureRecord {
        topic,
        partition,
        payload: value,
        key: letter.key(),
        timestamp: None,
        headers: Some(headers),
    };
    match producer.send(record, Timeout::Never).await {
        Ok(it) => Ok(format!("{topic}/{}/{}", it.partition, it.offset)),
        Err((error, _)) => Err(error),
    }
}
