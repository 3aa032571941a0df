//! The full sync of a fleet in a release build: its speed beside the backend's own, what it asks of the
//! store, and what live updates notice of it.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use testkit::{
    fleet::{Fleet, FleetOptions, Service},
    servers::{Broker, RunFolder, Servers},
    store::Store,
};

use super::{
    Options,
    cancel::{self, Backend},
    live::{self, Live, Sample, p99_ms},
    load, memory,
};
use crate::{
    full_sync::{Compared, Source, forced_sync, limit, provision},
    tools::embedded_command,
};

const LATENCY: Duration = Duration::from_millis(5);
/// Live updates that are measured.
const SAMPLES: usize = 3_000;
/// Live updates before those, which are not.
const WARM_UP: usize = 100;
/// Live updates a second, with a little less to be sure of.
const SAMPLES_PER_S: f64 = 48.0;
const ROUNDS_MAX: usize = 5;
/// What a job leaves to be written after its end.
const AFTERMATH: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Measures; answers the figures with their bars.
pub(super) async fn measure(options: &Options, folder: &RunFolder) -> Result<Map<String, Value>> {
    let say = |line: &str| eprintln!("{line}");
    say("starting MongoDB and Apache Kafka");
    let command = embedded_command()?;
    let servers = Servers::start(&Broker::Apache, &command, folder, &say).await?;
    let mut wanted = FleetOptions::new(&servers.kafka, &servers.mongodb).with_sync(1);
    (wanted.rsclients, wanted.rsadaptors, wanted.used_broker) = (1, 1, false);
    let latency = LATENCY.as_millis().to_string();
    wanted = wanted.set(Service::Simulator, "HSBE_SIM__LATENCY_MS", &latency);
    // The end of a job is to be heard of at once.
    wanted = wanted.set(Service::RsSync, "RSSYNC__STREAMS__LOOK_EVERY_MS", "100");
    let mut bench = Bench {
        source: Source::of(options.devices),
        fleet: Fleet::start(wanted, folder.path()).await?,
        mongodb: servers.mongodb.clone(),
        figures: Map::new(),
        compared: Compared::default(),
    };
    bench.figure("devices", options.devices);
    bench.prepare().await?;
    bench.ceiling().await?;
    bench.sync().await?;
    let largest = if options.skip_live { bench.look_on().await? } else { bench.live().await? };
    bench.figure("max_task_document_bytes", largest);
    if !options.skip_live {
        bench.cancel().await?;
    }
    let Compared { missing, extra, different, examples } = bench.compared;
    examples.iter().for_each(|it| eprintln!("{it}"));
    let mut figures = bench.figures;
    for (name, count) in [("missing", missing), ("extra", extra), ("different", different)] {
        figures.insert(name.to_owned(), json!(count));
    }
    bench.fleet.stop().await?;
    drop(servers);
    let bars = bars(&figures);
    figures.insert("bars".to_owned(), bars);
    Ok(figures)
}

/// A fleet, what it was fed, and what was found so far.
struct Bench {
    fleet: Fleet,
    source: Source,
    mongodb: String,
    figures: Map<String, Value>,
    /// All comparisons together.
    compared: Compared,
}

impl Bench {
    fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// Everything is provisioned and in the backend.
    async fn prepare(&mut self) -> Result<()> {
        eprintln!("provisioning {} devices", self.source.devices());
        let began = Instant::now();
        provision(&mut self.fleet, &self.source).await?;
        eprintln!("  {:.0} s", began.elapsed().as_secs_f64());
        let compared = self.source.compare(self.fleet.simulator()).await?;
        ensure!(compared.is_equal(), "the provisioning went wrong: {compared:?}");
        Ok(())
    }

    async fn ceiling(&mut self) -> Result<()> {
        eprintln!("putting the same bodies without the fleet");
        let (per_s, connections) = load::ceiling(self.fleet.simulator()).await?;
        self.figure("ceiling_per_s", per_s.round());
        self.figure("ceiling_connections", connections);
        Ok(())
    }

    /// The sync that is timed: the backend holds nothing, the adaptor remembers everything.
    async fn sync(&mut self) -> Result<()> {
        eprintln!("a full sync");
        self.fleet.simulator().forget().await?;
        let (jobs, limit) = (self.fleet.jobs()?, limit(self.source.devices()));
        let before = operations(&self.mongodb).await?;
        // The backlog of the provisioning is no part of a sync.
        for pid in self.services()?.into_iter().map(|it| it.1) {
            memory::forget_peak(pid)?;
        }
        let ended = forced_sync(&jobs, json!({}), limit).await?;
        tokio::time::sleep(AFTERMATH).await;
        let after = operations(&self.mongodb).await?;
        self.rss()?;

        let (devices, seconds) = (self.source.devices() as f64, ended.took.as_secs_f64());
        let per_s = devices / seconds;
        let ceiling = self.figures["ceiling_per_s"].as_f64().unwrap_or(f64::NAN);
        self.figure("seconds", rounded(seconds, 3));
        self.figure("us_per_device", rounded(seconds * 1e6 / devices, 1));
        self.figure("per_s", per_s.round());
        self.figure("ratio", rounded(per_s / ceiling, 3));
        let kinds = before.iter().zip(&after).map(|(one, two)| (one.0.clone(), two.1 - one.1));
        let kinds: Vec<(String, i64)> = kinds.collect();
        let all: i64 = kinds.iter().map(|it| it.1).sum();
        self.figure("store_ops_per_device", rounded(all as f64 / devices, 4));
        let kinds: Map<String, Value> = kinds.into_iter().map(|(k, n)| (k, n.into())).collect();
        self.figure("store_ops", kinds);
        self.figure("counts", ended.job["counts"].clone());
        eprintln!("  {seconds:.1} s, {per_s:.0}/s");
        self.compare().await
    }

    /// Compares with what the backend holds, once the fleet is at rest.
    async fn compare(&mut self) -> Result<()> {
        self.fleet.settled_without_jobs(limit(self.source.devices())).await?;
        let found = self.source.compare(self.fleet.simulator()).await?;
        self.compared.missing += found.missing;
        self.compared.extra += found.extra;
        self.compared.different += found.different;
        self.compared.examples.extend(found.examples);
        let regressions = self.fleet.simulator().count("regressions").await?;
        self.figure("regressions", regressions);
        Ok(())
    }

    /// Live updates, first alone, then beside syncs that follow one another. Answers the largest document
    /// of a task that was seen.
    async fn live(&mut self) -> Result<i64> {
        let homes = (self.source.devices() / 5 / live::DEVICES).max(1);
        let picked = self.source.homes().step_by(homes).take(live::DEVICES);
        let picked = picked.filter_map(|it| it["devices"].as_array()?.last().cloned()).collect();
        let mut live = Live::new(self.fleet.kafka(), picked, LATENCY)?;
        // Connections are made and code is loaded by the first ones.
        live.run(|count| count == WARM_UP).await?;
        drop(live.arrived(self.fleet.simulator()).await?);
        eprintln!("live updates alone");
        live.run(|count| count == SAMPLES).await?;
        let idle = live.arrived(self.fleet.simulator()).await?;
        self.figure("live_samples_idle", idle.len());
        self.figure("live_p99_ms_idle", rounded(p99_ms(&idle), 1));

        eprintln!("live updates during full syncs");
        let (mut during, mut syncs, mut largest) = (Vec::new(), 0, 0);
        for _ in 0..ROUNDS_MAX {
            if during.len() >= SAMPLES {
                break;
            }
            let (samples, count, seen) = self.live_round(&mut live, SAMPLES - during.len()).await?;
            during.extend(samples);
            (syncs, largest) = (syncs + count, seen.max(largest));
        }
        self.figure("live_samples_during", during.len());
        self.figure("live_syncs", syncs);
        self.figure("live_p99_ms_during", rounded(p99_ms(&during), 1));
        live.devices().iter().for_each(|it| self.source.change(it.clone()));
        self.compare().await?;
        Ok(largest)
    }

    /// Syncs back to back until about so many updates fall into them.
    async fn live_round(
        &mut self,
        live: &mut Live,
        wanted: usize,
    ) -> Result<(Vec<Sample>, usize, i64)> {
        let (jobs, limit) = (self.fleet.jobs()?, limit(self.source.devices()));
        let enough = Cell::new(false);
        let databases = self.fleet.databases();
        let syncs = async {
            let mut within = Vec::new();
            let mut seconds = 0.0;
            while seconds * SAMPLES_PER_S < wanted as f64 {
                let ended = forced_sync(&jobs, json!({}), limit).await?;
                seconds += (ended.ended - ended.began).as_secs_f64();
                within.push((ended.began, ended.ended));
            }
            enough.set(true);
            anyhow::Ok(within)
        };
        let looks = largest(&self.mongodb, &databases, &enough);
        let (within, (), largest) = tokio::try_join!(syncs, live.run(|_| enough.get()), looks)?;
        let mut samples = live.arrived(self.fleet.simulator()).await?;
        samples.retain(|it| within.iter().any(|sync| it.is_within(*sync)));
        Ok((samples, within.len(), largest))
    }

    /// Full syncs that are cancelled, also while the backend is down. It holds a part of everything then.
    async fn cancel(&mut self) -> Result<()> {
        eprintln!("full syncs that are cancelled");
        let limit = limit(self.source.devices());
        for (name, backend) in [("cancelled", Backend::Up), ("cancelled_while_down", Backend::Down)]
        {
            let found = cancel::measure(&mut self.fleet, backend, limit).await?;
            self.figure(name, found);
        }
        Ok(())
    }

    /// One more sync, only to look at the documents of its tasks.
    async fn look_on(&mut self) -> Result<i64> {
        eprintln!("a full sync that is looked at");
        let (jobs, limit) = (self.fleet.jobs()?, limit(self.source.devices()));
        let databases = self.fleet.databases();
        let ended = Cell::new(false);
        let sync = async {
            forced_sync(&jobs, json!({"isp_id": "isp-1"}), limit).await?;
            ended.set(true);
            anyhow::Ok(())
        };
        let ((), largest) = tokio::try_join!(sync, largest(&self.mongodb, &databases, &ended))?;
        self.compare().await?;
        Ok(largest)
    }

    fn services(&self) -> Result<Vec<(Service, u32)>> {
        let of = |service| Some((service, self.fleet.pid(service, 0)?));
        let readers = Service::READERS.into_iter().filter(|it| *it != Service::RsEvents);
        readers.map(of).collect::<Option<_>>().context("every service runs")
    }

    /// How much memory each service holds, and held at most since the sync began.
    fn rss(&mut self) -> Result<()> {
        let (mut now, mut peak) = (Map::new(), Map::new());
        for (service, pid) in self.services()? {
            let memory = memory::of(pid)?;
            now.insert(service.name().to_owned(), json!(memory.resident_mb));
            peak.insert(service.name().to_owned(), json!(memory.peak_mb));
        }
        self.figure("rss_mb", now);
        self.figure("rss_peak_mb", peak);
        Ok(())
    }
}

async fn operations(mongodb: &str) -> Result<Vec<(String, i64)>> {
    let store = Store::at(mongodb).await?;
    let operations = store.operations().await;
    store.leave().await;
    operations
}

/// The largest document of a task that is seen until `ended`.
async fn largest(mongodb: &str, databases: &[String], ended: &Cell<bool>) -> Result<i64> {
    let store = Store::at(mongodb).await?;
    let mut largest = 0;
    while !ended.get() {
        largest = store.largest(databases, "async_tasks").await?.max(largest);
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    store.leave().await;
    Ok(largest)
}

/// So many digits behind the point.
pub(super) fn rounded(number: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (number * factor).round() / factor
}

/// Which bars are met; a figure that was not measured has no verdict.
fn bars(figures: &Map<String, Value>) -> Value {
    let value = |name: &str| figures.get(name).and_then(Value::as_f64);
    let mut bars = Map::new();
    let mut judge = |name: &str, met: Option<bool>| {
        if let Some(met) = met {
            bars.insert(name.to_owned(), json!(met));
        }
    };
    for name in ["missing", "extra", "different"] {
        judge(name, value(name).map(|it| it == 0.0));
    }
    // Where the backend itself is slow, a share of what it can do.
    let slow = value("ceiling_per_s").is_some_and(|it| it < 15_000.0);
    match slow {
        true => judge("ratio", value("ratio").map(|it| it >= 0.33)),
        false => judge("per_s", value("per_s").map(|it| it >= 5_000.0)),
    }
    judge("store_ops_per_device", value("store_ops_per_device").map(|it| it <= 0.2));
    let idle = value("live_p99_ms_idle");
    judge("live_p99_ms_idle", idle.map(|it| it <= 50.0));
    let during = value("live_p99_ms_during").zip(idle);
    judge("live_p99_ms_during", during.map(|(during, idle)| during <= 3.0 * idle));
    let enough = value("live_samples_during").map(|it| it >= SAMPLES as f64);
    judge("live_samples_during", enough);
    let peaks = figures.get("rss_peak_mb").and_then(Value::as_object);
    let small =
        |it: &Map<String, Value>| it.values().all(|it| it.as_f64().is_some_and(|it| it <= 150.0));
    judge("rss_mb", peaks.map(small));
    judge("max_task_document_bytes", value("max_task_document_bytes").map(|it| it <= 65_536.0));
    Value::Object(bars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_of_speed_depends_on_the_backend() {
        let of = |ceiling: f64, per_s: f64, ratio: f64| {
            let figures = json!({"ceiling_per_s": ceiling, "per_s": per_s, "ratio": ratio});
            let Value::Object(figures) = figures else { unreachable!() };
            bars(&figures)
        };
        assert_eq!(of(20_000.0, 5_000.0, 0.25), json!({"per_s": true}));
        assert_eq!(of(20_000.0, 4_999.0, 0.25), json!({"per_s": false}));
        assert_eq!(of(14_999.0, 4_950.0, 0.33), json!({"ratio": true}));
        assert_eq!(of(14_999.0, 4_000.0, 0.27), json!({"ratio": false}));
    }

    #[test]
    fn live_updates_may_take_three_times_as_long() {
        let figures = json!({"live_p99_ms_idle": 20.0, "live_p99_ms_during": 60.1,
            "rss_peak_mb": {"rssync": 20, "rsclient": 151}, "missing": 0});
        let Value::Object(figures) = figures else { unreachable!() };
        let wanted = json!({"live_p99_ms_idle": true, "live_p99_ms_during": false,
            "rss_mb": false, "missing": true});
        assert_eq!(bars(&figures), wanted);
    }
}
