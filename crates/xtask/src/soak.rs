//! `cargo xtask soak`: a day of a small town, sent through the whole fleet, with a full sync and an agent rollout in its
//! middle.

mod accounts;
mod findings;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use testkit::{
    fleet::{Fleet, FleetOptions, Service},
    records::{Event, Sender},
    servers::{Broker, RunFolder, Servers},
};
use tokio::time::{Instant, sleep, timeout};

use self::accounts::Accounts;
use crate::{
    bench::memory,
    demo::each_home,
    full_sync::{forced_sync, limit},
    rollouts::{MODEL, Rollout, TERMINAL, associate, quiet},
    tools::{embedded_command, in_release, print_figures},
};

/// Whose routers get a newer package.
const ISP: &str = "isp-1";
const MINUTE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// Acknowledgements that may be outstanding while homes are fed.
const IN_FLIGHT: usize = 256;
/// Homes have so many devices at most, which is what the fleet gets time for.
const DEVICES_PER_HOME: usize = 10;
/// Which share of the events is bad, in each of the ways in which an event can be.
const BAD: f64 = 0.000_5;
/// Installations that go well; a rollout is to bear the others.
const SUCCESS: f64 = 0.99;
/// What the fleet may take for the last events after the day.
const EVENING: Duration = Duration::from_secs(10 * 60);

/// Send a day of a small town through the whole fleet, in a release build, against Apache Kafka.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How long a day takes.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub minutes: u32,
    /// How many homes there are.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub homes: usize,
    /// How many events a home has in a day.
    #[arg(long, value_name = "N", default_value_t = 240)]
    pub events_per_home: u64,
    /// What the events follow from.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Print what was found as one JSON object, as the last line.
    #[arg(long)]
    pub json: bool,
}

/// Runs and prints; success only where every bar is met.
///
/// # Errors
/// When a piece is missing or a service ends.
pub async fn run(options: &Options) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        return in_release().await;
    }
    let mut folder = RunFolder::new()?;
    let outcome = soak(options, &folder).await;
    if !outcome.as_ref().is_ok_and(all_met) {
        folder.failed();
    }
    let found = outcome?;
    let met = all_met(&found);
    print_figures(found, options.json);
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn soak(options: &Options, folder: &RunFolder) -> Result<Map<String, Value>> {
    let say = |line: &str| eprintln!("{line}");
    say("starting MongoDB and Apache Kafka");
    let command = embedded_command()?;
    let servers = Servers::start(&Broker::Apache, &command, folder, &say).await?;
    let mut wanted = FleetOptions::new(&servers.kafka, &servers.mongodb).with_sync(1).with_town();
    (wanted.rsclients, wanted.rsadaptors, wanted.used_broker) = (1, 1, false);
    wanted = wanted.set(Service::Simulator, "HSBE_SIM__HISTORY_ENTRIES_MAX", "4");
    let mut soak = Soak {
        fleet: Fleet::start(wanted, folder.path()).await?,
        sender: Sender::new(&servers.kafka)?,
        options: options.clone(),
        packages: Vec::new(),
        found: Map::new(),
    };
    say("provisioning");
    soak.provision().await?;
    let accounts = Accounts::start(&servers.kafka, soak.sender.clone()).await?;
    soak.day(&accounts).await?;
    soak.evening(&accounts).await?;
    soak.fleet.stop().await?;
    let mut found = soak.found;
    let bars = bars(&found);
    found.insert("bars".to_owned(), bars);
    Ok(found)
}

/// A fleet and its town.
struct Soak {
    fleet: Fleet,
    sender: Sender,
    options: Options,
    /// Two agent packages, the second newer than the first.
    packages: Vec<String>,
    found: Map<String, Value>,
}

impl Soak {
    fn note(&mut self, name: &str, value: impl Into<Value>) {
        self.found.insert(name.to_owned(), value.into());
    }

    fn limit(&self) -> Duration {
        limit(self.options.homes * DEVICES_PER_HOME)
    }

    /// Everything is in the backend, and the packages of the rollout with it.
    async fn provision(&mut self) -> Result<()> {
        let sender = self.sender.clone();
        stream::iter(each_home(usize::MAX).take(self.options.homes).map(Event::provision))
            .map(|event| {
                let sender = &sender;
                async move { sender.send(&event).await }
            })
            .buffered(IN_FLIGHT)
            .try_for_each(async |_| Ok(()))
            .await?;
        self.fleet.settled(self.limit()).await?;
        for version in ["4.1.0", "4.2.0"] {
            let package = self.fleet.release(ISP, MODEL, version, EVENING).await?;
            self.packages.push(package);
        }
        associate(&self.fleet.isp(ISP)?, &self.packages[0]).await?;
        self.fleet.settled(self.limit()).await.map(drop)
    }

    fn plan(&self, day: Duration) -> Value {
        let events = self.options.events_per_home * self.options.homes as u64;
        json!({
            "homes": self.options.homes,
            "events": events,
            "events_per_s": events as f64 / day.as_secs_f64(),
            "day_seconds": day.as_secs_f64(),
            "seed": self.options.seed,
            "bad": {"wrong_isp": BAD, "future": BAD, "too_old": BAD, "unknown_device": BAD},
            "agents": {"after_ms": 3_000, "success": SUCCESS},
        })
    }

    /// The day: its memory after two minutes, a rollout and a full sync in its middle.
    async fn day(&mut self, accounts: &Accounts) -> Result<()> {
        let day = MINUTE * self.options.minutes;
        let plan = self.plan(day);
        eprintln!("a day of {} minutes, {} events", self.options.minutes, plan["events"]);
        let (began, limit) = (Instant::now(), self.limit());
        self.fleet.simulator().begin_town(&plan).await?;
        self.live_until(began + (2 * MINUTE).min(day / 4), accounts).await?;
        let early = self.memory()?;
        self.note("rss_mb_early", early);

        self.live_until(began + day * 2 / 5, accounts).await?;
        eprintln!("a rollout");
        let isp = self.fleet.isp(ISP)?;
        let (from, to) = (&self.packages[0], &self.packages[1]);
        let rollout = Rollout::start(&isp, from, to, &rollout_plan()).await?;
        self.live_until(began + day / 2, accounts).await?;
        eprintln!("a full sync");
        let jobs = self.fleet.jobs()?;
        let ended = forced_sync(&jobs, json!({}), limit).await?;
        self.note("sync_state", ended.job["state"].clone());
        self.note("sync_seconds", ended.took.as_secs());
        let rollout = rollout.until(TERMINAL, limit + day / 2).await?;
        self.note("rollout_state", rollout["state"].clone());
        self.live_until(began + day, accounts).await
    }

    /// Looks that everything runs, until then.
    async fn live_until(&mut self, until: Instant, accounts: &Accounts) -> Result<()> {
        while Instant::now() < until {
            self.fleet.look_after().await?;
            accounts.look()?;
            sleep(BETWEEN_LOOKS.min(until.saturating_duration_since(Instant::now()))).await;
        }
        Ok(())
    }

    /// What follows from the last events is done; then everything is counted.
    async fn evening(&mut self, accounts: &Accounts) -> Result<()> {
        eprintln!("the evening");
        let town = quiet(self.fleet.simulator(), EVENING).await?;
        let new = town["good"]["device_event_new_device"].as_u64().unwrap_or_default();
        // What is lost is told as such below.
        let made = timeout(EVENING, accounts.made(new)).await;
        self.note("new_devices", json!({"sent": new, "made": accounts.count()}));
        if let Ok(made) = made {
            made?;
        }
        let open = match self.fleet.settled_without_jobs(self.limit()).await {
            Ok(_) => Value::Null,
            Err(error) => json!(format!("{error:#}")),
        };
        self.note("open", open);
        let late = self.memory()?;
        self.note("rss_ratio", ratios(&self.found["rss_mb_early"], &late));
        self.note("rss_mb_late", late);

        let routers = self.fleet.simulator().town_routers().await?;
        self.note("routers_elsewhere", elsewhere(&routers));
        let kafka = self.fleet.kafka().to_owned();
        let letters = findings::dead_letters(&kafka, &town).await?;
        letters.examples.iter().for_each(|it| eprintln!("{it}"));
        self.note("dead_letters", json!(letters.by_topic));
        self.note("dead_letters_by_cause", json!(letters.by_cause));
        self.note("dead_letters_without_cause", letters.without_cause);
        self.note("effects", findings::effects(&kafka, &town).await?);
        let active = self.fleet.simulator().town_active().await?;
        self.note("states_wrong", findings::states_wrong(&kafka, &active).await?);
        self.note("town", town);
        Ok(())
    }

    /// What each service holds now, in MB.
    fn memory(&self) -> Result<Value> {
        let mut now = Map::new();
        for service in Service::READERS {
            let pid = self.fleet.pid(service, 0).context("every service runs")?;
            now.insert(service.name().to_owned(), json!(memory::of(pid)?.resident_mb));
        }
        Ok(Value::Object(now))
    }
}

fn rollout_plan() -> Value {
    json!({"waves_per_mille": [50, 250, 1000], "error_per_mille": 100, "soak_seconds": 5})
}

/// Routers that are to run what they do not run: those whose installation failed.
fn elsewhere(routers: &Value) -> usize {
    let all = routers.as_object().into_iter().flatten();
    all.filter(|(_, it)| it["runs"] != it["target"]).count()
}

/// How much more each service holds late than early.
fn ratios(early: &Value, late: &Value) -> Value {
    let of = |(name, late): (&String, &Value)| {
        let ratio = late.as_f64()? / early[name].as_f64()?;
        Some((name.clone(), json!((ratio * 1_000.0).round() / 1_000.0)))
    };
    late.as_object().into_iter().flatten().filter_map(of).collect::<Map<_, _>>().into()
}

/// Which bars are met.
fn bars(found: &Map<String, Value>) -> Value {
    let is = |name: &str, wanted: Value| found.get(name) == Some(&wanted);
    let all = |name: &str, met: &dyn Fn(&Value) -> bool| {
        found.get(name).and_then(Value::as_object).is_some_and(|it| it.values().all(met))
    };
    json!({
        "dead_letters_without_cause": is("dead_letters_without_cause", json!(0)),
        "rss_ratio": all("rss_ratio", &|it| it.as_f64().is_some_and(|it| it <= 1.1)),
        "queues_empty": is("open", Value::Null),
        "effects": all("effects", &|it| it["wanted"] == it["found"]),
        "states_wrong": is("states_wrong", json!(0)),
        "sync": is("sync_state", json!("completed")),
        "rollout": is("rollout_state", json!("completed")),
    })
}

fn all_met(found: &Map<String, Value>) -> bool {
    let bars = found.get("bars").and_then(Value::as_object);
    bars.is_some_and(|it| it.values().all(|it| *it == true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_that_run_what_they_are_to_are_where_they_belong() {
        let routers = json!({
            "r-1": {"runs": "p-1", "target": "p-2"},
            "r-2": {"runs": "p-2", "target": "p-2"},
            "r-3": {"runs": null, "target": null},
        });
        assert_eq!(elsewhere(&routers), 1);
    }

    #[test]
    fn a_bar_that_is_missed_or_not_measured_fails_the_soak() {
        let found = json!({
            "dead_letters_without_cause": 0,
            "rss_ratio": ratios(&json!({"rssync": 20.0, "rsevents": 30.0}), &json!({"rssync": 22.0, "rsevents": 29.0})),
            "open": null,
            "effects": {"WSPRequest": {"wanted": 7, "found": 7}},
            "states_wrong": 0,
            "sync_state": "completed",
            "rollout_state": "completed",
        });
        let Value::Object(found) = found else { unreachable!("made as an object above") };
        let with = |name: &str, value: Value| {
            let mut found = found.clone();
            found.insert(name.to_owned(), value);
            let bars = bars(&found);
            found.insert("bars".to_owned(), bars);
            all_met(&found)
        };
        assert!(with("homes", json!(1)));
        assert!(!with("rss_ratio", json!({"rssync": 1.101})));
        assert!(!with("open", json!("rsevents is 3 records behind on hs-event-topic")));
        assert!(!with("effects", json!({"WSPRequest": {"wanted": 7, "found": 6}})));
        assert!(!with("rollout_state", json!("paused")));
        assert!(!all_met(&found));
    }
}
