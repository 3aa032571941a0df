//! The two servers that the fleet stands on: a real mongod and a broker.

pub mod apache_kafka;
pub mod embedded;
mod folders;
pub mod mongod;
mod process;
mod python;

use std::{
    net::TcpListener,
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};

use self::apache_kafka::Started;
pub use self::{
    folders::{RunFolder, downloads, workspace},
    process::Process,
    python::python_packages,
};
use crate::environment::variable;

/// Which broker a run wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broker {
    /// Apache Kafka where Java and the jars can be had, else the embedded one.
    Auto,
    /// Apache Kafka or a failure.
    Apache,
    /// The same as an operator runs it, for measuring: it gets faster for a minute, and uses the cores for that.
    ApacheAsOperated,
    /// librdkafka's mock cluster.
    Embedded,
    /// A broker that runs already: `host:port`, several with commas.
    Address(String),
}

impl FromStr for Broker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "apache" => Ok(Self::Apache),
            "embedded" => Ok(Self::Embedded),
            address if address.contains(':') => Ok(Self::Address(address.to_owned())),
            other => Err(format!("`{other}` is not auto, apache, embedded or host:port")),
        }
    }
}

/// The servers of one run. Dropping them ends those that this run started.
#[derive(Debug)]
pub struct Servers {
    /// `host:port` of the broker.
    pub kafka: String,
    /// `apache`, `embedded` or `external`.
    pub broker: &'static str,
    /// The connection string of the replica set.
    pub mongodb: String,
    /// The mongod.
    pub store: mongod::Mongod,
    /// The broker, where this run started it.
    pub bus: Option<Started>,
}

impl Servers {
    /// Gets what is missing, starts both servers and makes the registry's topics.
    /// `embedded_command` is the command that serves the embedded broker; `say` tells people what
    /// takes time.
    ///
    /// # Errors
    /// When a server is not to be had: the message says what to install.
    pub async fn start(
        wanted: &Broker,
        embedded_command: &[PathBuf],
        run: &RunFolder,
        say: &dyn Fn(&str),
    ) -> Result<Self> {
        let (mongod, broker) =
            tokio::join!(mongod::start(run, say), start_broker(wanted, embedded_command, run, say));
        let (store, (kafka, broker, bus)) = (mongod?, broker?);
        crate::topics::create(&kafka).await?;
        Ok(Self { kafka, broker, mongodb: store.uri.clone(), store, bus })
    }

    /// Ids of the processes that this run started.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let bus = self.bus.as_ref().map(|it| &it.process);
        self.store.process.iter().chain(bus).map(Process::id).collect()
    }

    /// Lets the servers live on after this process.
    ///
    /// # Errors
    /// When a guard cannot be told.
    pub fn leave(self) -> Result<()> {
        let bus = self.bus.map(|it| it.process);
        self.store.process.into_iter().chain(bus).try_for_each(Process::leave)
    }
}

async fn start_broker(
    wanted: &Broker,
    embedded_command: &[PathBuf],
    run: &RunFolder,
    say: &dyn Fn(&str),
) -> Result<(String, &'static str, Option<Started>)> {
    let given = match wanted {
        Broker::Address(address) => Some(address.clone()),
        Broker::Auto => variable("KAFKA_BOOTSTRAP_SERVERS"),
        Broker::Apache | Broker::ApacheAsOperated | Broker::Embedded => None,
    };
    if let Some(address) = given {
        return Ok((address, "external", None));
    }
    let apache = match wanted {
        Broker::Embedded => None,
        Broker::Apache => Some(apache_kafka::find(say)?),
        Broker::ApacheAsOperated => Some(apache_kafka::find(say)?.as_operated()),
        Broker::Auto | Broker::Address(_) => match apache_kafka::find(say) {
            Ok(found) => Some(found),
            Err(error) if variable("CI").is_some_and(|it| it == "true") => return Err(error),
            Err(error) => {
                say(&format!("taking the embedded broker, for {error:#}"));
                None
            }
        },
    };
    let (broker, started) = match apache {
        Some(apache) => ("apache", apache.start(run).await?),
        None => ("embedded", embedded::start(embedded_command, run).await?),
    };
    Ok((started.address.clone(), broker, Some(started)))
}

/// Waits for SIGTERM or Ctrl-C.
///
/// # Errors
/// When the signals cannot be listened to.
pub async fn told_to_end() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen to SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// The full path of a program on the PATH.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    std::env::split_paths(&path).map(|it| it.join(name)).find(|it| it.is_file())
}

/// Whether the broker at `address` answers within `limit`.
async fn answers(address: &str, limit: Duration, process: &mut Process) -> Result<bool> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        process.still_runs()?;
        let config = client(address);
        let asked = tokio::task::spawn_blocking(move || -> Result<bool> {
            let consumer: BaseConsumer = config.create()?;
            let metadata = consumer.fetch_metadata(None, Duration::from_secs(2));
            Ok(metadata.is_ok_and(|it| !it.brokers().is_empty()))
        });
        if asked.await.context("ask the broker")?? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Settings of a client that asks and does not log what it retries.
pub(crate) fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("log_level", "2");
    config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "500");
    config
}
