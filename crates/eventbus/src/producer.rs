//! Publishing: a message is published once the broker has acknowledged it.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use compact_str::CompactString;
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedHeaders,
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer},
};

use crate::{
    EventBusMessage, Headers, Serializer,
    factory::{FactoryError, passed_through},
    serializer::headers_of,
    settings::Cluster,
};

/// How long a batch waits for more messages where each need not leave at once, in milliseconds.
const LINGER_MS: &str = "5";
/// How long an unacknowledged message is tried, in milliseconds, before the publisher is told. A callback that publishes
/// has to hear of an outage before its own time is over (`handler_limit_seconds`), which would count against its record.
const MESSAGE_LIMIT_MS: &str = "15000";
/// Largest record with its headers, in bytes: dead letters carry a record that was too large, and its history.
const RECORD_BYTES_MAX: &str = "4194304";
/// How long a client that has no room for another message is left alone.
const FULL_PAUSE: Duration = Duration::from_millis(20);
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
        let delivered = self.delivered(self.begin(message).await?, &message.topic).await?;
        count(&message.topic, &message.event_type, 1);
        Ok(delivered)
    }

    /// Publishes messages in their order and answers for each, once all of them are acknowledged or given up.
    pub async fn publish_all(
        &self,
        messages: Vec<EventBusMessage>,
    ) -> Vec<Result<Delivered, PublishError>> {
        let mut begun = Vec::with_capacity(messages.len());
        for message in messages {
            let delivery = self.begin(&message).await;
            begun.push((delivery, message.topic, message.event_type));
        }
        // One after the other: most are acknowledged when their turn comes, and wake nobody.
        let mut all = Vec::with_capacity(begun.len());
        let mut published = Published::default();
        for (delivery, topic, event_type) in begun {
            let delivered = match delivery {
                Ok(delivery) => self.delivered(delivery, &topic).await,
                Err(error) => Err(error),
            };
            if delivered.is_ok() {
                published.add(topic, event_type);
            }
            all.push(delivered);
        }
        published.count();
        all
    }

    async fn begin(&self, message: &EventBusMessage) -> Result<DeliveryFuture, PublishError> {
        let (headers, value) = self.serializer.serialize(message);
        if value.len() > events::RECORD_BYTES_MAX {
            return Err(PublishError::TooLarge(message.topic.to_string()));
        }
        let record = FutureRecord::<[u8], [u8]>::to(&message.topic)
            .payload(&value)
            .headers(headers)
            .timestamp(message.timestamp.as_millisecond());
        let record = match &message.key {
            Some(key) => record.key(key.as_bytes()),
            None => record,
        };
        self.enqueue(record).await
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
            .headers(headers_of(headers.iter().map(|(name, it)| (name.as_str(), it.as_slice()))));
        let delivered = self.send(record).await?;
        count(topic, "none", 1);
        Ok(delivered)
    }

    /// Copies a record to another topic, with these headers.
    pub(crate) async fn forward(
        &self,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        topic: &str,
        headers: OwnedHeaders,
    ) -> Result<Delivered, PublishError> {
        let copy = FutureRecord {
            topic,
            partition: None,
            payload,
            key,
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
        let topic = record.topic;
        let delivery = self.enqueue(record).await?;
        self.delivered(delivery, topic).await
    }

    /// Hands a record to the client, as soon as that has room for it.
    async fn enqueue(
        &self,
        mut record: FutureRecord<'_, [u8], [u8]>,
    ) -> Result<DeliveryFuture, PublishError> {
        loop {
            match self.client().send_result(record) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                Err((source, back)) => return Err(self.failed(source, back.topic)),
            }
        }
    }

    async fn delivered(
        &self,
        delivery: DeliveryFuture,
        topic: &str,
    ) -> Result<Delivered, PublishError> {
        match delivery.await {
            Ok(Ok(it)) => Ok(Delivered { partition: it.partition, offset: it.offset }),
            Ok(Err((source, _))) => Err(self.failed(source, topic)),
            // The client is gone.
            Err(_) => Err(self.failed(KafkaError::Canceled, topic)),
        }
    }

    fn failed(&self, source: KafkaError, topic: &str) -> PublishError {
        self.renew_after_fatal_error();
        match source.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => PublishError::TooLarge(topic.to_owned()),
            Some(_) | None => PublishError::Deliver { topic: topic.to_owned(), source },
        }
    }

    /// An idempotent client that lost its place in the sequence is of no use any more.
    fn renew_after_fatal_error(&self) {
        if self.client().client().fatal_error().is_none() {
            return;
        }
        let mut client = self.client.write().unwrap_or_else(PoisonError::into_inner);
        let Some((code, reason)) = client.client().fatal_error() else { return };
        tracing::warn!(%code, reason, "the producer failed for good, making a new one");
        match self.config.create() {
            Ok(renewed) => *client = renewed,
            Err(err) => tracing::error!(%err, "no new producer could be made"),
        }
    }

    fn client(&self) -> FutureProducer {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until nothing is on its way any more, for at most ten seconds.
    ///
    /// # Errors
    /// Some messages were still unacknowledged then.
    pub fn flush(&self) -> Result<(), KafkaError> {
        self.client().flush(FLUSH_LIMIT)
    }
}

/// How many messages of a batch were published, by topic and type: they are of few.
#[derive(Default)]
struct Published(Vec<(CompactString, CompactString, u64)>);

impl Published {
    fn add(&mut self, topic: CompactString, event_type: CompactString) {
        let same = self.0.iter_mut().find(|it| it.1 == event_type && it.0 == topic);
        match same {
            Some((.., times)) => *times += 1,
            None => self.0.push((topic, event_type, 1)),
        }
    }

    fn count(self) {
        self.0.iter().for_each(|(topic, event_type, times)| count(topic, event_type, *times));
    }
}

fn count(topic: &str, event_type: &str, times: u64) {
    metrics::counter!("eventbus_published_total",
        "topic" => topic.to_owned(), "event_type" => event_type.to_owned())
    .increment(times);
}
