//! A full sync while every part of the fleet is killed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use testkit::{
    fleet::{FleetOptions, Service},
    jobs::{Jobs, is_terminal},
};

use super::{
    Chaos, Options,
    blows::{Blow, Point, plan},
    findings,
};
use crate::full_sync::{Source, limit, provision};

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

/// What a fleet needs for it.
pub(super) fn fleet(options: FleetOptions) -> FleetOptions {
    let concurrency = "RSADAPTOR__DESTINATION__CONCURRENCY_MAX";
    options.with_sync(2).set(Service::RsAdaptor, concurrency, &CONCURRENCY.to_string())
}

/// Provisions, syncs and looks.
pub(super) async fn run(chaos: &mut Chaos, options: &Options) -> Result<Map<String, Value>> {
    let source = Source::of(options.devices);
    let mut sync = Sync { chaos, source, seed: options.seed };
    eprintln!("provisioning");
    sync.prepare().await?;
    let blows = if options.calm { Vec::new() } else { plan(options.seed) };
    eprintln!("the full sync");
    sync.run(&blows).await
}

/// A fleet that is about to suffer.
struct Sync<'a> {
    chaos: &'a mut Chaos,
    source: Source,
    seed: u64,
}

impl Sync<'_> {
    /// Everything is provisioned; the backend has forgotten it, and is slow from now on.
    async fn prepare(&mut self) -> Result<()> {
        findings::add_packages(
            &self.chaos.servers.mongodb,
            self.chaos.fleet.database(Service::RsAgents)?,
            PACKAGES,
        )
        .await?;
        provision(&mut self.chaos.fleet, &self.source).await?;
        let devices = u32::try_from(self.source.devices())?;
        let each = UNDISTURBED * ADAPTORS * CONCURRENCY / devices.max(1);
        let slow = |path: &str| json!({"path": path, "action": {"latency_ms": each.as_millis()}});
        let faults = json!([slow("/devices"), slow("/routers"), slow("/agent-packages")]);
        self.chaos.fleet.simulator().faults(&faults).await?;
        self.chaos.fleet.simulator().forget().await
    }

    async fn run(&mut self, blows: &[Blow]) -> Result<Map<String, Value>> {
        let jobs = self.chaos.fleet.jobs()?;
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
            {
                let Blow { at, target, instance, pause } = *blow;
                eprintln!("  {at:?}");
                self.chaos.strike(target, instance, pause).await?;
            };
        }
        let mut task = watcher.task;
        let job = loop {
            tokio::select! {
                ended = &mut task => break ended??,
                () = tokio::time::sleep(BETWEEN_LOOKS * 4) => {
                    self.chaos.revived += self.chaos.fleet.look_after().await?.len();
                }
            }
        };
        let seconds = began.elapsed().as_secs_f64();
        tokio::time::sleep(AFTERWARDS).await;
        self.chaos.fleet.settled_without_jobs(REST).await?;
        self.found(&jobs, &job_id, &job, seconds).await
    }

    /// Waits until the sync has come to the point of a blow; false where it has ended before.
    async fn reached(&mut self, blow: &Blow, watcher: &Watcher, limit: Duration) -> Result<bool> {
        let deadline = Instant::now() + limit;
        while !watcher.ended.load(Ordering::Relaxed) {
            let summary = self.chaos.fleet.simulator().summary().await?;
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
            self.chaos.revived += self.chaos.fleet.look_after().await?.len();
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(false)
    }

    async fn found(
        &self,
        jobs: &Jobs,
        job_id: &str,
        job: &Value,
        seconds: f64,
    ) -> Result<Map<String, Value>> {
        let compared = self.source.compare(self.chaos.fleet.simulator()).await?;
        compared.examples.iter().for_each(|it| eprintln!("{it}"));
        let regressions = self.chaos.fleet.simulator().count("regressions").await?;
        let resent = findings::resent(self.chaos.fleet.simulator()).await?;
        let database = self.chaos.fleet.database(Service::RsSync)?;
        let transitions = findings::ends(&self.chaos.servers.mongodb, database, job_id).await?;
        let terminal = jobs.list().await?.iter().all(is_terminal);
        let found = json!({
            "seed": self.seed,
            "devices": self.source.devices(),
            "seconds": (seconds * 10.0).round() / 10.0,
            "kills": self.chaos.done.len(),
            "kills_by_service": self.chaos.kills(),
            "missing": compared.missing,
            "extra": compared.extra,
            "different": compared.different,
            "regressions": regressions,
            "jobs_terminal": terminal,
            "job_state": job["state"],
            "job_counts": job["counts"],
            "parent_transitions": transitions,
            "resent": resent,
            "revived": self.chaos.revived,
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
