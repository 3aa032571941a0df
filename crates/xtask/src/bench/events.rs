//! Events from the homes in a release build: their speed from `hs-event-topic` to everything that they cause, beside a
//! loop that only copies them, and what a kill in the middle loses or doubles.

mod homes;
mod ledger;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use testkit::{
    bulk::{self, Onlooker},
    fleet::{Fleet, FleetOptions, Service},
    records::{Event, Sender},
    servers::{Broker, RunFolder, Servers},
    topics::{self, Wanted},
};

use self::{
    homes::Homes,
    ledger::{Ledger, TOLD_TOPICS},
};
use super::memory;
use crate::tools::embedded_command;

const EVENTS: &str = "hs-event-topic";
/// Of these topics it is known beforehand how many records they get: nothing of what they carry is folded.
const COUNTED: &[&str] = &["as-rs-event-topic", "as-notification-topic", "as-wsp-request-topic"];
/// The speed is measured between these shares of what is told: begin and end have troubles of their own.
const FROM: f64 = 0.05;
const TO: f64 = 0.95;
/// The process is killed when so much is told.
const KILLED_AT: f64 = 0.5;
/// How often the records are copied: one time is half as fast as another.
const COPIES: usize = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(600);

/// Measures; the figures are in the order of their names.
pub(super) async fn measure(count: usize, folder: &RunFolder) -> Result<Map<String, Value>> {
    let say = |line: &str| eprintln!("{line}");
    say("starting MongoDB and Apache Kafka");
    let broker = Broker::ApacheAsOperated;
    let servers = Servers::start(&broker, &embedded_command()?, folder, &say).await?;
    let mut wanted = FleetOptions::new(&servers.kafka, &servers.mongodb).with_events();
    (wanted.rsclients, wanted.rsadaptors, wanted.used_broker) = (0, 0, false);
    let mut fleet = Fleet::start(wanted, folder.path()).await?;
    let homes = Homes::new();
    provision(&mut fleet, &homes).await?;
    let mut bench = Bench {
        kafka: servers.kafka.clone(),
        told: Onlooker::of(&servers.kafka, COUNTED).await?,
        fleet,
        homes,
        events: 0,
        figures: Map::new(),
    };
    bench.figure("devices", bench.homes.devices());
    // First, so that what is measured is measured at a broker that has been at it for a while.
    bench.kill(count / 2).await?;
    bench.speed(count).await?;
    bench.raw().await?;
    bench.account().await?;
    let mut figures = bench.figures;
    bench.fleet.stop().await?;
    drop(servers);
    let bars = bars(&figures);
    figures.insert("bars".to_owned(), bars);
    Ok(figures)
}

async fn provision(fleet: &mut Fleet, homes: &Homes) -> Result<()> {
    eprintln!("provisioning {} devices", homes.devices());
    let sender = Sender::new(fleet.kafka())?;
    for home in homes.provisions() {
        sender.send(&Event::provision(home)).await?;
    }
    fleet.settled(LIMIT).await.map(drop)
}

struct Bench {
    kafka: String,
    told: Onlooker,
    fleet: Fleet,
    homes: Homes,
    /// How many were written so far.
    events: usize,
    figures: Map<String, Value>,
}

impl Bench {
    fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// Writes events while nobody takes them. Answers how many records of counted topics they cause.
    async fn write(&mut self, count: usize) -> Result<u64> {
        self.fleet.kill_9(Service::RsEvents, 0)?;
        let numbers = self.events..self.events + count;
        let told: u64 = numbers.clone().map(|it| self.homes.event(it).counted()).sum();
        let homes = self.homes.clone();
        let all = numbers.map(move |it| homes.event(it).record(&homes));
        bulk::write(&self.kafka, EVENTS, all).await?;
        self.events += count;
        Ok(told)
    }

    /// The time from one share of what is told to another.
    async fn until_told(&mut self, before: u64, share: f64, of: u64) -> Result<Instant> {
        let enough = before + (of as f64 * share) as u64;
        let deadline = Instant::now() + LIMIT;
        while self.told.written().await? < enough {
            ensure!(Instant::now() < deadline, "too little is told");
            self.fleet.look_after().await?;
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(Instant::now())
    }

    /// Events, and a kill in the middle of them.
    async fn kill(&mut self, count: usize) -> Result<()> {
        eprintln!("{count} events with a kill -9 in the middle");
        let told = self.write(count).await?;
        self.fleet.restart(Service::RsEvents, 0).await?;
        self.until_told(0, KILLED_AT, told).await?;
        self.fleet.kill_9(Service::RsEvents, 0)?;
        let lag = self.fleet.lag(Service::RsEvents).await?;
        ensure!(lag > 0, "the kill came too late");
        self.figure("behind_at_the_kill", lag);
        self.fleet.restart(Service::RsEvents, 0).await?;
        self.fleet.settled(LIMIT).await?;
        Ok(())
    }

    async fn speed(&mut self, count: usize) -> Result<()> {
        eprintln!("{count} events");
        let before = self.told.written().await?;
        let told = self.write(count).await?;
        self.fleet.restart(Service::RsEvents, 0).await?;
        let from = self.until_told(before, FROM, told).await?;
        let to = self.until_told(before, TO, told).await?;
        let per_s = count as f64 * (TO - FROM) / (to - from).as_secs_f64();
        eprintln!("  {per_s:.0}/s");
        self.fleet.settled(LIMIT).await?;
        let pid = self.fleet.pid(Service::RsEvents, 0).context("it runs")?;
        let memory = memory::of(pid)?;
        self.figure("events", count);
        self.figure("events_per_s", per_s.round());
        self.figure("rss_mb", memory.peak_mb);
        Ok(())
    }

    /// The same records, copied one by one by a loop that does nothing else: the median of a few times.
    async fn raw(&mut self) -> Result<()> {
        eprintln!("copying the same records");
        let mut speeds = Vec::new();
        for _ in 0..COPIES {
            let to = testkit::unique("bench-copy");
            let wanted = Wanted {
                name: to.clone(),
                partitions: 12,
                retention_ms: 24 * 60 * 60 * 1000,
                cleanup_policy: "delete",
                max_message_bytes: 2 << 20,
            };
            topics::make(&self.kafka, vec![wanted]).await?;
            let (count, took) = bulk::copy(&self.kafka, EVENTS, &to).await?;
            speeds.push(count as f64 / took.as_secs_f64());
            eprintln!("  {:.0}/s", speeds[speeds.len() - 1]);
        }
        speeds.sort_by(f64::total_cmp);
        let raw = speeds[COPIES / 2];
        let per_s = self.figures["events_per_s"].as_f64().unwrap_or(f64::NAN);
        self.figure("raw_per_s", raw.round());
        self.figure("ratio", (per_s / raw * 1000.0).round() / 1000.0);
        Ok(())
    }

    /// What was told, held against what was to be told.
    async fn account(&mut self) -> Result<()> {
        eprintln!("accounting for everything");
        let mut ledger = Ledger::new(self.events);
        for topic in TOLD_TOPICS {
            ledger = bulk::each(&self.kafka, topic, ledger, move |ledger, said| {
                ledger.note(said).with_context(|| format!("a record of {topic}"))
            })
            .await?;
        }
        let found = ledger.found(&self.homes);
        found.examples.iter().for_each(|it| eprintln!("{it}"));
        self.figure("folded_ratio", found.folded_ratio);
        self.figure("lost", found.lost);
        self.figure("doubled", found.doubled);
        self.figure("repeated", found.repeated);
        Ok(())
    }
}

/// A figure, and whether it is as it should be.
type Bar = (&'static str, fn(f64) -> bool);

/// Which bars are met.
fn bars(figures: &Map<String, Value>) -> Value {
    let value = |name: &str| figures.get(name).and_then(Value::as_f64);
    let bars: [Bar; 5] = [
        ("events_per_s", |it| it >= 50_000.0),
        ("ratio", |it| it >= 0.3),
        ("rss_mb", |it| it <= 150.0),
        ("lost", |it| it == 0.0),
        ("doubled", |it| it == 0.0),
    ];
    let met = bars.into_iter().filter_map(|(name, is_met)| Some((name, is_met(value(name)?))));
    json!(met.map(|(name, it)| (name.to_owned(), it)).collect::<BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_or_missed_or_not_judged() {
        let figures = json!({"events_per_s": 50_000, "ratio": 0.29, "lost": 0, "doubled": 1});
        let Value::Object(figures) = figures else { unreachable!() };
        let wanted = json!({"events_per_s": true, "ratio": false, "lost": true, "doubled": false});
        assert_eq!(bars(&figures), wanted);
    }
}
