//! Which broker, and how to reach it: what the services have as settings, on the command line.

use std::{fs, path::PathBuf, str::FromStr};

use anyhow::Result;
use eventbus::onlooker::Onlooker;
use rdkafka::{ClientConfig, error::KafkaError, producer::FutureProducer};

use crate::Usage;

/// How long an unacknowledged record is tried, in milliseconds.
const MESSAGE_LIMIT_MS: &str = "12000";
/// Largest record with its headers, in bytes: the largest that the services write.
const RECORD_BYTES_MAX: &str = "4194304";

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
    eventbus::onlooker::onlooker(config).map_err(refused)
}

fn refused(error: KafkaError) -> anyhow::Error {
    Usage(format!("bad settings of the broker: {error}")).into()
}
