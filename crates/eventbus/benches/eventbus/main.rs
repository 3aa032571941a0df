//! The bus under load, through its public API: what it takes beside what the machine allows.
//!
//! `cargo xtask bench eventbus` starts the broker, runs this and judges the figures. Each measurement is a
//! process of its own ([`child`]), started by [`run`], so that none sees the memory or the threads of another.

mod bus;
mod child;
mod figures;
mod keyed;
mod ledger;
mod noop;
mod publish;
mod records;
mod refetch;
mod reliable;
mod replay;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Options),
    Measure(child::Options),
    Broker(reliable::BrokerOptions),
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("the operating system gives threads");
    let outcome = match Arguments::parse().command {
        Some(Command::Run(options)) => runtime.block_on(run::run(&options)),
        Some(Command::Measure(options)) => runtime.block_on(child::measure(&options)),
        Some(Command::Broker(options)) => runtime.block_on(reliable::serve(&options)),
        None => Err(anyhow::anyhow!("this needs a broker: run `cargo xtask bench eventbus`")),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
