//! An act of the demo: devices that are found in homes become known, and routers are led to other agent packages.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{fleet::Fleet, isp::Isp, records, within};

use super::progress::Progress;
use crate::rollouts::{MODEL, Rollout, TERMINAL, associate, provide, quiet, with_package};

/// An ISP of its own, so that no other home is touched.
const ISP: &str = "isp-rollout";
const ROUTERS: usize = 200;
const LIMIT: Duration = Duration::from_secs(120);
const COMMANDS: &str = "as-provision-command-topic";
const EVENTS: &str = "as-rs-event-topic";
/// Of the routers that are told the last package, so many can install it.
const SUCCESS: f64 = 0.8;

/// What the act has shown.
pub(super) struct Shown {
    /// Devices that were found in homes, each told as one to be made.
    pub(super) found: u64,
    /// How the rollouts went, in a line each.
    pub(super) stories: Vec<String>,
}

/// Plays the act.
pub(super) async fn act(fleet: &mut Fleet, progress: &Progress) -> Result<Shown> {
    progress.say(&format!("{ROUTERS} routers run an agent; newer ones are released"));
    provide(fleet, ISP, ROUTERS, LIMIT).await?;
    let first = fleet.release(ISP, MODEL, "1.0.0", LIMIT).await?;
    let second = fleet.release(ISP, MODEL, "2.0.0", LIMIT).await?;
    let third = fleet.release(ISP, MODEL, "3.0.0", LIMIT).await?;
    let isp = fleet.isp(ISP)?;
    associate(&isp, &first).await?;
    fleet.settled(LIMIT).await?;

    progress.say("homes come to life: routers connect, new devices are found");
    let town = json!({
        "homes": ROUTERS, "events_per_s": 40, "events": 80, "seed": 1,
        "mix": {"device_event_connected": 1, "device_event_new_device": 1},
        "agents": {"after_ms": 200, "success_of": {&third: SUCCESS}},
    });
    fleet.simulator().begin_town(&town).await?;
    let town = quiet(fleet.simulator(), LIMIT).await?;
    let found = town["good"]["device_event_new_device"].as_u64().unwrap_or_default();
    let connected = town["good"]["device_event_connected"].as_u64().unwrap_or_default();
    ensure!(found > 0 && connected > 0, "nothing happens in the town: {town}");
    told(fleet, COMMANDS, "PostDevice", found).await?;
    told(fleet, EVENTS, "RSDeviceEventConnected", connected).await?;

    progress.say("a rollout in waves");
    let completed = good(fleet, &isp, &first, &second).await?;
    progress.say("a rollout that goes wrong");
    let aborted = bad(fleet, &isp, &second, &third).await?;
    fleet.simulator().end_town().await?;
    Ok(Shown { found, stories: vec![completed, aborted] })
}

/// Waits until so many messages of a type were said.
async fn told(fleet: &Fleet, topic: &str, event_type: &str, count: u64) -> Result<()> {
    let look = async || {
        let all = records::read(fleet.kafka(), topic).await.ok()?;
        let is =
            |it: &&records::Record| it.headers.get("ce_type").is_some_and(|it| it == event_type);
        (all.iter().filter(is).count() as u64 == count).then_some(())
    };
    let found = within(LIMIT, look).await;
    found.with_context(|| format!("there are not {count} {event_type}"))
}

/// A rollout to its end; answers its story.
async fn good(fleet: &Fleet, isp: &Isp, from: &str, to: &str) -> Result<String> {
    let plan = json!({"waves_per_mille": [100, 500, 1000], "soak_seconds": 1});
    let rollout = Rollout::start(isp, from, to, &plan).await?;
    let ended = rollout.until(TERMINAL, LIMIT).await?;
    ensure!(ended["state"] == "completed", "a rollout did not complete: {ended}");
    all_run(fleet, to).await?;
    let waves: Vec<String> = waves(&ended).collect();
    Ok(format!("rollout: completed in waves of {} routers", waves.join(", ")))
}

/// A rollout that pauses by itself and is aborted; answers its story.
async fn bad(fleet: &Fleet, isp: &Isp, from: &str, to: &str) -> Result<String> {
    let plan = json!({"waves_per_mille": [200, 1000], "soak_seconds": 1, "error_per_mille": 50});
    let rollout = Rollout::start(isp, from, to, &plan).await?;
    let paused = rollout.until(&["paused", "completed"], LIMIT).await?;
    ensure!(paused["state"] == "paused", "a rollout did not pause: {paused}");
    let why = paused["reason"].as_str().unwrap_or_default();
    let moved = paused["of_wave"]["routers"].clone();
    rollout.abort().await?;
    let ended = rollout.until(TERMINAL, LIMIT).await?;
    ensure!(ended["state"] == "aborted", "a rollout was not aborted: {ended}");
    all_run(fleet, from).await?;
    Ok(format!("rollout: paused by itself ({why}), aborted: its {moved} routers went back"))
}

/// Waits until all routers are to run a package, and do.
async fn all_run(fleet: &Fleet, package: &str) -> Result<()> {
    let look = async || {
        let (told, run) = with_package(fleet.simulator(), ISP, package).await.ok()?;
        (told == ROUTERS && run == ROUTERS).then_some(())
    };
    let found = within(LIMIT, look).await;
    found.with_context(|| format!("not all routers run package {package}"))
}

fn waves(ended: &Value) -> impl Iterator<Item = String> {
    let done = ended["done"].as_array().into_iter().flatten();
    done.map(|it| it["counts"]["routers"].to_string())
}
