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

/// There is one group: a second service would take records away from the first.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn event(device_id: &str, revision: u64) -> Event {
    Event {
        topic: TOPIC.to_owned(),
        event_type: "RSDeviceCreated".to_owned(),
        key: Some(device_id.to_owned()),
        data: state(device_id, revision, json!({})),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_the_topic_reach_the_backend_and_what_is_wrong_the_dead_letters() {
    let _alone = ONE_AT_A_TIME.lock().await;
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
        sender.send(&event(id, 10 + at as u64)).await.unwrap();
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

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_answer_and_its_record_repeats_the_call() {
    use testkit::servers::{Process, RunFolder};

    let _alone = ONE_AT_A_TIME.lock().await;
    let kafka = testkit::kafka();
    testkit::topics::create(&kafka).await.unwrap();
    testkit::settled::skip_to_end(&kafka, &["rsadaptor"]).await.unwrap();
    let (backend, database, folder) =
        (FakeBackend::default(), unique("rsadaptor"), RunFolder::new().unwrap());
    let url = backend.serve().await;
    let start = |failpoints: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rsadaptor"));
        command.env("RSADAPTOR__KAFKA__BOOTSTRAP_SERVERS", &kafka);
        command.env("RSADAPTOR__MONGO__URI", testkit::mongo_uri());
        command.env("RSADAPTOR__MONGO__DATABASE", &database);
        command.env("RSADAPTOR__HS_ADMIN__BASE_URL", &url);
        command.env("RSADAPTOR__ADMIN__LISTEN", "127.0.0.1:0").env("FAILPOINTS", failpoints);
        Process::start("rsadaptor", &mut command, &folder.log("rsadaptor")).unwrap()
    };
    let device = unique("d");
    let mut first = start("rsadaptor::after-2xx=return");
    Sender::new(&kafka).unwrap().send(&event(&device, 10)).await.unwrap();
    let status = first.wait(LIMIT).await.unwrap();
    assert!(!status.success(), "{status}");
    let path = format!("/devices/{device}");
    assert_eq!(backend.calls(), [format!("PUT {path} @10")]);

    let mut second = start("");
    let calls = eventually("the call again", LIMIT, async || {
        second.still_runs().unwrap();
        Some(backend.calls()).filter(|it| !it.is_empty())
    });
    assert_eq!(calls.await, [format!("PUT {path} @10")]);
    second.ask_to_end();
    assert!(second.wait(LIMIT).await.unwrap().success());
}
