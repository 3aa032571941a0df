//! Publishing: a message is published once the broker has acknowledged it.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedHeaders,
    producer::{FutureProducer, FutureRecord, Producer},
    util::Timeout,
};

use crate::{
    EventBusMessage, Headers, Record, Serializer,
    factory::{FactoryError, passed_through},
    serializer::owned_headers,
    settings::Cluster,
};

/// How long a batch waits for more messages where each need not leave at once, in milliseconds.
const LINGER_MS: &str = "5";
/// How long an unacknowledged message is tried, in milliseconds, before the publisher is told.
const MESSAGE_LIMIT_MS: &str = "30000";
/// Largest record with its headers, in bytes: dead letters carry a record that was too large, and its history.
const RECORD_BYTES_MAX: &str = "4194304";
/// How long one try to write a dead letter holds its place among the records in flight.
const FORWARD_LIMIT: Duration = Duration::from_secs(5);
/// How long [`EventBusProducer::flush`] waits at the most.
const FLUSH_LIMIT: Duration = Duration::from_secs(10);

/// What a producer is made of.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// Names the client at the broker and in metrics.
    pub tag: String,
    /// The broker.
    pub cluster: Cluster,
    /// Settings of librdkafka that are passed through.
    pub properties: std::collections::BTreeMap<String, String>,
    /// Whether each message leaves at once instead of waiting a few milliseconds for others.
    /// Publishing answers after the broker's acknowledgement either way.
    pub flush_every_message: bool,
}

/// Where a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The partition that its key chose.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
}

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The broker never takes it.
    #[error("the message is too large for `{0}`")]
    TooLarge(String),
    /// The broker did not acknowledge it in time; it may still have arrived.
    #[error("failed to deliver a message to `{topic}`")]
    Deliver {
        /// Where it should have gone.
        topic: String,
        /// What the client says.
        source: KafkaError,
    },
}

/// A cheap handle; clones publish through the same connection.
#[derive(Clone)]
pub struct EventBusProducer {
    serializer: Serializer,
    config: Arc<ClientConfig>,
    client: Arc<RwLock<FutureProducer>>,
}

impl EventBusProducer {
    /// Connects in the background.
    ///
    /// # Errors
    /// The settings do not make a client, or break what this bus promises.
    pub fn new(config: ProducerConfig, serializer: Serializer) -> Result<Self, FactoryError> {
        let mut client = config.cluster.client_config()?;
        client
            .set("client.id", &config.tag)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", MESSAGE_LIMIT_MS)
            .set("message.max.bytes", RECORD_BYTES_MAX)
            .set("linger.ms", if config.flush_every_message { "0" } else { LINGER_MS });
        passed_through(&mut client, &config.properties)?;
        let producer = client.create().map_err(FactoryError::Client)?;
        Ok(Self { serializer, config: Arc::new(client), client: Arc::new(RwLock::new(producer)) })
    }

    /// Answers once the broker has acknowledged the message.
    ///
    /// # Errors
    /// The broker did not acknowledge it. Publishing it again is safe: it has the same id.
    pub async fn publish(&self, message: &EventBusMessage) -> Result<Delivered, PublishError> {
        let (headers, value) = self.serializer.serialize(message);
        if value.len() > events::RECORD_BYTES_MAX {
            return Err(PublishError::TooLarge(message.topic.clone()));
        }
        let record = FutureRecord::<[u8], [u8]>::to(&message.topic)
            .payload(&value)
            .headers(owned_headers(&headers))
            .timestamp(message.timestamp.as_millisecond());
        let record = match &message.key {
            Some(key) => record.key(key.as_bytes()),
            None => record,
        };
        let delivered = self.send(record).await?;
        metrics::counter!("eventbus_published_total",
            "topic" => message.topic.clone(), "event_type" => message.event_type.clone())
        .increment(1);
        Ok(delivered)
    }

    /// Publishes a record without a value: it deletes what `key` names. Answers as [`Self::publish`] does.
    ///
    /// # Errors
    /// The broker did not acknowledge it.
    pub async fn publish_deletion(
        &self,
        topic: &str,
        key: &str,
        headers: &Headers,
    ) -> Result<Delivered, PublishError> {
        let record = FutureRecord::<[u8], [u8]>::to(topic)
            .key(key.as_bytes())
            .headers(owned_headers(headers));
        let delivered = self.send(record).await?;
        metrics::counter!("eventbus_published_total",
            "topic" => topic.to_owned(), "event_type" => "none")
        .increment(1);
        Ok(delivered)
    }

    /// Copies a record to another topic, with these headers.
    pub(crate) async fn forward(
        &self,
        record: &Record,
        payload: Option<&[u8]>,
        topic: &str,
        headers: OwnedHeaders,
    ) -> Result<Delivered, PublishError> {
        let copy = FutureRecord {
            topic,
            partition: None,
            payload,
            key: record.key(),
            timestamp: None,
            headers: Some(headers),
        };
        let sent = tokio::time::timeout(FORWARD_LIMIT, self.send(copy)).await;
        sent.unwrap_or_else(|_| {
            let source = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
            Err(PublishError::Deliver { topic: topic.to_owned(), source })
        })
    }

    async fn send(&self, record: FutureRecord<'_, [u8], [u8]>) -> Result<Delivered, PublishError> {
        let topic = record.topic.to_owned();
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner).clone();
        match client.send(record, Timeout::Never).await {
            Ok(it) => Ok(Delivered { partition: it.partition, offset: it.offset }),
            Err((source, _)) => {
                self.renew_after_fatal_error(&client);
                if source.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) {
                    return Err(PublishError::TooLarge(topic));
                }
                Err(PublishError::Deliver { topic, source })
            }
        }
    }

    /// An idempotent client that lost its place in the sequence is of no use any more.
    fn renew_after_fatal_error(&self, failed: &FutureProducer) {
        let Some((code, reason)) = failed.client().fatal_error() else { return };
        let mut client = self.client.write().unwrap_or_else(PoisonError::into_inner);
        if client.client().fatal_error().is_none() {
            return;
        }
        tracing::warn!(%code, reason, "the producer failed for good, making a new one");
        match self.config.create() {
            Ok(renewed) => *client = renewed,
            Err(err) => tracing::error!(%err, "no new producer could be made"),
        }
    }

    /// Waits until nothing is on its way any more, for at most ten seconds.
    ///
    /// # Errors
    /// Some messages were still unacknowledged then.
    pub fn flush(&self) -> Result<(), KafkaError> {
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner).clone();
        client.flush(FLUSH_LIMIT)
    }
}
