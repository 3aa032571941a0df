//! librdkafka's mock cluster as a broker: small, quick, in a process of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    mocking::MockCluster,
};

use super::{Process, RunFolder, answers, apache_kafka::Started, client};
use crate::wait::within;

const READY: Duration = Duration::from_secs(20);
/// The mock cluster has no request that makes a topic. Clients ask by a record to this one instead: its key
/// is the name of the topic, its value how many partitions it has.
pub(crate) const TOPIC_MAKER: &str = "embedded-broker-topic-maker";

/// How the mock cluster is.
#[derive(Debug, Clone, Default)]
pub struct Mock {
    /// How long an answer takes at least.
    pub round_trip: Duration,
    /// Topics beside the registry's, with their partitions.
    pub further_topics: Vec<(String, i32)>,
}

/// Serves the registry's topics, writes `kafka ADDRESS` into `address_file` and stays until it is
/// told to end.
///
/// # Errors
/// When the mock cluster cannot be made.
pub async fn serve(address_file: &Path) -> Result<()> {
    serve_as(address_file, &Mock::default()).await
}

/// [`serve`] with a round trip and further topics.
///
/// # Errors
/// When the mock cluster cannot be made.
pub async fn serve_as(address_file: &Path, mock: &Mock) -> Result<()> {
    let cluster = MockCluster::new(1).context("start librdkafka's mock cluster")?;
    let registry = crate::topics::wanted().into_iter().map(|it| (it.name, it.partitions));
    let maker = (TOPIC_MAKER.to_owned(), 1);
    for (name, partitions) in registry.chain(mock.further_topics.iter().cloned()).chain([maker]) {
        cluster
            .create_topic(&name, partitions, 1)
            .with_context(|| format!("make the topic {name}"))?;
    }
    if !mock.round_trip.is_zero() {
        cluster.broker_round_trip_time(1, mock.round_trip).context("set the round trip")?;
    }
    let partial = address_file.with_extension("partial");
    fs::write(&partial, format!("kafka {}\n", cluster.bootstrap_servers()))?;
    fs::rename(&partial, address_file).context("tell our address")?;
    tokio::select! {
        ended = super::told_to_end() => ended,
        failed = make_topics(&cluster) => failed,
    }
}

/// Makes what clients ask for, for ever.
async fn make_topics<C: ClientContext>(cluster: &MockCluster<'_, C>) -> Result<()> {
    let mut config = client(&cluster.bootstrap_servers());
    config.set("group.id", "embedded-broker").set("enable.auto.commit", "false");
    let consumer: StreamConsumer = config.create().context("make a consumer")?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(TOPIC_MAKER, 0, Offset::Beginning)?;
    consumer.assign(&assignment)?;
    loop {
        let record = consumer.recv().await.context("read which topics are asked for")?;
        let text = |it: Option<&[u8]>| String::from_utf8_lossy(it.unwrap_or_default()).into_owned();
        let (name, partitions) = (text(record.key()), text(record.payload()));
        let partitions = partitions.parse().context("a topic has a number of partitions")?;
        // Two may have asked for the same one; who gets none sees that it does not appear.
        if let Err(error) = cluster.create_topic(&name, partitions, 1) {
            eprintln!("make the topic {name}: {error}");
        }
    }
}

/// Starts `command ADDRESS_FILE`, which calls [`serve`] or [`serve_as`], and waits until it answers.
///
/// # Errors
/// When it does not.
pub async fn start(command: &[PathBuf], run: &RunFolder) -> Result<Started> {
    let address_file = run.path().join("broker.address");
    let (program, arguments) = command.split_first().context("a command has a program")?;
    let mut broker = Command::new(program);
    broker.args(arguments).arg(&address_file);
    let mut process = Process::start("broker", &mut broker, &run.log("broker"))?;
    let address = within(READY, || {
        let ended = process.still_runs();
        let text = fs::read_to_string(&address_file).ok();
        async move {
            match ended {
                Err(error) => Some(Err(error)),
                Ok(()) => Some(Ok(text?.strip_prefix("kafka ")?.trim().to_owned())),
            }
        }
    });
    let address = address.await.context("the embedded broker does not tell its address")??;
    anyhow::ensure!(
        answers(&address, READY, &mut process).await?,
        "the embedded broker does not answer"
    );
    Ok(Started::once(address, process))
}
