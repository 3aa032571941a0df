//! Which broker, and how to reach it: what the services have as settings, on the command line.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rdkafka::{
    ClientConfig, ClientContext,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    producer::FutureProducer,
};

use crate::Usage;

/// How long a broker may take to answer a question.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long an unacknowledged record is tried, in milliseconds.
const MESSAGE_LIMIT_MS: &str = "12000";
/// Largest record with its headers, in bytes: the largest that the services write.
const RECORD_BYTES_MAX: &str = "4194304";
/// How long it may take the client to say why it is not connected.
const REASON_LIMIT: Duration = Duration::from_millis(500);

/// Settings of librdkafka on which the promises of the commands rest.
const RESERVED: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
];

/// Which broker, and how to reach it.
#[derive(Clone, clap::Args)]
pub struct Broker {
    /// Addresses to begin with, host:port, separated by commas
    #[arg(
        long,
        help_heading = "Broker",
        env = "RSCTL_KAFKA_BOOTSTRAP_SERVERS",
        value_name = "ADDRESSES"
    )]
    bootstrap_servers: String,
    /// A setting of librdkafka, such as security.protocol=ssl; as often as needed
    #[arg(long = "property", help_heading = "Broker", value_name = "NAME=VALUE")]
    properties: Vec<Property>,
    /// A file with a setting of librdkafka on each line, the place for passwords
    #[arg(long, help_heading = "Broker", value_name = "FILE")]
    property_file: Option<PathBuf>,
}

/// A setting of librdkafka. It may be a secret, so it is never printed.
#[derive(Clone)]
struct Property {
    name: String,
    value: String,
}

impl FromStr for Property {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("a setting has the form NAME=VALUE")?;
        let name = name.trim().to_owned();
        match RESERVED.contains(&name.as_str()) {
            true => Err(format!("`{name}` cannot be set: the command depends on its value")),
            false => Ok(Self { name, value: value.trim().to_owned() }),
        }
    }
}

/// A consumer that joins no group and commits nothing.
pub(crate) type Onlooker = BaseConsumer<Complaints>;

impl Broker {
    /// Settings of any client of this broker.
    pub(crate) fn client(&self) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        // Manual assignment wants the name of a group; nobody joins it.
        config.set("client.id", "rsctl").set("group.id", "rsctl");
        for it in self.filed()?.iter().chain(&self.properties) {
            config.set(&it.name, &it.value);
        }
        config.set("bootstrap.servers", &self.bootstrap_servers);
        Ok(config)
    }

    fn filed(&self) -> Result<Vec<Property>> {
        let Some(path) = &self.property_file else { return Ok(Vec::new()) };
        let wrong = |why: String| Usage(format!("{}: {why}", path.display()));
        let text = fs::read_to_string(path).map_err(|err| wrong(err.to_string()))?;
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, it)| !it.is_empty() && !it.starts_with('#'));
        let read = |(at, it): (usize, &str)| {
            it.parse::<Property>().map_err(|err| wrong(format!("line {}: {err}", at + 1)).into())
        };
        lines.map(read).collect()
    }

    /// A producer that keeps the order and doubles nothing. It chooses partitions as the services' own does: both
    /// leave librdkafka's `partitioner` as it is.
    pub(crate) fn producer(&self) -> Result<FutureProducer> {
        let mut config = self.client()?;
        config.remove("group.id");
        config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "0");
        config.set("message.timeout.ms", MESSAGE_LIMIT_MS);
        config.set("message.max.bytes", RECORD_BYTES_MAX);
        config.create().map_err(refused)
    }
}

/// A consumer that joins no group and commits nothing.
pub(crate) fn onlooker(config: &ClientConfig) -> Result<Onlooker> {
    let mut config = config.clone();
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    config.set("allow.auto.create.topics", "false").set("auto.offset.reset", "earliest");
    config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "50");
    // Of each partition, so that a long topic is not held as a whole.
    config.set("queued.max.messages.kbytes", "8192");
    config.create_with_context(Complaints::default()).map_err(refused)
}

fn refused(error: KafkaError) -> anyhow::Error {
    Usage(format!("bad settings of the broker: {error}")).into()
}

/// The broker's topics with the number of their partitions.
pub(crate) fn topics(onlooker: &Onlooker) -> Result<BTreeMap<String, i32>> {
    let metadata = match onlooker.fetch_metadata(None, PATIENCE) {
        Ok(metadata) => metadata,
        Err(error) => bail!("no broker answers: {}", why(onlooker, &error)),
    };
    let all = metadata.topics().iter();
    all.map(|it| {
        let partitions = i32::try_from(it.partitions().len()).context("count the partitions")?;
        Ok((it.name().to_owned(), partitions))
    })
    .collect()
}

/// What the client has complained about, which says more than the error of a call that took too long.
pub(crate) fn why(onlooker: &Onlooker, error: &KafkaError) -> String {
    let deadline = Instant::now() + REASON_LIMIT;
    while Instant::now() < deadline {
        // Complaints come by the queue of events.
        let _ = onlooker.poll(Duration::from_millis(50));
        if let Some(reason) = onlooker.context().last() {
            return reason;
        }
    }
    error.to_string()
}

/// The last complaint of a client.
#[derive(Default)]
pub(crate) struct Complaints(Mutex<Option<String>>);

impl Complaints {
    fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Complaints {
    fn error(&self, error: KafkaError, reason: &str) {
        // That all are down says less than what is wrong with one of them.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Complaints {}
