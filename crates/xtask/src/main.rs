//! The one entry for people: `cargo xtask --help`.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Parser, Subcommand};
use testkit::servers::told_to_end;

/// Developers' commands of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(xtask::demo::Options),
    Test(xtask::checks::Options),
    Servers(xtask::servers::Options),
    Bench(xtask::bench::Options),
    Chaos(xtask::chaos::Options),
    Soak(xtask::soak::Options),
    Coverage(xtask::coverage::Options),
    Generate(xtask::generate::Options),
    #[command(hide = true)]
    Broker(xtask::servers::BrokerOptions),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let runtime = tokio::runtime::Runtime::new().expect("the operating system gives threads");
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(command) => outcome,
            _ = told_to_end() => Err(anyhow::anyhow!("told to end")),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Demo(options) => xtask::demo::run(&options).await,
        Command::Test(options) => xtask::checks::run(&options).await,
        Command::Servers(options) => xtask::servers::run(&options).await,
        Command::Bench(options) => xtask::bench::run(&options).await,
        Command::Chaos(options) => xtask::chaos::run(&options).await,
        Command::Soak(options) => xtask::soak::run(&options).await,
        Command::Coverage(options) => xtask::coverage::run(&options),
        Command::Generate(options) => xtask::generate::run(&options),
        Command::Broker(options) => xtask::servers::serve_broker(&options).await,
    }
}
