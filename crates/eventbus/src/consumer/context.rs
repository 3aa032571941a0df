//! What librdkafka tells the consumer: rebalances, logs and statistics.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};

/// A rebalance that the worker has yet to carry out.
pub(crate) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// Notes what librdkafka tells; the worker acts on it in its own time, so that nothing happens behind its back.
#[derive(Default)]
pub(crate) struct Context {
    group: String,
    client: String,
    rebalances: Mutex<Vec<Rebalance>>,
    connected: AtomicBool,
    leaving: AtomicBool,
    served: AtomicBool,
}

impl Context {
    pub(crate) fn new(group: &str, client: &str) -> Self {
        Self { group: group.to_owned(), client: client.to_owned(), ..Self::default() }
    }

    pub(crate) fn take_rebalances(&self) -> Vec<Rebalance> {
        std::mem::take(&mut *self.rebalances.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a broker answers, as far as the last statistics tell.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Whether anything was told since this was asked last.
    pub(crate) fn has_served(&self) -> bool {
        self.served.swap(false, Ordering::Relaxed)
    }

    fn serve(&self) {
        self.served.store(true, Ordering::Relaxed);
    }

    /// From now on rebalances are carried out at once: there is no worker any more.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }
}

/// Gives partitions back, as the group's protocol wants it.
pub(crate) fn unassign<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.serve();
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::warn!(facility, message, "librdkafka reports an error")
            }
            RDKafkaLogLevel::Warning if facility == "OFFSET" => {
                metrics::counter!("eventbus_offset_resets_total", "group" => self.group.clone())
                    .increment(1);
                tracing::error!(message, "an offset was out of range: records may be lost");
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
                tracing::info!(facility, message, "librdkafka reports");
            }
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, message, "librdkafka reports");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "the kafka client reports an error");
    }

    fn stats(&self, statistics: Statistics) {
        self.serve();
        let connected = statistics.brokers.values().any(|it| it.state == "UP");
        self.connected.store(connected, Ordering::Relaxed);
        let received: i64 = statistics.brokers.values().map(|it| it.rxbytes as i64).sum();
        metrics::gauge!("eventbus_received_bytes",
            "group" => self.group.clone(), "client" => self.client.clone())
        .set(received as f64);
        for topic in statistics.topics.values() {
            let ours = topic.partitions.values().filter(|it| it.fetch_state == "active");
            for partition in ours {
                // Before the first commit everything that the partition holds is yet to be done.
                let lag = match partition.consumer_lag {
                    ..0 => (partition.hi_offset - partition.lo_offset.max(0)).max(0),
                    lag => lag,
                };
                metrics::gauge!("eventbus_lag",
                    "group" => self.group.clone(), "topic" => topic.topic.clone(),
                    "partition" => partition.partition.to_string())
                .set(lag as f64);
            }
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        self.serve();
        let assigned = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.leaving.load(Ordering::Relaxed) {
            let left = if assigned { consumer.unassign() } else { unassign(consumer, partitions) };
            if let Err(err) = left {
                tracing::warn!(%err, "partitions could not be given back");
            }
            return;
        }
        let noted = match assigned {
            true => Rebalance::Assign(partitions.clone()),
            false => Rebalance::Revoke(partitions.clone()),
        };
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        self.serve();
        let outcome = if result.is_ok() { "ok" } else { "failed" };
        metrics::counter!("eventbus_commits_total",
            "group" => self.group.clone(), "outcome" => outcome)
        .increment(1);
        if let Err(err) = result {
            tracing::warn!(%err, "offsets were not committed: the records may be repeated");
        }
    }
}
