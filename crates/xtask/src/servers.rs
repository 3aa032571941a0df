//! `cargo xtask servers`: a broker and a mongod for tests that are run by hand.

use std::process::ExitCode;

use anyhow::Result;
use testkit::servers::{Broker, RunFolder, Servers, told_to_end};

use crate::tools::{embedded_command, print};

/// Start a broker and a mongod for tests that are run by hand, until Ctrl-C.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// auto, apache, embedded, or host:port of a broker that runs already.
    #[arg(long, default_value = "auto")]
    pub broker: Broker,
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
