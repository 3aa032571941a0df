//! Makes producers and consumers from settings.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{ClientConfig, error::KafkaError};

use crate::{
    ConsumerConfig, DualEventBusConsumer, EventBusConsumer, EventBusProducer, ProducerConfig,
    Serializer, Settings,
    letters::{DeadLetters, LookLimits},
    settings::Cluster,
};

/// Settings of librdkafka on which the promises of this bus rest.
const RESERVED: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    // Both halves of a dual consumer would have the same one and fence each other off.
    "group.instance.id",
    "statistics.interval.ms",
];

/// Which broker and which serializer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientType {
    /// The fleet's own broker; CloudEvents.
    Default,
    /// HS-BE's broker; bare JSON.
    External,
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum FactoryError {
    /// The settings say nothing of the broker that is asked for.
    #[error("no settings for the external broker: set kafka.external.bootstrap_servers")]
    NoExternalBroker,
    /// A setting that is passed through breaks what the bus promises.
    #[error("kafka property `{0}` cannot be set: the bus depends on its value")]
    Reserved(String),
    /// A limit that cannot be kept.
    #[error("{0}")]
    Limit(&'static str),
    /// A share is a number from 0 to 1.
    #[error("kafka.consumer.{0} must be 0 to 1")]
    Share(&'static str),
    /// The operating system gives no thread.
    #[error("no thread for commits: {0}")]
    Thread(#[source] std::io::Error),
    /// librdkafka refuses the settings.
    #[error("bad kafka settings: {0}")]
    Client(#[source] KafkaError),
}

/// Makes producers and consumers from settings.
#[derive(Clone, Debug)]
pub struct EventBusFactory {
    service: String,
    settings: Settings,
}

impl EventBusFactory {
    /// Makes clients that name themselves after `service`.
    pub fn new(service: &str, settings: Settings) -> Self {
        Self { service: service.to_owned(), settings }
    }

    /// A consumer of the group `group`. Must be called within a tokio runtime: callbacks run there.
    ///
    /// # Errors
    /// The settings do not make a client.
    pub fn consumer(
        &self,
        group: &str,
        client: ClientType,
    ) -> Result<DualEventBusConsumer, FactoryError> {
        let serializer = client.serializer();
        let dead_letters = self.producer(ClientType::Default)?;
        let reliable = self.consumer_config(group, client, Half::Reliable)?;
        let performant = self.consumer_config(group, client, Half::Performant)?;
        Ok(DualEventBusConsumer::new(
            self.settings.consumer.performant_topics.clone(),
            EventBusConsumer::start(reliable, serializer, dead_letters.clone())?,
            EventBusConsumer::start(performant, serializer, dead_letters)?,
        ))
    }

    /// A producer.
    ///
    /// # Errors
    /// The settings do not make a client.
    pub fn producer(&self, client: ClientType) -> Result<EventBusProducer, FactoryError> {
        let settings = &self.settings.producer;
        let config = ProducerConfig {
            tag: self.service.clone(),
            cluster: self.cluster(client)?,
            properties: settings.properties.clone(),
            flush_every_message: settings.flush_every_message,
        };
        EventBusProducer::new(config, client.serializer())
    }

    /// Looks for dead letters of the fleet's own broker, as far as `limits` go.
    ///
    /// # Errors
    /// The settings do not make a client.
    pub fn dead_letters(&self, limits: LookLimits) -> Result<DeadLetters, FactoryError> {
        let mut config = self.settings.cluster().client_config()?;
        // Manual assignment wants the name of a group; nobody joins it.
        let name = format!("{}-onlooker", self.service);
        config.set("client.id", &name).set("group.id", &name);
        Ok(DeadLetters::new(config, limits))
    }

    fn cluster(&self, client: ClientType) -> Result<Cluster, FactoryError> {
        match client {
            ClientType::Default => Ok(self.settings.cluster()),
            ClientType::External => {
                self.settings.external.clone().ok_or(FactoryError::NoExternalBroker)
            }
        }
    }

    fn consumer_config(
        &self,
        group: &str,
        client: ClientType,
        half: Half,
    ) -> Result<ConsumerConfig, FactoryError> {
        let settings = &self.settings.consumer;
        if settings.drain_limit_seconds <= settings.handler_limit_seconds {
            return Err(FactoryError::Limit(
                "kafka.consumer.drain_limit_seconds must be longer than handler_limit_seconds: \
                 a call in flight could not end before its partition is given back",
            ));
        }
        let (name, background) = match half {
            Half::Reliable => ("reliable", false),
            Half::Performant => ("performant", true),
        };
        Ok(ConsumerConfig {
            tag: format!("{}-{name}", self.service),
            group: group.to_owned(),
            cluster: self.cluster(client)?,
            properties: settings.properties.clone(),
            auto_commit: background,
            asynchronous_commit: background,
            max_in_flight: settings.max_in_flight.max(1),
            partition_window: settings.partition_window.max(1),
            dispatch_ahead_max: settings.dispatch_ahead_max.max(1),
            sync_share: share("sync_share", settings.sync_share)?,
            buffered_bytes_max: settings.buffered_bytes_max.max(1),
            commit_every_records: settings.commit_every_records.max(1),
            commit_every: Duration::from_millis(settings.commit_every_ms.max(1)),
            attempts_max: settings.attempts_max.max(1),
            record_limit: Duration::from_secs(settings.record_limit_seconds),
            handler_limit: Duration::from_secs(settings.handler_limit_seconds.max(1)),
            drain_limit: Duration::from_secs(settings.drain_limit_seconds),
            stuck_after: Duration::from_secs(settings.stuck_after_seconds.max(1)),
            dead_letters_run_max: settings.dead_letters_run_max,
            dead_letters_share_max: share(
                "dead_letters_share_max",
                settings.dead_letters_share_max,
            )?,
        })
    }
}

#[derive(Clone, Copy)]
enum Half {
    Reliable,
    Performant,
}

impl ClientType {
    /// How messages look at this broker.
    pub fn serializer(self) -> Serializer {
        match self {
            Self::Default => Serializer::Default,
            Self::External => Serializer::External,
        }
    }
}

fn share(name: &'static str, value: f64) -> Result<f64, FactoryError> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(value),
        false => Err(FactoryError::Share(name)),
    }
}

/// Sets what an operator passes through, but for what the bus depends on.
pub(crate) fn passed_through(
    config: &mut ClientConfig,
    properties: &BTreeMap<String, String>,
) -> Result<(), FactoryError> {
    for (name, value) in properties {
        if RESERVED.contains(&name.as_str()) {
            return Err(FactoryError::Reserved(name.clone()));
        }
        config.set(name, value);
    }
    Ok(())
}
