use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chassis::Chassis;
use eventbus::{ClientType, EventBusFactory};
use rsadaptor::Settings;
use serde_json::json;
use testkit::{
    eventually,
    records::{self, Event, Sender},
    unique,
};

use crate::{
    backend::{FakeBackend, error, status},
    replies::{asking, reply},
    service::{LIMIT, health, message, settings, state},
};

const TOPIC: &str = "as-rs-provision-topic";

/// There is one group: a second service would take records away from the first.
pub(crate) static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn event(device_id: &str, revision: u64) -> Event {
    Event {
        topic: TOPIC.to_owned(),
        event_type: "RSDeviceCreated".to_owned(),
        key: Some(device_id.to_owned()),
        data: state(device_id, revision, json!({})),
    }
}

/// The whole service on a topic without a backlog.
pub(crate) struct Running {
    pub(crate) chassis: Chassis,
    run: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub(crate) async fn start(settings: Settings) -> Self {
        let kafka = testkit::kafka();
        testkit::topics::create(&kafka).await.unwrap();
        testkit::settled::skip_to_end(&kafka, &["rsadaptor"]).await.unwrap();
        let chassis = Chassis::for_tests();
        let run = tokio::spawn(rsadaptor::run(settings, chassis.clone()));
        let ready = async || chassis.health.unready().is_empty().then_some(());
        eventually("ready", LIMIT, ready).await;
        Self { chassis, run }
    }

    /// Waits until sending is stopped.
    pub(crate) async fn is_refused(&self) {
        let alarm = async || health(&self.chassis).contains("misconfigured").then_some(());
        eventually("the alarm", LIMIT, alarm).await;
    }

    pub(crate) async fn stop(self) {
        self.chassis.stop.cancel();
        self.run.await.unwrap().unwrap();
    }
}

/// Waits until the backend holds all these devices.
async fn all_held(backend: &FakeBackend, devices: &[String]) {
    let held = |it: &String| backend.held(&format!("/devices/{it}")).is_some();
    eventually("all devices", LIMIT, async || devices.iter().all(held).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_the_topic_reach_the_backend_and_what_is_wrong_the_dead_letters() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let kafka = testkit::kafka();
    let backend = FakeBackend::default();
    let service = Running::start(settings(&backend.serve().await, &[])).await;
    let sender = Sender::new(&kafka).unwrap();
    let good: Vec<String> = (0..50).map(|_| unique("d")).collect();
    let bad = unique("bad");
    backend.always(&format!("/devices/{bad}"), error(422, "malformed"));
    for (at, id) in good.iter().chain([&bad]).enumerate() {
        sender.send(&event(id, 10 + at as u64)).await.unwrap();
    }
    all_held(&backend, &good).await;
    let dead = eventually("the dead letter", LIMIT, async || {
        let all = records::read(&kafka, "as-rs-provision-topic.rsadaptor.dlq").await.ok()?;
        all.into_iter().find(|it| it.key.as_deref() == Some(bad.as_str()))
    })
    .await;
    assert_eq!(dead.json().unwrap()["device_id"], bad.as_str());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_whole_isps_reaches_the_backend_from_both_of_its_topics() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let backend = FakeBackend::default();
    let service = Running::start(settings(&backend.serve().await, &[])).await;
    let (sender, isp) = (Sender::new(&testkit::kafka()).unwrap(), unique("isp"));
    let of = |topic: &str, event_type: &str, mut data: serde_json::Value| {
        (data["isp_id"], data["revision"]) = (json!(isp), json!(10));
        let (topic, event_type) = (topic.to_owned(), event_type.to_owned());
        Event { topic, event_type, key: Some(isp.clone()), data }
    };
    let protection = json!({
        "router_protection": {"enabled": true, "block_page_ip": null},
        "dns_allowed_list": ["192.0.2.53"], "allowed_list": ["198.51.100.0/24"]
    });
    let system = json!({
        "lan_protection": {"enabled": true, "isolate_iot": false, "arp_guard": true},
        "advanced": {"log_level": "info", "telemetry": true, "features": {}}
    });
    let topic = "as-rs-system-configuration-topic";
    for it in [
        of(topic, "RSRouterProtectionUpdated", protection),
        of(topic, "RSSystemUpdated", system),
        of("as-rs-agent-topic", "RSAgentsUpdated", json!({"packages": []})),
        of("as-rs-agent-topic", "RSDefaultAgentsUpdated", json!({"defaults": {}})),
    ] {
        sender.send(&it).await.unwrap();
    }
    let names = ["router-dns", "router-allowed-ip", "general", "agent-versions", "agent-default"];
    let held = |it: &str| backend.held(&format!("/system/{isp}/{it}")).is_some();
    let all = async || names.iter().all(|it| held(it)).then_some(());
    eventually("all documents", LIMIT, all).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_to_everybody_nothing_but_probes_is_sent_and_all_is_applied_after_the_cure() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let backend = FakeBackend::default();
    backend.everything(Some(status(401)));
    // What is under way together when the first refusal comes is refused as well.
    let one = [("RSADAPTOR__DESTINATION__CONCURRENCY_MAX", "1")];
    let service = Running::start(settings(&backend.serve().await, &one)).await;
    let sender = Sender::new(&testkit::kafka()).unwrap();
    let devices: Vec<String> = (0..5).map(|_| unique("d")).collect();
    let began = Instant::now();
    for id in &devices {
        sender.send(&event(id, 10)).await.unwrap();
    }
    let mut calls = Vec::new();
    eventually("a round of probes", LIMIT, async || {
        calls.extend(backend.calls());
        (calls.len() >= devices.len()).then_some(())
    })
    .await;
    assert!(began.elapsed() >= Duration::from_millis(300) * 4, "{:?}", began.elapsed());
    let each: BTreeSet<_> = calls.iter().take(devices.len()).collect();
    assert_eq!(each.len(), devices.len(), "{calls:?}");
    service.is_refused().await;
    assert!(service.chassis.health.unready().is_empty());

    backend.everything(None);
    all_held(&backend, &devices).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_while_nothing_is_sent_is_answered() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let backend = FakeBackend::default();
    backend.everything(Some(status(401)));
    let never = [("RSADAPTOR__DESTINATION__PROBE_INTERVAL_SECONDS", "3600")];
    let settings = settings(&backend.serve().await, &never);
    let factory = EventBusFactory::new("rsclient", settings.kafka.clone());
    let producer = factory.producer(ClientType::Default).unwrap();
    let service = Running::start(settings).await;
    let [refused, late] = ["refused", "late"].map(|it| {
        let request_id = format!("{}/{it}", unique("task"));
        let device = state(&unique("d"), 10, json!({}));
        asking(message("RSDeviceCreated", device), &request_id)
    });
    producer.publish(&refused).await.unwrap();
    service.is_refused().await;
    assert_eq!(backend.calls().len(), 1);
    let mut late = late;
    late.attributes.expires_at = Some("2020-01-01T00:00:00Z".parse().unwrap());
    producer.publish(&late).await.unwrap();
    let request_id = late.attributes.request_id.unwrap();
    let (_, told) = reply(&request_id.to_string()).await;
    assert_eq!(told["status"], "expired");
    assert_eq!(backend.calls(), Vec::<String>::new());
    service.stop().await;
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
        command.env("RSADAPTOR__HTTP__LISTEN", "127.0.0.1:0");
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
