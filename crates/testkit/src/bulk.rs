//! Very many records: written, copied, counted and read as quickly as the client library can, without the product's own
//! code.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult, Headers},
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};

use crate::servers;

const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);
/// How long a producer whose queue is full is left alone.
const PAUSE: Duration = Duration::from_millis(2);

/// A record's key and value.
pub type Pair = (String, Vec<u8>);

/// Writes records and waits until the broker has acknowledged all of them; answers how many those were.
///
/// # Errors
/// When the broker does not take one.
pub async fn write(
    bootstrap: &str,
    topic: &str,
    records: impl Iterator<Item = Pair> + Send + 'static,
) -> Result<u64> {
    let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
    let write = tokio::task::spawn_blocking(move || {
        let (producer, taken) = producer(&bootstrap)?;
        let mut sent = 0;
        for (key, value) in records {
            send(&producer, &topic, Some(key.as_bytes()), &value)?;
            sent += 1;
        }
        flushed(&producer, &taken, sent)?;
        Ok(sent)
    });
    write.await.context("write records")?
}

/// Copies every record that a topic holds now to another one, each by itself, in a polling loop that does nothing else and
/// stores offsets. Answers how many there were, and how long it took from the first one to the last acknowledgement.
///
/// # Errors
/// When the broker does not hand one out, or does not take it.
pub async fn copy(bootstrap: &str, from: &str, to: &str) -> Result<(u64, Duration)> {
    let (bootstrap, from, to) = (bootstrap.to_owned(), from.to_owned(), to.to_owned());
    let copy = tokio::task::spawn_blocking(move || {
        let mut config = servers::client(&bootstrap);
        config.set("group.id", crate::unique("copy")).set("auto.offset.reset", "earliest");
        config.set("enable.auto.offset.store", "false");
        let consumer: BaseConsumer = config.create().context("make a consumer")?;
        let wanted: i64 = ends(&consumer, &from)?.values().map(|(low, high)| high - low).sum();
        let wanted = u64::try_from(wanted).unwrap_or_default();
        let (producer, taken) = producer(&bootstrap)?;
        consumer.subscribe(&[&from])?;
        let (mut first, mut count) = (None, 0);
        let deadline = Instant::now() + PATIENCE;
        while count < wanted {
            ensure!(Instant::now() < deadline, "{from} does not hand out all its records");
            let Some(record) = consumer.poll(POLL).transpose()? else { continue };
            first.get_or_insert_with(Instant::now);
            send(&producer, &to, record.key(), record.payload().unwrap_or_default())?;
            consumer.store_offset_from_message(&record)?;
            count += 1;
        }
        flushed(&producer, &taken, count)?;
        Ok((count, first.map_or(Duration::ZERO, |it: Instant| it.elapsed())))
    });
    copy.await.context("copy records")?
}

/// Counts what is written to topics, by one request on a connection that stays: whoever is measured shall not notice.
pub struct Onlooker {
    consumer: Arc<BaseConsumer>,
    /// The end of every partition.
    ends: TopicPartitionList,
}

impl Onlooker {
    /// Looks at these topics.
    ///
    /// # Errors
    /// When the broker does not know them.
    pub async fn of(bootstrap: &str, topics: &'static [&'static str]) -> Result<Self> {
        let bootstrap = bootstrap.to_owned();
        let connect = tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = servers::client(&bootstrap).create()?;
            let mut all = TopicPartitionList::new();
            for topic in topics {
                for partition in ends(&consumer, topic)?.into_keys() {
                    all.add_partition_offset(topic, partition, Offset::End)?;
                }
            }
            Ok(Self { consumer: Arc::new(consumer), ends: all })
        });
        connect.await.context("look at topics")?
    }

    /// How many records were ever written, to all of them together.
    ///
    /// # Errors
    /// When the broker does not say.
    pub async fn written(&self) -> Result<u64> {
        let (consumer, asked) = (Arc::clone(&self.consumer), self.ends.clone());
        // The time that a partition is asked for stands in the place of its offset, and its end is one of them.
        let ask = move || consumer.offsets_for_times(asked, PATIENCE);
        let found = tokio::task::spawn_blocking(ask).await.context("count records")??;
        let mut written = 0;
        for partition in found.elements() {
            partition.error()?;
            let next = partition.offset().to_raw().filter(|it| *it >= 0);
            written += next.with_context(|| format!("no end of {}", partition.topic()))?;
        }
        Ok(u64::try_from(written).unwrap_or_default())
    }
}

/// What a record says: its type and its id, as headers, and its value.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The header `ce_type`.
    pub event_type: &'a str,
    /// The header `ce_id`.
    pub id: &'a str,
    /// The value.
    pub payload: &'a [u8],
}

/// Hands every record that a topic holds now to `each`, partition by partition in order; answers `all` then.
///
/// # Errors
/// When the broker does not hand out one of them in time, or `each` fails.
pub async fn each<T: Send + 'static>(
    bootstrap: &str,
    topic: &str,
    mut all: T,
    each: impl Fn(&mut T, Said<'_>) -> Result<()> + Send + 'static,
) -> Result<T> {
    let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
    let read = tokio::task::spawn_blocking(move || {
        let mut config = servers::client(&bootstrap);
        config.set("group.id", crate::unique("each")).set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().context("make a consumer")?;
        let mut open = ends(&consumer, &topic)?;
        open.retain(|_, (low, high)| low < high);
        let mut assignment = TopicPartitionList::new();
        for (partition, (low, _)) in &open {
            assignment.add_partition_offset(&topic, *partition, Offset::Offset(*low))?;
        }
        consumer.assign(&assignment)?;
        let deadline = Instant::now() + PATIENCE;
        while !open.is_empty() {
            ensure!(Instant::now() < deadline, "{topic} does not hand out all its records");
            let Some(record) = consumer.poll(POLL).transpose()? else { continue };
            let said = Said {
                event_type: header(&record, "ce_type").unwrap_or_default(),
                id: header(&record, "ce_id").unwrap_or_default(),
                payload: record.payload().unwrap_or_default(),
            };
            each(&mut all, said)?;
            let partition = record.partition();
            if open.get(&partition).is_some_and(|(_, high)| record.offset() + 1 >= *high) {
                open.remove(&partition);
            }
        }
        Ok(all)
    });
    read.await.context("read records")?
}

fn header<'a>(record: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a str> {
    let header = record.headers()?.iter().find(|it| it.key == name)?;
    str::from_utf8(header.value?).ok()
}

/// The first and the next offset of each partition.
fn ends(consumer: &BaseConsumer, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let partitions = metadata.topics().first().map(|it| it.partitions()).unwrap_or_default();
    let mut ends = BTreeMap::new();
    for partition in partitions.iter().map(|it| it.id()) {
        ends.insert(partition, consumer.fetch_watermarks(topic, partition, PATIENCE)?);
    }
    Ok(ends)
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

/// A producer, and how much of what it was given the broker has acknowledged.
fn producer(bootstrap: &str) -> Result<(ThreadedProducer<Counting>, Arc<AtomicU64>)> {
    let taken = Arc::new(AtomicU64::new(0));
    let mut config = servers::client(bootstrap);
    config.set("enable.idempotence", "true").set("linger.ms", "5");
    config.set("queue.buffering.max.kbytes", "65536");
    let context = Counting(Arc::clone(&taken));
    Ok((config.create_with_context(context).context("make a producer")?, taken))
}

fn send(
    producer: &ThreadedProducer<Counting>,
    topic: &str,
    key: Option<&[u8]>,
    value: &[u8],
) -> Result<()> {
    let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(value);
    record.key = key;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                std::thread::park_timeout(PAUSE);
            }
            Err((error, _)) => bail!("a record was not taken: {error}"),
        }
    }
}

fn flushed(producer: &ThreadedProducer<Counting>, taken: &AtomicU64, sent: u64) -> Result<()> {
    producer.flush(PATIENCE).context("the broker does not take the records in time")?;
    let taken = taken.load(Ordering::Relaxed);
    ensure!(taken == sent, "only {taken} of {sent} records were taken");
    Ok(())
}
