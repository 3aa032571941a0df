//! A topic of its own, a group of its own, and consumers that note what they are given.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use eventbus::{
    Attributes, ClientType, ConsumerSettings, Delivery, DualEventBusConsumer, EventBusFactory,
    EventBusMessage, EventBusProducer, EventBusRegistry, Outcome, ProducerSettings, Settings,
    TraceContext,
};
use futures_util::{StreamExt, stream};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use testkit::{eventually, records::Record, topics::Wanted, unique};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The settings of a bus on the broker under test.
pub(crate) fn settings() -> Settings {
    Settings {
        bootstrap_servers: testkit::kafka(),
        security: Default::default(),
        properties: Default::default(),
        consumer: ConsumerSettings {
            performant_topics: BTreeSet::new(),
            max_in_flight: 16,
            partition_window: 500,
            dispatch_ahead_max: 500,
            sync_share: 0.1,
            buffered_bytes_max: 64 << 20,
            commit_every_records: 100,
            commit_every_ms: 100,
            attempts_max: 3,
            record_limit_seconds: 600,
            handler_limit_seconds: 9,
            drain_limit_seconds: 10,
            stuck_after_seconds: 60,
            dead_letters_run_max: 1_000,
            dead_letters_share_max: 1.0,
            properties: Default::default(),
        },
        producer: ProducerSettings { flush_every_message: true, properties: Default::default() },
        external: None,
    }
}

/// What a callback was given: key and payload, in the order of the calls that ended well.
pub(crate) type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// A topic and a group that no other test has.
pub(crate) struct Bus {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) settings: Settings,
    pub(crate) producer: EventBusProducer,
}

impl Bus {
    pub(crate) async fn new(partitions: i32) -> Self {
        Self::with(partitions, settings()).await
    }

    pub(crate) async fn with(partitions: i32, settings: Settings) -> Self {
        let bus = Self::without_dead_letters(partitions, settings).await;
        bus.make_dead_letters().await;
        bus
    }

    /// The topic of the dead letters is missing until [`Self::make_dead_letters`].
    pub(crate) async fn without_dead_letters(partitions: i32, settings: Settings) -> Self {
        let (topic, group) = (unique("bus"), unique("group"));
        let mut wanted = Wanted::with_dead_letters(&topic, &group, partitions);
        wanted.truncate(1);
        testkit::topics::make(&settings.bootstrap_servers, wanted).await.unwrap();
        let factory = EventBusFactory::new("test", settings.clone());
        let producer = factory.producer(ClientType::Default).unwrap();
        Self { topic, group, settings, producer }
    }

    pub(crate) async fn make_dead_letters(&self) {
        let mut wanted = Wanted::with_dead_letters(&self.topic, &self.group, 1);
        wanted.remove(0);
        testkit::topics::make(&self.settings.bootstrap_servers, wanted).await.unwrap();
    }

    /// A consumer of the group without any topic.
    pub(crate) fn consumer(&self) -> DualEventBusConsumer {
        let factory = EventBusFactory::new("test", self.settings.clone());
        factory.consumer(&self.group, ClientType::Default).unwrap()
    }

    /// A consumer of the topic whose callback answers `outcome` and notes what is done.
    pub(crate) fn consume(
        &self,
        seen: &Seen,
        outcome: impl Fn(&Delivery) -> Outcome + Send + Sync + 'static,
    ) -> DualEventBusConsumer {
        let consumer = self.consumer();
        consumer.register(vec![self.registry(seen, outcome)]).unwrap();
        consumer
    }

    pub(crate) fn registry(
        &self,
        seen: &Seen,
        outcome: impl Fn(&Delivery) -> Outcome + Send + Sync + 'static,
    ) -> EventBusRegistry {
        let seen = Arc::clone(seen);
        EventBusRegistry::new(&self.topic, move |delivery| {
            let outcome = outcome(&delivery);
            if outcome == Outcome::Done {
                seen.lock().unwrap().push(shown(&delivery.message));
            }
            async move { outcome }
        })
    }

    pub(crate) fn message(&self, key: Option<&str>, payload: &str) -> EventBusMessage {
        EventBusMessage {
            event_type: "Said".into(),
            topic: self.topic.clone().into(),
            payload: payload.as_bytes().to_vec(),
            trace_id: TraceContext::default(),
            key: key.map(Into::into),
            timestamp: jiff::Timestamp::now(),
            attributes: Attributes {
                id: unique("id").into(),
                source: "/test".into(),
                ..Attributes::default()
            },
        }
    }

    /// Publishes one record and answers its offset.
    pub(crate) async fn publish(&self, key: &str, payload: &str) -> i64 {
        let message = self.message(Some(key), payload);
        self.producer.publish(&message).await.unwrap().offset
    }

    /// Publishes many messages side by side; those of one key keep their order.
    pub(crate) async fn publish_all(&self, messages: impl IntoIterator<Item = EventBusMessage>) {
        let send = async |it| self.producer.publish(&it).await.unwrap();
        let mut sent = pin!(stream::iter(messages).map(send).buffered(1_000));
        while sent.next().await.is_some() {}
    }

    /// Publishes messages so that the broker has them as one batch: a consumer finds all of them or none.
    pub(crate) async fn publish_as_one(&self, messages: impl IntoIterator<Item = EventBusMessage>) {
        let mut settings = self.settings.clone();
        settings.producer.flush_every_message = false;
        settings.producer.properties.insert("linger.ms".to_owned(), "500".to_owned());
        let producer =
            EventBusFactory::new("test", settings).producer(ClientType::Default).unwrap();
        let published = producer.publish_all(messages.into_iter().collect()).await;
        assert!(published.iter().all(Result::is_ok), "{published:?}");
    }

    /// What the group has committed for each partition that has a commit.
    pub(crate) async fn committed(&self) -> Vec<(i32, i64)> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.settings.bootstrap_servers);
        config.set("group.id", &self.group);
        let topic = self.topic.clone();
        let read = move || {
            let client: BaseConsumer = config.create().unwrap();
            let metadata = client.fetch_metadata(Some(&topic), LIMIT).unwrap();
            let mut wanted = TopicPartitionList::new();
            for partition in metadata.topics()[0].partitions() {
                wanted.add_partition(&topic, partition.id());
            }
            // A broker that has just started may not know yet who coordinates the group.
            let began = std::time::Instant::now();
            let committed = loop {
                match client.committed_offsets(wanted.clone(), LIMIT) {
                    Ok(committed) => break committed,
                    Err(err) => assert!(began.elapsed() < LIMIT, "{err}"),
                }
            };
            let offsets = committed.elements().into_iter().map(|it| (it.partition(), it.offset()));
            offsets.filter_map(|(at, it)| Some((at, it.to_raw()?))).filter(|it| it.1 >= 0).collect()
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    /// Waits until the group has committed so many records in all.
    pub(crate) async fn commits(&self, records: i64) {
        let look = async || {
            let sum: i64 = self.committed().await.iter().map(|it| it.1).sum();
            (sum == records).then_some(())
        };
        eventually(&format!("{records} records committed"), LIMIT, look).await;
    }

    pub(crate) async fn dead_letters(&self) -> Vec<Record> {
        let topic = events::topics::dead_letter_topic(&self.topic, &self.group);
        testkit::records::read(&self.settings.bootstrap_servers, &topic).await.unwrap()
    }
}

pub(crate) fn shown(message: &EventBusMessage) -> (String, String) {
    let key = message.key.clone().unwrap_or_default();
    (key.into(), String::from_utf8_lossy(&message.payload).into_owned())
}

/// Waits until so many records are seen.
pub(crate) async fn sees(seen: &Seen, count: usize) {
    let look = async || (seen.lock().unwrap().len() >= count).then_some(());
    eventually(&format!("{count} records"), LIMIT, look).await;
}

/// A wait of the least length that does not count.
pub(crate) fn again() -> Outcome {
    retry(false)
}

pub(crate) fn retry(counted: bool) -> Outcome {
    Outcome::RetryAfter { after: Duration::from_millis(20), counted, reason: "not now".to_owned() }
}
