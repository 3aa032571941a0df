//! `cargo xtask chaos`: a full sync or a rollout while parts of the fleet are killed, at points that a seed chooses.

mod blows;
mod findings;
mod full_sync;
mod rollout;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use testkit::{
    fleet::{Fleet, FleetOptions},
    servers::{Broker, RunFolder, Servers},
};

use self::blows::Target;
use crate::tools::{build_fleet, embedded_command, print_figures};

/// Run a full sync or a rollout while parts of the fleet are killed.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// What is run.
    #[arg(value_enum)]
    pub what: What,
    /// For full-sync: how many devices there are.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub devices: usize,
    /// For rollout: how many routers there are.
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub routers: usize,
    /// What chooses who is killed and when; every second rollout has a package that fails.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Kill nobody: how long it takes undisturbed.
    #[arg(long)]
    pub calm: bool,
    /// Print what was found as one JSON object, as the last line.
    #[arg(long)]
    pub json: bool,
}

/// What can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// A full sync.
    FullSync,
    /// A rollout of an agent package.
    Rollout,
}

/// Runs and prints; success only where everything is as it should be at the end.
///
/// # Errors
/// When a piece is missing or the fleet does not come to rest.
pub async fn run(options: &Options) -> Result<ExitCode> {
    let mut folder = RunFolder::new()?;
    let outcome = run_in(options, &folder).await;
    if !outcome.as_ref().is_ok_and(|it| it["ok"] == true) {
        folder.failed();
    }
    let found = outcome?;
    let ok = found["ok"] == true;
    print_figures(found, options.json);
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run_in(options: &Options, folder: &RunFolder) -> Result<Map<String, Value>> {
    let say = |line: &str| eprintln!("{line}");
    say("building the fleet");
    build_fleet(folder).await?;
    say("starting MongoDB and Apache Kafka");
    let command = embedded_command()?;
    let servers = Servers::start(&Broker::Apache, &command, folder, &say).await?;
    let mut wanted = FleetOptions::new(&servers.kafka, &servers.mongodb);
    (wanted.used_broker, wanted.revive) = (false, true);
    let wanted = match options.what {
        What::FullSync => full_sync::fleet(wanted),
        What::Rollout => rollout::fleet(wanted),
    };
    let fleet = Fleet::start(wanted, folder.path()).await?;
    let mut chaos = Chaos { fleet, servers, done: Vec::new(), revived: 0 };
    let found = match options.what {
        What::FullSync => full_sync::run(&mut chaos, options).await?,
        What::Rollout => rollout::run(&mut chaos, options).await?,
    };
    chaos.fleet.stop().await?;
    Ok(found)
}

/// A fleet that is about to suffer.
struct Chaos {
    fleet: Fleet,
    servers: Servers,
    /// Who was killed.
    done: Vec<Target>,
    /// Readers that ended by themselves and were started again.
    revived: usize,
}

impl Chaos {
    /// Kills, waits a little, and starts again.
    async fn strike(&mut self, target: Target, instance: usize, pause: Duration) -> Result<()> {
        eprintln!("  kill {} {instance}, back after {pause:?}", target.name());
        self.done.push(target);
        match target {
            Target::Service(service) => {
                self.fleet.kill_9(service, instance)?;
                tokio::time::sleep(pause).await;
                self.fleet.restart(service, instance).await
            }
            Target::Store => {
                self.servers.store.kill_9()?;
                tokio::time::sleep(pause).await;
                self.servers.store.restart().await
            }
            Target::Bus => {
                let bus = self.servers.bus.as_mut().context("this run started the broker")?;
                bus.kill_9()?;
                tokio::time::sleep(pause).await;
                bus.restart().await
            }
        }
    }

    /// How often each was killed.
    fn kills(&self) -> Map<String, Value> {
        let mut kills = Map::new();
        for target in &self.done {
            let count = kills.get(target.name()).and_then(Value::as_u64).unwrap_or_default();
            kills.insert(target.name().to_owned(), json!(count + 1));
        }
        kills
    }
}
