//! A rollout while rsclient, rsevents and rsadaptor are killed: every router ends on the package that its end says, and
//! no wave exceeds its share.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use testkit::{
    fleet::{FleetOptions, Service},
    records,
    simulator::Simulator,
};
use tokio::task::JoinHandle;
use uuid::{Uuid, uuid};

use super::{Chaos, Options, blows::Target};
use crate::rollouts::{MODEL, Rollout, TERMINAL, associate, provide, quiet, with_package};

const ISP: &str = "isp-chaos";
const LIMIT: Duration = Duration::from_secs(600);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// Histories that are asked for at a time.
const AT_ONCE: usize = 16;
/// Each of the services is killed so often.
const KILLS_OF_EACH: usize = 3;
const GAP_MS_MAX: u64 = 1_500;
const PAUSE_MS_MAX: u64 = 1_000;
/// Of the routers that are told a package that fails, so many can install it.
const SUCCESS: f64 = 0.8;
/// The namespace of the places of routers.
const PLACES: Uuid = uuid!("7d0c52f1-6b0e-5a6f-9e2b-41c853d09a17");
/// States in which no router is led further.
const TURNED: &[&str] = &["aborting", "aborted", "failed"];

/// What a fleet needs for it.
pub(super) fn fleet(options: FleetOptions) -> FleetOptions {
    let look = "RSCLIENT__ROLLOUTS__LOOK_EVERY_MS";
    options.with_sync(1).with_town().set(Service::RsClient, look, "200")
}

/// A kill, after a while, and a new start after a pause.
#[derive(Debug, Clone, PartialEq)]
struct Blow {
    gap: Duration,
    target: Service,
    instance: usize,
    pause: Duration,
}

/// Each of the services that carry a rollout, so often, in an order that the seed chooses.
fn plan(seed: u64) -> Vec<Blow> {
    let mut rng = Rng::with_seed(seed);
    let mut targets =
        [Service::RsClient, Service::RsEvents, Service::RsAdaptor].repeat(KILLS_OF_EACH);
    rng.shuffle(&mut targets);
    let blow = |target| {
        let instance = if target == Service::RsEvents { 0 } else { rng.usize(..2) };
        let gap = Duration::from_millis(rng.u64(..GAP_MS_MAX));
        Blow { gap, target, instance, pause: Duration::from_millis(rng.u64(..PAUSE_MS_MAX)) }
    };
    targets.into_iter().map(blow).collect()
}

/// Leads routers from a package to another, and looks. Where that fails, the rollout pauses and is aborted.
pub(super) async fn run(chaos: &mut Chaos, options: &Options) -> Result<Map<String, Value>> {
    let fails = options.seed.is_multiple_of(2);
    eprintln!("provisioning");
    provide(&mut chaos.fleet, ISP, options.routers, LIMIT).await?;
    let from = chaos.fleet.release(ISP, MODEL, "1.0.0", LIMIT).await?;
    let to = chaos.fleet.release(ISP, MODEL, "2.0.0", LIMIT).await?;
    let isp = chaos.fleet.isp(ISP)?;
    associate(&isp, &from).await?;
    chaos.fleet.settled(LIMIT).await?;
    let success = if fails { SUCCESS } else { 1.0 };
    let town = json!({
        "homes": 1, "events_per_s": 1, "events": 0, "seed": options.seed,
        "agents": {"after_ms": 300, "success_of": {&to: success}},
    });
    chaos.fleet.simulator().begin_town(&town).await?;

    eprintln!("the rollout");
    let began = Instant::now();
    let plan_of_rollout = json!({
        "waves_per_mille": [100, 300, 600, 1000], "soak_seconds": 12, "error_per_mille": 50,
    });
    let rollout = Rollout::start(&isp, &from, &to, &plan_of_rollout).await?;
    let shares = Shares::watch(rollout.clone());
    let during = blows(chaos, options, &rollout, fails).await?;
    let ended = rollout.until(TERMINAL, LIMIT).await?;
    let seconds = began.elapsed().as_secs_f64();
    chaos.revived += chaos.fleet.settled(LIMIT).await?.len();
    quiet(chaos.fleet.simulator(), LIMIT).await?;
    chaos.fleet.settled(LIMIT).await?;

    let simulator = chaos.fleet.simulator();
    let last = if ended["state"] == "completed" { &to } else { &from };
    let (told, run) = with_package(simulator, ISP, last).await?;
    let (told, run) = (options.routers.abs_diff(told), options.routers.abs_diff(run));
    let looks = shares.ended();
    let exceeded = exceeded(simulator, options.routers, &rollout.id, &to, &looks).await?;
    let regressions = simulator.count("regressions").await?;
    let dead_letters = dead_letters(chaos.fleet.kafka()).await?;
    let ok = told == 0 && run == 0 && exceeded == 0 && regressions == 0 && dead_letters == 0;
    let found = json!({
        "seed": options.seed,
        "routers": options.routers,
        "fails": fails,
        "seconds": (seconds * 10.0).round() / 10.0,
        "kills": chaos.done.len(),
        "kills_by_service": chaos.kills(),
        "kills_during": during,
        "revived": chaos.revived,
        "state": ended["state"],
        "reason": ended["reason"],
        "waves_done": ended["done"].as_array().map(Vec::len),
        "told_otherwise": told,
        "run_otherwise": run,
        "looks": looks.len(),
        "share_exceeded": exceeded,
        "regressions": regressions,
        "dead_letters": dead_letters,
        "ok": ok,
    });
    let Value::Object(found) = found else { unreachable!("made as an object above") };
    Ok(found)
}

/// Kills; in the middle, one that has to is aborted. Answers how many kills fell into the rollout.
async fn blows(
    chaos: &mut Chaos,
    options: &Options,
    rollout: &Rollout,
    fails: bool,
) -> Result<usize> {
    let blows = if options.calm { Vec::new() } else { plan(options.seed) };
    let (half, mut during) = (blows.len() / 2, 0);
    for (number, blow) in blows.into_iter().enumerate() {
        if fails && number == half {
            abort(rollout).await?;
        }
        tokio::time::sleep(blow.gap).await;
        let state = rollout.shown().await.unwrap_or_default()["state"].take();
        let is_over = state.as_str().is_some_and(|it| TERMINAL.contains(&it));
        during += usize::from(!is_over);
        chaos.strike(Target::Service(blow.target), blow.instance, blow.pause).await?;
        chaos.revived += chaos.fleet.look_after().await?.len();
    }
    if fails && half == 0 {
        abort(rollout).await?;
    }
    Ok(during)
}

/// Aborts a rollout that has paused by itself.
async fn abort(rollout: &Rollout) -> Result<()> {
    let states: Vec<&str> = TERMINAL.iter().chain(&["paused"]).copied().collect();
    let paused = rollout.until(&states, LIMIT).await?;
    if paused["state"] != "paused" {
        return Ok(());
    }
    eprintln!("  paused: {}", paused["reason"]);
    rollout.abort().await
}

/// The largest share that routers could be led by, at one look.
#[derive(Debug, Clone, Copy)]
struct Share {
    /// Before the look.
    at: Timestamp,
    per_mille: u64,
}

/// Looks at the share of a rollout in the background, until it is over or turned.
struct Shares(JoinHandle<()>, std::sync::Arc<std::sync::Mutex<Vec<Share>>>);

impl Shares {
    fn watch(rollout: Rollout) -> Self {
        let looks = std::sync::Arc::<std::sync::Mutex<Vec<Share>>>::default();
        let found = std::sync::Arc::clone(&looks);
        let task = tokio::spawn(async move {
            loop {
                let at = Timestamp::now();
                // Whoever does not answer is being killed.
                let shown = rollout.shown().await.unwrap_or_default();
                if shown["state"].as_str().is_some_and(|it| TURNED.contains(&it)) {
                    return;
                }
                let share = per_mille(&shown).map(|per_mille| Share { at, per_mille });
                found.lock().expect("nobody panics with it").extend(share);
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        });
        Self(task, looks)
    }

    fn ended(self) -> Vec<Share> {
        self.0.abort();
        self.1.lock().expect("nobody panics with it").clone()
    }
}

/// The share of the wave that a rollout is in.
fn per_mille(shown: &Value) -> Option<u64> {
    let wave = usize::try_from(shown["wave"].as_u64()?).ok()?;
    shown["plan"]["waves_per_mille"][wave.checked_sub(1)?].as_u64()
}

/// Routers that were told the package before their place was in the share.
async fn exceeded(
    simulator: &Simulator,
    routers: usize,
    rollout: &str,
    package: &str,
    looks: &[Share],
) -> Result<usize> {
    let ids = (0..routers).map(|it| format!("{ISP}-r{it:04}"));
    stream::iter(ids)
        .map(async |id| {
            let history = simulator.history("routers", &id).await?;
            let arrivals = history.as_array().into_iter().flatten();
            let mut told = arrivals.filter(|it| it["body"]["target_agent_package"] == package);
            let Some(first) = told.next() else { return Ok(false) };
            let first = first["time"].as_str().context("an arrival has a time")?;
            let first: Timestamp = first.parse().context("a time")?;
            Ok(came_too_early(place(rollout, &id), first, looks))
        })
        .buffered(AT_ONCE)
        .try_fold(0, async |sum, it| Ok(sum + usize::from(it)))
        .await
}

/// Whether a later look found a share that does not hold the place. A share only grows.
fn came_too_early(place: u64, told: Timestamp, looks: &[Share]) -> bool {
    looks.iter().any(|it| it.per_mille <= place && it.at > told)
}

/// The place of a router in a rollout, below a thousand.
fn place(rollout: &str, router: &str) -> u64 {
    Uuid::new_v5(&PLACES, format!("{rollout}/{router}").as_bytes()).as_u64_pair().0 % 1_000
}

async fn dead_letters(kafka: &str) -> Result<usize> {
    let mut count = 0;
    for (topic, _) in events::topics::dead_letters() {
        count += records::read(kafka, &topic).await?.len();
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_that_carries_a_rollout_is_killed_three_times() {
        for seed in 0..100 {
            let plan = plan(seed);
            for service in [Service::RsClient, Service::RsEvents, Service::RsAdaptor] {
                let of = plan.iter().filter(|it| it.target == service);
                assert_eq!(of.count(), KILLS_OF_EACH, "seed {seed}");
            }
            assert_eq!(plan, super::plan(seed));
        }
    }

    #[test]
    fn who_is_told_before_the_share_has_grown_is_told_too_early() {
        let second = |it: i64| Timestamp::from_second(it).expect("a time");
        let looks = [(1, 100), (2, 100), (3, 500)]
            .map(|(at, per_mille)| Share { at: second(at), per_mille });
        assert!(!came_too_early(99, second(0), &looks));
        assert!(came_too_early(100, second(1), &looks));
        assert!(!came_too_early(100, second(2), &looks));
        assert!(came_too_early(500, second(2), &looks));
    }

    #[test]
    fn a_place_is_where_it_was_written_down() {
        assert_eq!(place("rollout-1", "r-1"), 727);
    }
}
