//! A full sync gives the backend back what it has lost, ends when told to, and repairs what a backup undid.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::{
    fleet::Service::{RsAdaptor, RsClient, Simulator},
    jobs::is_terminal,
    records::Event,
    store::Store,
    unique,
};
use xtask::demo::homes;

use crate::world::{LIMIT, World, options};

const DEVICES: usize = 300;
const MANY: usize = 2_000;
const WINDOW: usize = 200;
/// Requests of the job that began before the cancel may still end.
const TAIL: SignedDuration = SignedDuration::from_secs(2);
const CHANGES: usize = 100;

impl World {
    /// A fleet that holds these homes, as does its backend.
    async fn provisioned(homes: &[Value]) -> Self {
        // So slow that a job over many devices has a middle.
        let slow = options().with_sync(2).set(Simulator, "HSBE_SIM__LATENCY_MS", "50").set(
            RsAdaptor,
            "RSADAPTOR__DESTINATION__CONCURRENCY_MAX",
            "8",
        );
        let mut world = Self::start(slow).await;
        world.provision(homes).await;
        world.fleet.settled(LIMIT).await.unwrap();
        world
    }

    async fn start_sync(&self, request: Value) -> String {
        let job = self.fleet.jobs().unwrap().start(&request).await.unwrap();
        job["job_id"].as_str().unwrap().to_owned()
    }

    /// Cancels a job and waits for its end; answers when the cancel was taken, and the counts.
    async fn cancelled(&mut self, job_id: &str) -> (Timestamp, Value) {
        let jobs = self.fleet.jobs().unwrap();
        jobs.tell(job_id, "cancel").await.unwrap();
        let at = Timestamp::now();
        let job = jobs.ends(job_id, LIMIT).await.unwrap();
        assert_eq!(job["state"], "cancelled", "{job}");
        (at, job["counts"].clone())
    }

    /// How many writes of devices arrived after `since`.
    async fn arrivals_after(&self, since: Timestamp) -> usize {
        let held = self.held().await;
        let mut count = 0;
        for kind in ["devices", "routers"] {
            for id in held[kind].as_object().unwrap().keys() {
                let history = self.fleet.simulator().history(kind, id).await.unwrap();
                let times = history.as_array().unwrap().iter();
                let times = times.map(|it| it["time"].as_str().unwrap().parse::<Timestamp>());
                count += times.filter(|it| *it.as_ref().unwrap() > since).count();
            }
        }
        count
    }
}

fn count(counts: &Value, names: &[&str]) -> usize {
    let of = |name: &str| counts[name].as_u64().unwrap_or_else(|| panic!("{name}: {counts}"));
    usize::try_from(names.iter().map(|it| of(it)).sum::<u64>()).unwrap()
}

/// Everything in the job's scope is accounted for, and the backend holds what the job says to have sent.
async fn assert_exact(world: &World, counts: &Value) {
    let done = ["applied", "unchanged", "superseded", "gone", "rejected"];
    let accounted = count(counts, &done) + count(counts, &["not_sent", "unknown"]);
    let total = count(counts, &["total"]);
    assert_eq!(accounted, total, "{counts}");
    // The rest are system documents.
    assert!(total >= MANY, "{counts}");
    let held = world.held_count().await;
    let sure = count(counts, &["applied"]);
    assert!(held + (total - MANY) >= sure, "{held} held, {counts}");
    assert!(held <= sure + count(counts, &["unknown"]), "{held} held, {counts}");
}

#[tokio::test]
async fn a_full_sync_gives_back_everything_that_the_backend_lost() {
    let homes = homes(DEVICES);
    let mut world = World::provisioned(&homes).await;
    world.fleet.simulator().forget().await.unwrap();
    assert_eq!(world.held_count().await, 0);

    let job_id = world.start_sync(json!({"mode": "force"})).await;
    let jobs = world.fleet.jobs().unwrap();
    let mut steps = Vec::new();
    let see = |job: &Value| {
        if steps.last() != Some(&job["step"]) {
            steps.push(job["step"].clone());
        }
    };
    let job = jobs.follow(&job_id, LIMIT, see).await.unwrap();
    assert_eq!(job["state"], "completed", "{job}");
    assert_eq!(steps.last(), Some(&json!("ended")), "{steps:?}");
    assert!(count(&job["counts"], &["applied"]) >= DEVICES, "{job}");
    assert!(jobs.list().await.unwrap().iter().all(is_terminal));
    let nothing = jobs.failures(&job_id).await.unwrap();
    assert_eq!(nothing["items"], json!([]), "{nothing}");
    world.fleet.settled_without_jobs(LIMIT).await.unwrap();
    world.ends_like(&homes).await;
}

#[tokio::test]
async fn a_job_that_is_cancelled_sends_no_more_than_its_window() {
    let homes = homes(MANY);
    let mut world = World::provisioned(&homes).await;
    world.fleet.simulator().forget().await.unwrap();
    let job_id = world.start_sync(json!({"mode": "force", "window": WINDOW})).await;
    world.holds(WINDOW / 2).await;
    let (at, counts) = world.cancelled(&job_id).await;
    world.fleet.settled_without_jobs(LIMIT).await.unwrap();

    let late = world.arrivals_after(at.checked_add(TAIL).unwrap()).await;
    assert!(late <= WINDOW, "{late} arrivals long after the cancel");
    assert!(world.held_count().await < MANY, "everything was done before: it proves nothing");
    assert_exact(&world, &counts).await;
    assert_eq!(world.dead_letters().await, []);
    world.fleet.stop().await.unwrap();
}

#[tokio::test]
async fn a_job_that_is_cancelled_while_the_backend_is_down_ends_all_the_same() {
    let homes = homes(MANY);
    let mut world = World::provisioned(&homes).await;
    world.fleet.simulator().forget().await.unwrap();
    let down = json!([{"path": "/", "action": {"reset": true}}]);
    world.fleet.simulator().faults(&down).await.unwrap();
    let job_id = world.start_sync(json!({"mode": "force", "window": WINDOW})).await;
    let waits = async || (world.fleet.lag(RsAdaptor).await.ok()? > 0).then_some(());
    testkit::eventually("records that wait for the backend", LIMIT, waits).await;
    let (at, counts) = world.cancelled(&job_id).await;

    world.fleet.simulator().faults(&json!([])).await.unwrap();
    world.fleet.settled_without_jobs(LIMIT).await.unwrap();
    let late = world.arrivals_after(at.checked_add(TAIL).unwrap()).await;
    assert!(late <= WINDOW, "{late} arrivals long after the cancel");
    assert_exact(&world, &counts).await;
    assert_eq!(world.dead_letters().await, []);
    world.fleet.stop().await.unwrap();
}

#[tokio::test]
async fn a_full_sync_repairs_what_a_restored_backup_undid() {
    let homes = homes(DEVICES);
    let mut world = World::provisioned(&homes).await;
    let store = Store::at(&testkit::mongo_uri()).await.unwrap();
    let database = world.fleet.database(RsClient).unwrap().to_owned();
    let backup = unique("backup");
    store.copy(&database, &backup).await.unwrap();

    let devices: Vec<&Value> =
        homes.iter().flat_map(|it| it["devices"].as_array().unwrap()).take(CHANGES).collect();
    for (number, device) in devices.into_iter().enumerate() {
        world.sender.send(&change(device, number % 2 == 0)).await.unwrap();
    }
    world.fleet.settled(LIMIT).await.unwrap();
    assert_eq!(world.held_count().await, DEVICES - CHANGES / 2);

    for instance in [0, 1] {
        world.fleet.kill_9(RsClient, instance).unwrap();
    }
    store.copy(&backup, &database).await.unwrap();
    store.leave().await;
    for instance in [0, 1] {
        world.fleet.restart(RsClient, instance).await.unwrap();
    }
    let job_id = world.start_sync(json!({"mode": "force"})).await;
    let job = world.fleet.jobs().unwrap().ends(&job_id, LIMIT).await.unwrap();
    assert_eq!(job["state"], "completed", "{job}");
    // What was restored is the truth again: the changes after it are known to nobody.
    world.fleet.settled_without_jobs(LIMIT).await.unwrap();
    world.ends_like(&homes).await;
}

/// A deletion of a device, or another name for it.
fn change(device: &Value, deletes: bool) -> Event {
    let mut data = device.clone();
    data["revision"] = json!(device["revision"].as_u64().unwrap() + 1);
    let event_type = match deletes {
        true => {
            let ids = ["isp_id", "account_id", "device_id", "revision"];
            data = ids.iter().map(|it| ((*it).to_owned(), data[it].clone())).collect();
            "DeviceDeleted"
        }
        false => {
            data["name"] = json!("said after the backup");
            "DeviceUpdated"
        }
    };
    let (topic, event_type) = ("as-provision-topic".to_owned(), event_type.to_owned());
    Event { topic, event_type, key: None, data }
}
