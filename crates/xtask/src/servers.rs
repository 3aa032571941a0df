//! `cargo xtask servers`: a broker and a mongod for tests that are run by hand.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use testkit::servers::{Broker, RunFolder, Servers, embedded, told_to_end};

use crate::tools::{embedded_command, print};

/// Start a broker and a mongod for tests that are run by hand, until Ctrl-C.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// auto, apache, embedded, or host:port of a broker that runs already.
    #[arg(long, default_value = "auto")]
    pub broker: Broker,
}

/// Serve the embedded broker and write its address into a file.
#[derive(Debug, Clone, clap::Args)]
pub struct BrokerOptions {
    /// The file.
    pub address_file: PathBuf,
}

/// Serves the embedded broker until it is told to end.
///
/// # Errors
/// When it cannot be made.
pub async fn serve_broker(options: &BrokerOptions) -> Result<ExitCode> {
    embedded::serve(&options.address_file).await.map(|()| ExitCode::SUCCESS)
}

/// Prints what to put into the environment, and stays.
///
/// # Errors
/// When a server is not to be had.
pub async fn run(options: &Options) -> Result<ExitCode> {
    let run = RunFolder::new()?;
    let say = |line: &str| eprintln!("{line}");
    let servers = Servers::start(&options.broker, &embedded_command()?, &run, &say).await?;
    print(format_args!("export KAFKA_BOOTSTRAP_SERVERS='{}'", servers.kafka));
    print(format_args!("export MONGODB_URI='{}'", servers.mongodb));
    told_to_end().await?;
    drop(servers);
    Ok(ExitCode::SUCCESS)
}
