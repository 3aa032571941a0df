//! `cargo xtask chaos`: a full sync while every part of the fleet is killed, at points that a seed chooses.

mod blows;
mod findings;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use testkit::{
    fleet::{Fleet, FleetOptions, Service},
    jobs::{Jobs, is_terminal},
    servers::{Broker, RunFolder, Servers},
};

use self::blows::{Blow, Point, Target, plan};
use crate::{
    full_sync::{Source, limit, provision},
    tools::{build_fleet, embedded_command, print_figures},
};

/// How long an undisturbed sync takes at least; the backend is slowed for that.
const UNDISTURBED: Duration = Duration::from_secs(75);
/// Requests of each rsadaptor that are on their way at a time.
const CONCURRENCY: u32 = 16;
const ADAPTORS: u32 = 2;
const WINDOW: u32 = 500;
const PACKAGES: usize = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// After its end, a job is watched a little longer: it must stay ended.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// After the end of the job, nothing much is left to be done.
const REST: Duration = Duration::from_secs(120);

/// Run a full sync while every part of the fleet is killed.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// What is run.
    #[arg(value_enum)]
    pub what: What,
    /// How many devices there are.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub devices: usize,
    /// What chooses who is killed and when.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Kill nobody: how long the sync takes undisturbed.
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
}

/// Runs and prints; success only where the backend holds everything at the end and the job ended once.
///
/// # Errors
/// When a piece is missing or the fleet does not come to rest.
pub async fn run(options: &Options) -> Result<ExitCode> {
    let What::FullSync = options.what;
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
    let mut wanted = FleetOptions::new(&servers.kafka, &servers.mongodb).with_sync(2);
    (wanted.used_broker, wanted.revive) = (false, true);
    let concurrency = "RSADAPTOR__DESTINATION__CONCURRENCY_MAX";
    wanted = wanted.set(Service::RsAdaptor, concurrency, &CONCURRENCY.to_string());
    let fleet = Fleet::start(wanted, folder.path()).await?;
    let source = Source::of(options.devices);
    let mut chaos =
        Chaos { fleet, servers, source, seed: options.seed, done: Vec::new(), revived: 0 };
    say("provisioning");
    chaos.prepare().await?;
    let blows = if options.calm { Vec::new() } else { plan(options.seed) };
    say("the full sync");
    let found = chaos.sync(&blows).await?;
    chaos.fleet.stop().await?;
    Ok(found)
}

/// A fleet that is about to suffer.
struct Chaos {
    fleet: Fleet,
    servers: Servers,
    source: Source,
    seed: u64,
    /// Who was killed.
    done: Vec<Target>,
    /// Readers that ended by themselves and were started again.
    revived: usize,
}

impl Chaos {
    /// Everything is provisioned; the backend has forgotten it, and is slow from now on.
    async fn prepare(&mut self) -> Result<()> {
        findings::add_packages(
            &self.servers.mongodb,
            self.fleet.database(Service::RsAgents)?,
            PACKAGES,
        )
        .await?;
        provision(&mut self.fleet, &self.source).await?;
        let devices = u32::try_from(self.source.devices())?;
        let each = UNDISTURBED * ADAPTORS * CONCURRENCY / devices.max(1);
        let slow = |path: &str| json!({"path": path, "action": {"latency_ms": each.as_millis()}});
        let faults = json!([slow("/devices"), slow("/routers"), slow("/agent-packages")]);
        self.fleet.simulator().faults(&faults).await?;
        self.fleet.simulator().forget().await
    }

    async fn sync(&mut self, blows: &[Blow]) -> Result<Map<String, Value>> {
        let jobs = self.fleet.jobs()?;
        let began = Instant::now();
        let job = jobs.start(&json!({"mode": "force", "window": WINDOW})).await?;
        let job_id = job["job_id"].as_str().context("a job has an id")?.to_owned();
        let limit = limit(self.source.devices()) + UNDISTURBED * 2;
        let watcher = Watcher::start(jobs.clone(), job_id.clone(), limit);
        for blow in blows {
            if !self.reached(blow, &watcher, limit).await? {
                eprintln!("the job ended before {blow:?}");
                break;
            }
            self.strike(blow).await?;
        }
        let mut task = watcher.task;
        let job = loop {
            tokio::select! {
                ended = &mut task => break ended??,
                () = tokio::time::sleep(BETWEEN_LOOKS * 4) => {
                    self.revived += self.fleet.look_after().await?.len();
                }
            }
        };
        let seconds = began.elapsed().as_secs_f64();
        tokio::time::sleep(AFTERWARDS).await;
        self.fleet.settled_without_jobs(REST).await?;
        self.found(&jobs, &job_id, &job, seconds).await
    }

    /// Waits until the sync has come to the point of a blow; false where it has ended before.
    async fn reached(&mut self, blow: &Blow, watcher: &Watcher, limit: Duration) -> Result<bool> {
        let deadline = Instant::now() + limit;
        while !watcher.ended.load(Ordering::Relaxed) {
            let summary = self.fleet.simulator().summary().await?;
            let of = |kind: &str| summary[kind].as_f64().unwrap_or_default();
            let reached = match blow.at {
                Point::Packages(share) => {
                    of("agent_packages") >= share * PACKAGES as f64 || of("routers") > 0.0
                }
                Point::Devices(share) => {
                    of("devices") + of("routers") >= share * self.source.devices() as f64
                }
            };
            if reached {
                return Ok(true);
            }
            anyhow::ensure!(Instant::now() < deadline, "the sync stands still: {summary}");
            self.revived += self.fleet.look_after().await?.len();
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(false)
    }

    /// Kills, waits a little, and starts again.
    async fn strike(&mut self, blow: &Blow) -> Result<()> {
        let Blow { at, target, instance, pause } = blow;
        eprintln!("  {at:?}: kill {} {instance}, back after {pause:?}", target.name());
        self.done.push(blow.target);
        match blow.target {
            Target::Service(service) => {
                self.fleet.kill_9(service, blow.instance)?;
                tokio::time::sleep(blow.pause).await;
                self.fleet.restart(service, blow.instance).await
            }
            Target::Store => {
                self.servers.store.kill_9()?;
                tokio::time::sleep(blow.pause).await;
                self.servers.store.restart().await
            }
            Target::Bus => {
                let bus = self.servers.bus.as_mut().context("this run started the broker")?;
                bus.kill_9()?;
                tokio::time::sleep(blow.pause).await;
                bus.restart().await
            }
        }
    }

    async fn found(
        &self,
        jobs: &Jobs,
        job_id: &str,
        job: &Value,
        seconds: f64,
    ) -> Result<Map<String, Value>> {
        let compared = self.source.compare(self.fleet.simulator()).await?;
        compared.examples.iter().for_each(|it| eprintln!("{it}"));
        let regressions = self.fleet.simulator().count("regressions").await?;
        let resent = findings::resent(self.fleet.simulator()).await?;
        let database = self.fleet.database(Service::RsSync)?;
        let transitions = findings::ends(&self.servers.mongodb, database, job_id).await?;
        let terminal = jobs.list().await?.iter().all(is_terminal);
        let mut kills = Map::new();
        for target in &self.done {
            let count = kills.get(target.name()).and_then(Value::as_u64).unwrap_or_default();
            kills.insert(target.name().to_owned(), json!(count + 1));
        }
        let found = json!({
            "seed": self.seed,
            "devices": self.source.devices(),
            "seconds": (seconds * 10.0).round() / 10.0,
            "kills": self.done.len(),
            "kills_by_service": kills,
            "missing": compared.missing,
            "extra": compared.extra,
            "different": compared.different,
            "regressions": regressions,
            "jobs_terminal": terminal,
            "job_state": job["state"],
            "job_counts": job["counts"],
            "parent_transitions": transitions,
            "resent": resent,
            "revived": self.revived,
            "ok": compared.is_equal() && terminal && transitions == 1,
        });
        let Value::Object(found) = found else { unreachable!("made as an object above") };
        Ok(found)
    }
}

/// Follows a job in the background, over all crashes.
struct Watcher {
    ended: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Value>>,
}

impl Watcher {
    fn start(jobs: Jobs, job_id: String, limit: Duration) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&ended);
        let task = tokio::spawn(async move {
            let job = jobs.ends(&job_id, limit).await;
            mark.store(true, Ordering::Relaxed);
            job
        });
        Self { ended, task }
    }
}
