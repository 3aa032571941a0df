//! Records in and out of a broker, without the product's own code.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer},
};
use serde::Deserialize;
use serde_json::Value;

use crate::servers;

const PATIENCE: Duration = Duration::from_secs(60);

/// One event as a person writes it down: a line of the demo's input, an entry of a golden case.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The topic that it goes to.
    pub topic: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The record's key; by default what the registry says it is.
    #[serde(default)]
    pub key: Option<String>,
    /// The payload.
    pub data: Value,
}

impl Event {
    /// A `ProvisionCreated` with this payload.
    #[must_use]
    pub fn provision(data: Value) -> Self {
        Self {
            topic: "as-provision-topic".to_owned(),
            event_type: "ProvisionCreated".to_owned(),
            key: None,
            data,
        }
    }

    /// The key that it is sent under.
    #[must_use]
    pub fn record_key(&self) -> Option<String> {
        let member = events::topics::Topic::find(&self.topic).map(|it| it.key).unwrap_or_default();
        // Some topics name a second key for some of their events behind the first.
        let member = member.split(' ').next().unwrap_or_default();
        let found = self.data.get(member).or_else(|| self.data.get("account")?.get(member));
        self.key.clone().or_else(|| found?.as_str().map(str::to_owned))
    }
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<String>,
    /// Its headers; one that is no UTF-8 is shown with replacement characters.
    pub headers: BTreeMap<String, String>,
    /// Its value; empty where the record has none.
    pub payload: Vec<u8>,
}

impl Record {
    /// The payload as JSON.
    ///
    /// # Errors
    /// When it is something else.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.payload).context("a payload that is no JSON")
    }

    fn of(message: &BorrowedMessage<'_>) -> Self {
        let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
        let headers = message.headers().map(|it| it.iter()).into_iter().flatten();
        let headers = headers.map(|it| (it.key.to_owned(), text(it.value.unwrap_or_default())));
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(text),
            headers: headers.collect(),
            payload: message.payload().unwrap_or_default().to_vec(),
        }
    }
}

/// Writes records as the outside world would.
#[derive(Clone)]
pub struct Sender {
    producer: FutureProducer,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender to the broker at `bootstrap`.
    ///
    /// # Errors
    /// When librdkafka refuses its settings.
    pub fn new(bootstrap: &str) -> Result<Self> {
        let mut config = servers::client(bootstrap);
        config.set("enable.idempotence", "true").set("message.timeout.ms", "60000");
        config.set("linger.ms", "1").set("message.max.bytes", "4194304");
        Ok(Self { producer: config.create().context("make a producer")? })
    }

    /// Sends `event` as a CloudEvents record and waits for the broker's acknowledgement.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub async fn send(&self, event: &Event) -> Result<(i32, i64)> {
        let now = jiff::Timestamp::now().to_string();
        let id = uuid::Uuid::now_v7().to_string();
        let member = |name: &str| event.data.get(name).and_then(Value::as_str).map(str::to_owned);
        let key = event.record_key();
        let mut headers = vec![
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", id),
            ("ce_type", event.event_type.clone()),
            ("ce_source", "/accounts".to_owned()),
            ("ce_time", now),
            ("content-type", "application/json".to_owned()),
        ];
        headers.extend(key.clone().map(|it| ("ce_subject", it)));
        headers.extend(member("isp_id").map(|it| ("ce_tenant", it)));
        let payload = serde_json::to_vec(&event.data)?;
        self.send_raw(&event.topic, key.as_deref(), &headers, &payload).await
    }

    /// Sends a record exactly as given and waits for the broker's acknowledgement.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub async fn send_raw(
        &self,
        topic: &str,
        key: Option<&str>,
        headers: &[(&str, String)],
        payload: &[u8],
    ) -> Result<(i32, i64)> {
        let owned = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header { key, value: Some(value.as_bytes()) })
        });
        let mut record = FutureRecord::to(topic).payload(payload).headers(owned);
        if let Some(key) = key {
            record = record.key(key);
        }
        match self.producer.send(record, PATIENCE).await {
            Ok(delivered) => Ok((delivered.partition, delivered.offset)),
            Err((error, _)) => Err(error).with_context(|| format!("send a record to {topic}")),
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.producer.flush(Duration::from_secs(5));
    }
}

/// Reads what arrives on a topic.
pub struct Tail {
    consumer: StreamConsumer,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tail").finish_non_exhaustive()
    }
}

impl Tail {
    /// A reader of what arrives on `topic` from now on.
    ///
    /// # Errors
    /// When the broker does not tell of the topic.
    pub async fn of(bootstrap: &str, topic: &str) -> Result<Self> {
        let mut config = servers::client(bootstrap);
        config.set("group.id", crate::unique("tail")).set("enable.auto.commit", "false");
        let (topic, consumer) = (topic.to_owned(), config.create::<StreamConsumer>()?);
        let assign = tokio::task::spawn_blocking(move || -> Result<StreamConsumer> {
            let metadata = consumer.fetch_metadata(Some(&topic), PATIENCE)?;
            let partitions = metadata.topics().first().map(|it| it.partitions());
            let mut assignment = TopicPartitionList::new();
            for partition in partitions.unwrap_or_default().iter().map(|it| it.id()) {
                let (_, high) = consumer.fetch_watermarks(&topic, partition, PATIENCE)?;
                assignment.add_partition_offset(&topic, partition, Offset::Offset(high))?;
            }
            consumer.assign(&assignment)?;
            Ok(consumer)
        });
        Ok(Self { consumer: assign.await.context("follow a topic")?? })
    }

    /// The next record, once it is there.
    ///
    /// # Errors
    /// When the client reports one.
    pub async fn next(&self) -> Result<Record> {
        Ok(Record::of(&self.consumer.recv().await?))
    }
}

/// Every record that `topic` holds now, partition by partition.
///
/// # Errors
/// When the broker does not hand them out in time.
pub async fn read(bootstrap: &str, topic: &str) -> Result<Vec<Record>> {
    let mut config = servers::client(bootstrap);
    config.set("group.id", crate::unique("reader")).set("enable.auto.commit", "false");
    config.set("fetch.wait.max.ms", "50");
    let topic = topic.to_owned();
    tokio::task::spawn_blocking(move || read_blocking(&config.create()?, &topic))
        .await
        .context("read a topic")?
}

fn read_blocking(consumer: &BaseConsumer, topic: &str) -> Result<Vec<Record>> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let partitions = metadata.topics().first().map(|it| it.partitions()).unwrap_or_default();
    let mut ends = BTreeMap::new();
    let mut assignment = TopicPartitionList::new();
    for partition in partitions.iter().map(|it| it.id()) {
        let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
        if low < high {
            ends.insert(partition, high);
            assignment.add_partition_offset(topic, partition, Offset::Offset(low))?;
        }
    }
    consumer.assign(&assignment)?;
    let mut records = Vec::new();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !ends.is_empty() {
        if std::time::Instant::now() > deadline {
            bail!("{topic} does not hand out all its records within {PATIENCE:?}");
        }
        let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
        let record = Record::of(&message?);
        let Some(end) = ends.get(&record.partition) else { continue };
        if record.offset + 1 >= *end {
            ends.remove(&record.partition);
        }
        records.push(record);
    }
    records.sort_by_key(|it| (it.partition, it.offset));
    Ok(records)
}
