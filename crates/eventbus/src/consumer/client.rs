//! The client library's side of a consumer: its settings, and what wakes its thread.

use std::{
    sync::{Arc, OnceLock},
    thread::Thread,
};

use rdkafka::{ClientConfig, config::RDKafkaLogLevel, consumer::BaseConsumer, error::KafkaError};

use super::{ConsumerConfig, context::Context};
use crate::factory::{FactoryError, passed_through};

/// Wakes the thread of a consumer.
#[derive(Clone, Default)]
pub(crate) struct Waker(Arc<OnceLock<Thread>>);

impl Waker {
    pub(crate) fn is_for_this_thread(&self) {
        let _ = self.0.set(std::thread::current());
    }

    pub(crate) fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

/// The client of a consumer; what the bus depends on is set last.
pub(crate) fn client_config(config: &ConsumerConfig) -> Result<ClientConfig, FactoryError> {
    let mut client = config.cluster.client_config()?;
    client
        .set("fetch.wait.max.ms", "100")
        // What is fetched ahead is held for each partition beside what the dispatcher holds.
        .set("queued.max.messages.kbytes", "4096")
        // A full queue is emptied within milliseconds: a longer pause would leave the dispatcher without work.
        .set("fetch.queue.backoff.ms", "5")
        // A commit that nobody answers holds the thread no longer than this.
        .set("socket.timeout.ms", "10000")
        .set("topic.metadata.refresh.interval.ms", "30000");
    // What an operator chose stands above this.
    passed_through(&mut client, &config.cluster.properties)?;
    passed_through(&mut client, &config.properties)?;
    if client.get("group.protocol") != Some("consumer") {
        // A member that died is missed within ten seconds.
        for (name, value) in [("session.timeout.ms", "10000"), ("heartbeat.interval.ms", "3000")] {
            if client.get(name).is_none() {
                client.set(name, value);
            }
        }
    }
    client
        .set("statistics.interval.ms", "1000")
        .set("client.id", &config.tag)
        .set("group.id", &config.group)
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", config.auto_commit.to_string())
        .set("auto.commit.interval.ms", config.commit_every.as_millis().to_string());
    // Whatever is logged: an offset out of range is told by a log line alone.
    client.set_log_level(RDKafkaLogLevel::Info);
    Ok(client)
}

/// Makes the client of a consumer.
pub(crate) fn connect(
    client: &ClientConfig,
    config: &ConsumerConfig,
    waker: &Waker,
) -> Result<Arc<BaseConsumer<Context>>, KafkaError> {
    let mut consumer: BaseConsumer<Context> =
        client.create_with_context(Context::new(&config.group, &config.tag))?;
    let waker = waker.clone();
    consumer.set_nonempty_callback(move || waker.wake());
    Ok(Arc::new(consumer))
}
