//! Random histories end as their revisions and the last requests say, and what rsclient tells of them agrees.

use std::time::Duration;

use fastrand::Rng;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use testkit::{
    fleet::{
        Fleet,
        Service::{RsAdaptor, RsClient, Simulator},
    },
    isp::Isp,
    records::{Event, Sender},
};
use xtask::demo::{compare, decided_of, expected_of, system_documents};

use crate::{
    history::{Changes, changes, events},
    world::{LIMIT, World, options},
};

const HISTORIES: u64 = 200;
const HISTORIES_WITH_KILLS: u64 = 20;
const KILLS: u64 = 8;
const WRITES_BETWEEN_KILLS: u64 = 100;
/// Requests for explanations at a time.
const AT_A_TIME: usize = 16;
const SOON: Duration = Duration::from_secs(120);

/// Histories that happen at the same time.
struct Histories {
    events: Vec<Vec<Event>>,
    changes: Vec<Changes>,
}

impl Histories {
    fn of(seeds: std::ops::RangeInclusive<u64>) -> Self {
        let events = seeds.clone().map(events).collect();
        Self { events, changes: seeds.flat_map(changes).collect() }
    }

    /// Somebody of each ISP.
    fn isps(&self, fleet: &Fleet) -> Vec<Isp> {
        self.changes.iter().map(|it| fleet.isp(&it.isp_id).unwrap()).collect()
    }

    /// Lets all of it happen; each history and each ISP keeps its own order.
    async fn happen(&self, sender: &Sender, isps: &[Isp]) {
        let told = stream::iter(&self.events).for_each_concurrent(None, async |events| {
            for event in events {
                sender.send(event).await.unwrap();
            }
        });
        let set = stream::iter(self.changes.iter().zip(isps));
        let set = set.for_each_concurrent(AT_A_TIME, async |(changes, isp)| {
            for (path, body) in &changes.all {
                isp.put_at_last(path, body, SOON).await.unwrap();
            }
        });
        tokio::join!(told, set);
    }

    fn expected(&self) -> Value {
        let mut expected = expected_of(self.events.iter().flatten());
        expected["system"] = system_documents(self.changes.iter().flat_map(Changes::puts));
        expected
    }

    /// Waits for rest, then compares what the backend holds, and what is told of each device.
    async fn end_as_expected(&self, mut world: World) {
        world.fleet.settled(LIMIT).await.unwrap();
        let wanted = self.expected();
        let differences = compare(&wanted, &world.held().await);
        let examples: Vec<String> = differences.examples().collect();
        assert!(differences.is_empty(), "{}", examples.join("\n"));
        assert_eq!(world.fleet.simulator().count("regressions").await.unwrap(), 0);
        assert_eq!(world.dead_letters().await, []);
        let explained = self.explanations_agree(&wanted, &world.fleet).await;
        assert!(explained > self.events.len(), "only {explained} devices are served");
        world.fleet.stop().await.unwrap();
    }

    /// Answers how many devices were explained.
    async fn explanations_agree(&self, wanted: &Value, fleet: &Fleet) -> usize {
        let decided = decided_of(self.events.iter().flatten());
        let all = ["devices", "routers"].into_iter();
        let all = all.flat_map(|kind| wanted[kind].as_object().unwrap());
        let told = stream::iter(all).map(async |(id, held)| {
            let isp = fleet.isp(held["device"]["isp_id"].as_str().unwrap())?;
            let told = isp.get(&format!("/devices/{id}/effective")).await?;
            explanation_agrees(&told, held, &decided[id]);
            anyhow::Ok(())
        });
        let told = told.buffer_unordered(AT_A_TIME).try_fold(0, async |sum, ()| Ok(sum + 1));
        told.await.unwrap()
    }
}

/// Each leaf is what the backend holds, and was decided by whom the events say.
fn explanation_agrees(told: &Value, held: &Value, decided: &Value) {
    assert_eq!(told["live"], true, "{told}");
    let mut leaves = 0;
    for it in told["provenance"].as_array().unwrap() {
        let leaf = it["leaf"].as_str().unwrap();
        if leaf.starts_with("/services/") {
            leaves += 1;
            assert_eq!(Some(&it["value"]), held.pointer(leaf), "{leaf} of {held}");
            assert_eq!(it["decided_by"], decided[leaf], "{leaf} of {held}");
        }
    }
    assert_eq!(leaves, decided.as_object().unwrap().len(), "{told}");
    let user = told["provenance"].as_array().unwrap().iter().find(|it| it["leaf"] == "/user_id");
    assert_eq!(user.unwrap()["value"], held["device"]["user_id"]);
}

#[tokio::test]
async fn random_histories_end_as_their_revisions_and_the_last_requests_say() {
    let histories = Histories::of(1..=HISTORIES);
    let world = World::start(options()).await;
    let isps = histories.isps(&world.fleet);
    histories.happen(&world.sender, &isps).await;
    histories.end_as_expected(world).await;
}

#[tokio::test]
async fn random_histories_end_so_too_where_processes_are_killed() {
    let histories = Histories::of(1_001..=1_000 + HISTORIES_WITH_KILLS);
    // Slow enough that there is a middle.
    let slow = options().set(Simulator, "HSBE_SIM__LATENCY_MS", "10");
    let mut world = World::start(slow).await;
    let isps = histories.isps(&world.fleet);
    let sender = world.sender.clone();
    let mut rng = Rng::with_seed(HISTORIES_WITH_KILLS);
    let kills = async {
        let mut due = 0;
        for _ in 0..KILLS {
            due += rng.u64(1..=2 * WRITES_BETWEEN_KILLS);
            world.has_written(due).await;
            let service = if rng.bool() { RsClient } else { RsAdaptor };
            let number = rng.usize(..2);
            world.fleet.kill_9(service, number).unwrap();
            world.fleet.restart(service, number).await.unwrap();
        }
    };
    tokio::join!(histories.happen(&sender, &isps), kills);
    histories.end_as_expected(world).await;
}

#[test]
fn an_expectation_has_devices_of_every_kind_of_decision() {
    let histories = Histories::of(1..=HISTORIES);
    let decided = decided_of(histories.events.iter().flatten()).to_string();
    for level in ["device", "user", "preset", "account", "isp", "default"] {
        assert!(decided.contains(&json!(level).to_string()), "nothing is decided by {level}");
    }
    let documents = histories.expected()["system"].as_object().unwrap().len();
    assert!(documents > 500, "only {documents} documents of ISPs");
}
