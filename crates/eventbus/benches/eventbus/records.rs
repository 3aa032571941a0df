//! The records of a workload: each is known by its number, which its id carries.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use eventbus::{Attributes, EventBusMessage, Serializer, TraceContext};
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult, Headers, Message},
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};
use serde::{Deserialize, Serialize};
use testkit::topics::Wanted;

const FLUSH_LIMIT: Duration = Duration::from_secs(120);
/// Primes by which one round of keys is put into another order than the one before it.
const STRIDES: [u64; 4] = [7_919, 104_729, 1_299_709, 15_485_863];
/// The longest that a record is slept over, in microseconds.
const SLEEP_MAX_MICROS: u64 = 5_000;

/// A topic that is filled with numbered records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Records {
    /// The broker that holds it.
    pub(crate) kafka: String,
    /// Its name.
    pub(crate) topic: String,
    /// How many partitions it has.
    pub(crate) partitions: i32,
    /// How many records it holds.
    pub(crate) count: usize,
    /// How many keys these have.
    pub(crate) keys: usize,
    /// Which record has which key.
    pub(crate) spread: Spread,
    /// The size of each value.
    pub(crate) value_bytes: usize,
}

/// Which record has which key.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Spread {
    /// Each key has as many records as any other; they come in rounds, each in an order of its own.
    Even,
    /// Each record has a random key.
    Random,
}

impl Records {
    /// The key of the record `number`, as a number.
    pub(crate) fn key_of(&self, number: usize) -> usize {
        let keys = self.keys as u64;
        let key = match self.spread {
            Spread::Random => mixed(number as u64) % keys,
            Spread::Even => {
                let round = number as u64 / keys;
                let stride = STRIDES[(round % STRIDES.len() as u64) as usize];
                (number as u64 * stride + mixed(round)) % keys
            }
        };
        key as usize
    }

    /// The partition of the record `number`: that of its key.
    fn partition_of(&self, number: usize) -> i32 {
        (self.key_of(number) % self.partitions.max(1) as usize) as i32
    }

    /// Makes the topic where the broker has none, and writes every record, as the product would write it.
    pub(crate) async fn fill(&self) -> Result<()> {
        let wanted = Wanted {
            name: self.topic.clone(),
            partitions: self.partitions,
            retention_ms: 24 * 60 * 60 * 1000,
            cleanup_policy: "delete",
            max_message_bytes: 2 << 20,
        };
        testkit::topics::make(&self.kafka, vec![wanted]).await?;
        let records = self.clone();
        tokio::task::spawn_blocking(move || records.write()).await.context("fill the topic")?
    }

    fn write(&self) -> Result<()> {
        let delivered = Arc::new(AtomicU64::new(0));
        let context = Counting(Arc::clone(&delivered));
        let producer: ThreadedProducer<Counting> = ClientConfig::new()
            .set("bootstrap.servers", &self.kafka)
            .set("enable.idempotence", "true")
            .set("linger.ms", "20")
            .set("queue.buffering.max.kbytes", "65536")
            .create_with_context(context)?;
        for number in 0..self.count {
            let message = self.message(number);
            send(&producer, &message, Some(self.partition_of(number)))?;
        }
        producer.flush(FLUSH_LIMIT).context("the broker does not take the records in time")?;
        let delivered = delivered.load(Ordering::Relaxed);
        ensure!(delivered == self.count as u64, "only {delivered} records were written");
        Ok(())
    }

    /// The record `number`.
    pub(crate) fn message(&self, number: usize) -> EventBusMessage {
        let key = format!("device-{:08}", self.key_of(number));
        let mut payload = format!(r#"{{"number":{number},"padding":""#).into_bytes();
        payload.resize(self.value_bytes.saturating_sub(2).max(payload.len()), b'x');
        payload.extend_from_slice(br#""}"#);
        let mixed = mixed(number as u64);
        let trace = format!("00-{:032x}-{mixed:016x}-01", u128::from(mixed) + 1);
        EventBusMessage {
            event_type: "ProvisionUpdated".into(),
            topic: self.topic.clone().into(),
            payload,
            trace_id: TraceContext(BTreeMap::from([("traceparent".to_owned(), trace)])),
            key: Some(key.as_str().into()),
            timestamp: jiff::Timestamp::now(),
            attributes: Attributes {
                id: format!("00000000-0000-8000-8000-{number:012x}").into(),
                source: "/bench".into(),
                subject: Some(key.into()),
                tenant: Some("isp-1".parse().expect("a valid id")),
                ..Attributes::default()
            },
        }
    }
}

/// The number of a record, from its id.
pub(crate) fn number_of(id: &str) -> Option<usize> {
    usize::from_str_radix(id.get(24..)?, 16).ok()
}

/// The id of a record, without the product.
pub(crate) fn id_of<'a>(record: &'a BorrowedMessage<'_>) -> Option<&'a str> {
    let id = record.headers()?.iter().find(|it| it.key == "ce_id")?;
    std::str::from_utf8(id.value?).ok()
}

/// How long the record `number` is slept over: uniform from 0 to 5 ms, the same in every run.
pub(crate) fn sleep_of(number: usize) -> Duration {
    Duration::from_micros(mixed(number as u64 ^ 0x5eed) % (SLEEP_MAX_MICROS + 1))
}

/// SplitMix64: a number that looks random and is the same for the same `n`.
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// Hands a message to a bare client, with the headers that the product gives it.
pub(crate) fn send<C>(
    producer: &ThreadedProducer<C>,
    message: &EventBusMessage,
    partition: Option<i32>,
) -> Result<()>
where
    C: ProducerContext<DeliveryOpaque = ()> + 'static,
{
    let (headers, value) = Serializer::Default.serialize(message);
    let mut record = BaseRecord::<str, [u8]>::to(&message.topic)
        .payload(&*value)
        .headers(headers)
        .timestamp(message.timestamp.as_millisecond());
    if let Some(key) = &message.key {
        record = record.key(key);
    }
    record.partition = partition;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                std::thread::park_timeout(Duration::from_millis(5));
            }
            Err((error, _)) => bail!("a record was not taken: {error}"),
        }
    }
}

/// Counts what the broker has acknowledged.
struct Counting(Arc<AtomicU64>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        if delivered.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
