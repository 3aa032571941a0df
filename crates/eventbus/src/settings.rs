//! What an operator may choose of the bus.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use rdkafka::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::factory::{FactoryError, passed_through};

/// Everything about Kafka in a service's settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The fleet's own broker: addresses to begin with, `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// Who we are there and how the line is protected.
    #[serde(default)]
    pub security: Security,
    /// Settings of librdkafka that are passed through.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// How records are consumed.
    pub consumer: ConsumerSettings,
    /// How records are produced.
    pub producer: ProducerSettings,
    /// HS-BE's broker, where the service speaks with it.
    #[serde(default)]
    pub external: Option<Cluster>,
}

/// One broker and how to reach it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Addresses to begin with, `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// Who we are there and how the line is protected.
    #[serde(default)]
    pub security: Security,
    /// Settings of librdkafka that are passed through.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// Who we are and how the line is protected.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// How to speak with the broker.
    pub protocol: SecurityProtocol,
    /// Certificates that vouch for the broker, PEM; without it those of the machine.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate, PEM.
    pub certificate_file: Option<PathBuf>,
    /// The client's key, PEM.
    pub key_file: Option<PathBuf>,
    /// How the client proves who it is.
    pub mechanism: Option<SaslMechanism>,
    /// Who the client is.
    pub username: Option<String>,
    /// What only the client knows.
    #[serde(serialize_with = "redacted")]
    pub password: Option<SecretString>,
}

/// How to speak with a broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityProtocol {
    /// In the clear.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL in the clear.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SaslMechanism {
    /// By its password.
    #[serde(rename = "PLAIN")]
    Plain,
    /// By a proof that it knows the password.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// By a longer proof that it knows the password.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// How records are consumed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerSettings {
    /// Topics whose offsets are committed in the background.
    pub performant_topics: BTreeSet<String>,
    /// Most calls of callbacks at a time.
    pub max_in_flight: usize,
    /// Most records of a partition that are taken from the broker and not yet done.
    pub partition_window: usize,
    /// Most records of a partition that are begun before the first one that is not done is done: what a restart may
    /// repeat.
    pub dispatch_ahead_max: usize,
    /// While live records are ready, this share of the starts is left to those of a sync, 0 to 1.
    pub sync_share: f64,
    /// Most bytes of records that are held, over all partitions; a few records more may be under way.
    pub buffered_bytes_max: usize,
    /// A commit is due after so many records …
    pub commit_every_records: u64,
    /// … or after so many milliseconds.
    pub commit_every_ms: u64,
    /// How many counted failures end a record.
    pub attempts_max: u32,
    /// A counted failure so long after its first attempt ends a record too, in seconds.
    pub record_limit_seconds: u64,
    /// A call of a callback that takes longer is given up, in seconds.
    pub handler_limit_seconds: u64,
    /// How long work in flight may take to end when a partition is taken away, in seconds.
    pub drain_limit_seconds: u64,
    /// A partition whose first open record has been that for so many seconds is told to stand still.
    pub stuck_after_seconds: u64,
    /// So many dead letters with no record handled between them stop the consumer.
    pub dead_letters_run_max: u32,
    /// This share of dead letters among the last thousand records stops the consumer, 0 to 1.
    pub dead_letters_share_max: f64,
    /// Settings of librdkafka that are passed through.
    pub properties: BTreeMap<String, String>,
}

/// How records are produced.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProducerSettings {
    /// Whether each message leaves at once instead of waiting a few milliseconds for others.
    pub flush_every_message: bool,
    /// Settings of librdkafka that are passed through.
    pub properties: BTreeMap<String, String>,
}

impl Settings {
    /// The fleet's own broker.
    pub fn cluster(&self) -> Cluster {
        Cluster {
            bootstrap_servers: self.bootstrap_servers.clone(),
            security: self.security.clone(),
            properties: self.properties.clone(),
        }
    }
}

impl Cluster {
    /// A client of this broker.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, FactoryError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        self.security.apply(&mut config);
        passed_through(&mut config, &self.properties)?;
        Ok(config)
    }
}

impl Security {
    fn apply(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol.as_str());
        let files = [
            ("ssl.ca.location", &self.ca_file),
            ("ssl.certificate.location", &self.certificate_file),
            ("ssl.key.location", &self.key_file),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                config.set(name, file.to_string_lossy());
            }
        }
        if let Some(mechanism) = self.mechanism {
            config.set("sasl.mechanism", mechanism.as_str());
        }
        if let Some(username) = &self.username {
            config.set("sasl.username", username);
        }
        if let Some(password) = &self.password {
            config.set("sasl.password", password.expose_secret());
        }
    }
}

impl SecurityProtocol {
    fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }
}

impl SaslMechanism {
    fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

fn redacted<S: Serializer>(secret: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "[redacted]").serialize(to)
}
