//! librdkafka's mock cluster as a broker: small, quick, in a process of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use rdkafka::mocking::MockCluster;

use super::{Process, RunFolder, answers, apache_kafka::Started};
use crate::wait::within;

const READY: Duration = Duration::from_secs(20);

/// Serves the registry's topics, writes `kafka ADDRESS` into `address_file` and stays until it is
/// told to end.
///
/// # Errors
/// When the mock cluster cannot be made.
pub async fn serve(address_file: &Path) -> Result<()> {
    let cluster = MockCluster::new(1).context("start librdkafka's mock cluster")?;
    for topic in crate::topics::wanted() {
        cluster
            .create_topic(&topic.name, topic.partitions, 1)
            .with_context(|| format!("make the topic {}", topic.name))?;
    }
    let partial = address_file.with_extension("partial");
    fs::write(&partial, format!("kafka {}\n", cluster.bootstrap_servers()))?;
    fs::rename(&partial, address_file).context("tell our address")?;
    super::told_to_end().await
}

/// Starts `command ADDRESS_FILE`, which calls [`serve`], and waits until it answers.
pub(super) async fn start(command: &[PathBuf], run: &RunFolder) -> Result<Started> {
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
    Ok(Started { address, process })
}
