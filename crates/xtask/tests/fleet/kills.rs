//! Processes that die in the middle of their work lose nothing.

use std::time::Duration;

use testkit::fleet::Service::{RsAdaptor, RsClient, Simulator};
use xtask::demo::homes;

use crate::world::{LIMIT, World, options, provision};

const DEVICES: usize = 2_000;
const SOON: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_crash_between_an_effect_and_its_record_loses_nothing() {
    let homes = homes(DEVICES);
    // After a store write and before its publish; after a 2xx and before it is taken down.
    let armed = options().fail(RsClient, 0, "rsclient::before-publish=150*off->return").fail(
        RsAdaptor,
        0,
        "rsadaptor::after-2xx=300*off->return",
    );
    let mut world = World::start(armed).await;
    let sender = world.sender.clone();
    // They end by themselves, where the binaries were built with the feature `failpoints`.
    let crashes = async {
        let status = world.fleet.ends(RsClient, 0, SOON).await.unwrap();
        assert!(!status.success(), "rsclient came to a regular end: {status}");
        let status = world.fleet.ends(RsAdaptor, 0, SOON).await.unwrap();
        assert!(!status.success(), "rsadaptor came to a regular end: {status}");
        world.fleet.restart(RsClient, 0).await.unwrap();
        world.fleet.restart(RsAdaptor, 0).await.unwrap();
    };
    tokio::join!(provision(&sender, &homes), crashes);
    world.ends_like(&homes).await;
}

#[tokio::test]
async fn a_power_failure_loses_nothing() {
    let homes = homes(DEVICES);
    // Slow enough that there is a middle.
    let slow = options().set(Simulator, "HSBE_SIM__LATENCY_MS", "20");
    let mut world = World::start(slow).await;
    world.provision(&homes).await;

    world.holds(DEVICES / 20).await;
    world.fleet.kill_9(RsClient, 0).unwrap();
    world.holds(DEVICES / 8).await;
    world.fleet.restart(RsClient, 0).await.unwrap();
    world.fleet.kill_9(RsAdaptor, 0).unwrap();
    let open = world.fleet.lag(RsClient).await.unwrap() + world.fleet.lag(RsAdaptor).await.unwrap();
    assert!(open > 0, "everything was done before the failure: it proves nothing");
    tokio::time::timeout(LIMIT, world.holds(DEVICES / 4)).await.unwrap();
    world.fleet.restart(RsAdaptor, 0).await.unwrap();
    world.ends_like(&homes).await;
}
