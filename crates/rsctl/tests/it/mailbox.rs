//! A topic whose consumer sets aside what it is told to, and the command that works on its dead letters.

use std::{
    collections::BTreeSet,
    process::Output,
    sync::{Arc, Mutex},
    time::Duration,
};

use eventbus::{
    Attributes, ClientType, DualEventBusConsumer, EventBusFactory, EventBusMessage,
    EventBusProducer, EventBusRegistry, Outcome, Settings, TraceContext,
    letters::{DeadLetters, LookLimits},
};
use events::topics::dead_letter_topic;
use serde_json::Value;
use testkit::{
    eventually,
    records::{Record, read},
    topics::{Wanted, make},
    unique,
};
use tokio::process::Command;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A topic, a group and their dead letters that no other test has.
pub(crate) struct Mailbox {
    pub(crate) kafka: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    factory: EventBusFactory,
    producer: EventBusProducer,
    /// Payloads that the consumer rejects.
    pub(crate) bad: Arc<Mutex<BTreeSet<String>>>,
    /// What it has handled: key and payload, in the order of the calls.
    pub(crate) seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Mailbox {
    pub(crate) async fn new(partitions: i32, dead_letter_partitions: i32) -> Self {
        Self::with(partitions, |wanted| wanted[1].partitions = dead_letter_partitions).await
    }

    /// `change` has the topic before it and the dead letters' topic behind that.
    pub(crate) async fn with(partitions: i32, change: impl FnOnce(&mut [Wanted])) -> Self {
        let (kafka, topic, group) = (testkit::kafka(), unique("rsctl"), unique("group"));
        let mut wanted = Wanted::with_dead_letters(&topic, &group, partitions);
        change(&mut wanted);
        make(&kafka, wanted).await.unwrap();
        let factory = EventBusFactory::new("test", settings(&kafka));
        let producer = factory.producer(ClientType::Default).unwrap();
        let (bad, seen) = Default::default();
        Self { kafka, topic, group, factory, producer, bad, seen }
    }

    pub(crate) fn dead_letter_topic(&self) -> String {
        dead_letter_topic(&self.topic, &self.group)
    }

    /// What a service uses that is asked what became of a record.
    pub(crate) fn look(&self, limits: LookLimits) -> DeadLetters {
        self.factory.dead_letters(limits).unwrap()
    }

    /// From now on the consumer rejects these and no others.
    pub(crate) fn reject(&self, payloads: &[&str]) {
        *self.bad.lock().unwrap() = payloads.iter().map(|&it| it.to_owned()).collect();
    }

    pub(crate) fn consume(&self) -> DualEventBusConsumer {
        let consumer = self.factory.consumer(&self.group, ClientType::Default).unwrap();
        let (bad, seen) = (Arc::clone(&self.bad), Arc::clone(&self.seen));
        let registry = EventBusRegistry::new(&self.topic, move |delivery| {
            let message = delivery.message;
            let payload = String::from_utf8_lossy(&message.payload).into_owned();
            let outcome = if bad.lock().unwrap().contains(&payload) {
                Outcome::Reject { reason: format!("{payload} is wrong") }
            } else {
                seen.lock().unwrap().push((message.key.unwrap_or_default().into(), payload));
                Outcome::Done
            };
            async move { outcome }
        });
        consumer.register(vec![registry]).unwrap();
        consumer
    }

    pub(crate) async fn publish(&self, key: &str, payload: &str) {
        let attributes =
            Attributes { id: unique("id").into(), source: "/test".into(), ..Attributes::default() };
        let message = EventBusMessage {
            event_type: "Said".into(),
            topic: self.topic.clone().into(),
            payload: payload.as_bytes().to_vec(),
            trace_id: TraceContext::default(),
            key: Some(key.into()),
            timestamp: jiff::Timestamp::now(),
            attributes,
        };
        self.producer.publish(&message).await.unwrap();
    }

    /// Every record of the dead-letter topic, marks included.
    pub(crate) async fn dead_letters(&self) -> Vec<Record> {
        read(&self.kafka, &self.dead_letter_topic()).await.unwrap()
    }

    /// Waits until the dead-letter topic has so many records, marks included.
    pub(crate) async fn holds(&self, count: usize) -> Vec<Record> {
        let look = async || Some(self.dead_letters().await).filter(|it| it.len() >= count);
        let letters = eventually(&format!("{count} dead letters"), LIMIT, look).await;
        assert_eq!(letters.len(), count);
        letters
    }

    /// Waits until so many records were handled, and answers them.
    pub(crate) async fn handles(&self, count: usize) -> Vec<(String, String)> {
        let look = async || {
            let seen = self.seen.lock().unwrap();
            (seen.len() >= count).then(|| seen.clone())
        };
        let seen = eventually(&format!("{count} records handled"), LIMIT, look).await;
        assert_eq!(seen.len(), count);
        seen
    }

    /// Runs `rsctl dlq` on these dead letters: exit code and what it wrote.
    pub(crate) async fn dlq(&self, verb: &str, arguments: &[&str]) -> (i32, String) {
        let place = ["--topic", self.topic.as_str(), "--group", self.group.as_str()];
        let output = rsctl(&[&["dlq", verb], &place[..], arguments].concat(), &self.kafka).await;
        (output.status.code().unwrap(), text(&output))
    }

    /// The same with JSON: exit code and the objects.
    pub(crate) async fn dlq_json(&self, verb: &str, arguments: &[&str]) -> (i32, Vec<Value>) {
        let (code, text) = self.dlq(verb, &[arguments, &["--json"]].concat()).await;
        let object = |it: &str| serde_json::from_str(it).unwrap_or_else(|_| panic!("{it}"));
        (code, text.lines().map(object).collect())
    }
}

/// Both outputs, one after the other.
pub(crate) fn text(output: &Output) -> String {
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

pub(crate) async fn rsctl(arguments: &[&str], kafka: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsctl"));
    command.args(arguments).env("RSCTL_KAFKA_BOOTSTRAP_SERVERS", kafka).kill_on_drop(true);
    tokio::time::timeout(LIMIT, command.output()).await.expect("rsctl ends").unwrap()
}

/// What a service ships with, on the broker under test.
fn settings(kafka: &str) -> Settings {
    let defaults: toml::Table =
        include_str!("../../../../services/rsadaptor/rsadaptor.toml").parse().unwrap();
    let mut settings: Settings = defaults["kafka"].clone().try_into().unwrap();
    settings.bootstrap_servers = kafka.to_owned();
    settings.consumer.performant_topics = BTreeSet::new();
    settings
}
