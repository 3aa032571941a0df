use chassis::Chassis;
use serde_json::json;
use testkit::{
    eventually,
    records::{self, Event, Sender},
    unique,
};

use crate::{
    backend::{FakeBackend, error},
    service::{LIMIT, settings, state},
};

const TOPIC: &str = "as-rs-provision-topic";

#[tokio::test(flavor = "multi_thread")]
async fn records_of_the_topic_reach_the_backend_and_what_is_wrong_the_dead_letters() {
    let kafka = testkit::kafka();
    testkit::topics::create(&kafka).await.unwrap();
    testkit::settled::skip_to_end(&kafka, &["rsadaptor"]).await.unwrap();
    let backend = FakeBackend::default();
    let settings = settings(&backend.serve().await, &[]);
    let chassis = Chassis::for_tests();
    let running = tokio::spawn(rsadaptor::run(settings, chassis.clone()));
    let health = chassis.health.clone();
    eventually("ready", LIMIT, async || health.unready().is_empty().then_some(())).await;

    let sender = Sender::new(&kafka).unwrap();
    let good: Vec<String> = (0..50).map(|_| unique("d")).collect();
    let bad = unique("bad");
    backend.always(&format!("/devices/{bad}"), error(422, "malformed"));
    for (at, id) in good.iter().chain([&bad]).enumerate() {
        let data = state(id, 10 + at as u64, json!({}));
        let event = Event {
            topic: TOPIC.to_owned(),
            event_type: "RSDeviceCreated".to_owned(),
            key: Some(id.clone()),
            data,
        };
        sender.send(&event).await.unwrap();
    }
    eventually("all devices", LIMIT, async || {
        good.iter().all(|it| backend.held(&format!("/devices/{it}")).is_some()).then_some(())
    })
    .await;
    let dead = eventually("the dead letter", LIMIT, async || {
        let all = records::read(&kafka, "as-rs-provision-topic.rsadaptor.dlq").await.ok()?;
        all.into_iter().find(|it| it.key.as_deref() == Some(bad.as_str()))
    })
    .await;
    assert_eq!(dead.json().unwrap()["device_id"], bad.as_str());
    chassis.stop.cancel();
    running.await.unwrap().unwrap();
}
