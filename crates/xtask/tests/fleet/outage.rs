//! A backend in trouble is not the records' fault; a record in trouble is nobody else's.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::fleet::Service::{RsAdaptor, Simulator};
use xtask::demo::homes;

use crate::world::{LIMIT, World, options};

const DEVICES: usize = 500;
const OUTAGE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn an_outage_of_two_minutes_sets_nothing_aside() {
    let homes = homes(DEVICES);
    let slow = options().set(Simulator, "HSBE_SIM__LATENCY_MS", "20");
    let world = World::start(slow).await;
    world.provision(&homes).await;
    world.holds(DEVICES / 10).await;

    let down = json!([{"path": "/", "action": {"reset": true}}]);
    world.fleet.simulator().faults(&down).await.unwrap();
    let held = world.held_count().await;
    assert!(held < DEVICES, "everything was done before the outage: it proves nothing");
    let began = Instant::now();
    let two_minutes = async || (began.elapsed() >= OUTAGE).then_some(());
    testkit::eventually("the end of the outage", OUTAGE * 2, two_minutes).await;
    assert_eq!(world.dead_letters().await, []);
    assert!(world.fleet.lag(RsAdaptor).await.unwrap() > 0, "nothing waits");
    let (ready, _) = world.fleet.admin(RsAdaptor, 0, "/readyz").await.unwrap();
    assert_eq!(ready, 200, "an outage of the backend is not unreadiness");

    world.fleet.simulator().faults(&json!([])).await.unwrap();
    world.ends_like(&homes).await;
}

#[tokio::test]
async fn credentials_that_are_refused_raise_an_alarm_and_set_nothing_aside() {
    let homes = homes(DEVICES);
    let world = World::start(options()).await;
    let refused = json!([{"path": "/", "action": {"status": 401}}]);
    world.fleet.simulator().faults(&refused).await.unwrap();
    world.provision(&homes).await;

    let alarm = async || {
        let (_, health) = world.fleet.admin(RsAdaptor, 0, "/healthz").await.unwrap();
        let (_, metrics) = world.fleet.admin(RsAdaptor, 0, "/metrics").await.unwrap();
        let counted = metrics.lines().any(|it| it == "rsadaptor_hs_misconfigured 1");
        (counted && health.contains("misconfigured")).then_some(())
    };
    testkit::eventually("an alarm in /healthz and in the metrics", LIMIT, alarm).await;
    assert_eq!(world.held_count().await, 0);
    assert_eq!(world.dead_letters().await, []);
    let (ready, _) = world.fleet.admin(RsAdaptor, 0, "/readyz").await.unwrap();
    assert_eq!(ready, 200, "settings that the backend refuses are not unreadiness");

    world.fleet.simulator().faults(&json!([])).await.unwrap();
    world.ends_like(&homes).await;
}

#[tokio::test]
async fn a_device_that_always_fails_is_set_aside_alone() {
    let homes = homes(DEVICES);
    let mut world = World::start(options()).await;
    let unlucky = homes[7]["devices"][0]["device_id"].as_str().unwrap().to_owned();
    let path = format!("/routers/{unlucky}");
    let broken = json!([{"path": path, "action": {"status": 500}}]);
    world.fleet.simulator().faults(&broken).await.unwrap();
    world.provision(&homes).await;
    world.holds(DEVICES - 1).await;

    // Its failures count while others succeed, so somebody else goes on changing.
    let mut busy = homes[20].clone();
    let set_aside = async || {
        raise(&mut busy);
        world.provision(std::slice::from_ref(&busy)).await;
        (!world.dead_letters().await.is_empty()).then_some(())
    };
    testkit::eventually("the device set aside", LIMIT, set_aside).await;
    world.fleet.settled(LIMIT).await.unwrap();

    let letters = world.dead_letters().await;
    let keys: Vec<_> = letters.iter().map(|it| (it.0, it.1.key.as_deref())).collect();
    assert_eq!(keys, [("as-rs-provision-topic.rsadaptor.dlq", Some(unlucky.as_str()))]);
    let held = world.held().await;
    let mut wanted = xtask::demo::expected(homes.iter());
    wanted["routers"].as_object_mut().unwrap().remove(&unlucky);
    let differences = xtask::demo::compare(&wanted, &held);
    assert!(differences.is_empty(), "{differences:?}");
    world.fleet.stop().await.unwrap();
}

/// The same home at a higher revision.
fn raise(home: &mut Value) {
    for device in home["devices"].as_array_mut().unwrap() {
        device["revision"] = json!(device["revision"].as_u64().unwrap() + 1);
    }
}
