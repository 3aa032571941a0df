//! A town on a real broker: what it says it has sent is what lies there.

use std::{collections::BTreeMap, time::Duration};

use events::{HsEvent, TopicEvent as _};
use serde_json::{Value, json};
use testkit::{eventually, records, unique};

use crate::{
    bodies,
    service::{self, Service},
};

const LIMIT: Duration = Duration::from_secs(60);
const TOPIC: &str = "hs-event-topic";

/// A simulator with a broker.
async fn start() -> Service {
    testkit::topics::create(&testkit::kafka()).await.expect("topics");
    let (servers, group) = (testkit::kafka(), unique("hs-be"));
    let text = format!("[kafka]\nbootstrap_servers = \"{servers}\"\ngroup = \"{group}\"\n");
    service::start(&text).await
}

async fn put(service: &Service, path: &str, revision: u64, body: &Value) {
    let reply = service.put(path, revision, body).await;
    assert_eq!(reply.status, 204, "{path}: {}", reply.body);
}

/// Homes with a router and two devices each; the ids of their devices and routers begin with `run`.
async fn homes(service: &Service, run: &str, count: usize) {
    for home in 0..count {
        let account = format!("{run}-a{home}");
        let (isp, mac) = (format!("isp-{}", home % 2), format!("02:00:00:00:00:{home:02x}"));
        let id = format!("{run}-r{home}");
        let mut router = bodies::router(&id);
        router["device"]["account_id"] = json!(account);
        router["device"]["isp_id"] = json!(isp);
        put(service, &format!("/routers/{id}"), 1, &router).await;
        for number in 0..2 {
            let id = format!("{run}-d{home}-{number}");
            let mut device = bodies::device(&id);
            device["device"]["account_id"] = json!(account);
            device["device"]["isp_id"] = json!(isp);
            device["device"]["mac"] = json!(mac);
            put(service, &format!("/devices/{id}"), 1, &device).await;
        }
    }
}

async fn begin(service: &Service, plan: Value) -> Value {
    let reply = service.send(service.request("PUT", "/sim/town").json(&plan)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body
}

async fn quiet(service: &Service) -> Value {
    eventually("the town is quiet", LIMIT, async || {
        let state = service.get("/sim/town").await;
        (state["quiet"] == true).then_some(state)
    })
    .await
}

/// What lies on the topic of this town, read as the fleet reads it, in order of the numbers of the events.
async fn sent(name: &str) -> BTreeMap<u64, (Value, HsEvent)> {
    let records = records::read(&testkit::kafka(), TOPIC).await.expect("the topic");
    let mut all = BTreeMap::new();
    for record in records {
        // Others write there, too, also what is no JSON.
        let Ok(json) = record.json() else { continue };
        let id = json["event_id"].as_str().unwrap_or_default();
        let Some(number) = id.strip_prefix(&format!("{name}-")) else { continue };
        let number = number.split('-').next().and_then(|it| it.parse().ok()).expect("a number");
        assert!(record.headers.is_empty(), "{:?}", record.headers);
        assert_eq!(record.key.as_deref(), json["device_id"].as_str());
        let event_type = json["event_type"].as_str().expect("a type");
        let event = HsEvent::decode(event_type, &record.payload).expect("an event");
        let before = all.insert(number, (json, event));
        assert!(before.is_none(), "{before:?} is there twice");
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counts_are_what_lies_on_the_topic() {
    let service = start().await;
    let (run, name) = (unique("h"), unique("t"));
    homes(&service, &run, 6).await;
    let plan = json!({
        "homes": 5, "events_per_s": 2_000, "events": 1_500, "seed": 3, "name": name,
        "mix": {
            "device_event_connected": 20, "device_event_active": 40, "device_event_blocked": 30,
            "device_event_threat": 5, "device_event_new_device": 5,
        },
        "bad": {"wrong_isp": 0.02, "future": 0.02, "too_old": 0.02, "unknown_device": 0.02},
    });
    let began = begin(&service, plan).await;
    assert_eq!((&began["homes"], &began["devices"]), (&json!(5), &json!(10)));
    let state = quiet(&service).await;
    assert_eq!(
        (&state["sent"], &state["unsent"], &state["left"]),
        (&json!(1_500), &json!(0), &json!(0))
    );

    let sent = sent(&name).await;
    assert_eq!(sent.len(), 1_500);
    let (mut good, mut bad) = (BTreeMap::<_, u64>::new(), BTreeMap::<_, u64>::new());
    for (number, (json, event)) in &sent {
        let id = json["event_id"].as_str().expect("an id");
        match id.strip_prefix(&format!("{name}-{number}-")) {
            Some(kind) => *bad.entry(kind.to_owned()).or_default() += 1,
            None => *good.entry(event.event_type()).or_default() += 1,
        }
    }
    let of = |counts: &Value| {
        let mut counts = counts.as_object().expect("counts").clone();
        counts.retain(|_, it| *it != 0);
        Value::Object(counts)
    };
    assert_eq!((of(&state["good"]), of(&state["bad"])), (json!(good), json!(bad)));
    assert_eq!((good.len(), bad.len()), (5, 4));
    let mut active = BTreeMap::new();
    for (json, _) in sent.values().filter(|(json, _)| json["active"].is_boolean()) {
        let id = json["event_id"].as_str().unwrap_or_default();
        if id.strip_prefix(&format!("{name}-")).is_some_and(|it| !it.contains('-')) {
            active.insert(json["device_id"].as_str().unwrap_or_default(), json["active"].clone());
        }
    }
    assert_eq!(service.get("/sim/town/active").await, json!(active));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_bare_json_with_its_type_and_the_time_when_it_was_due() {
    let service = start().await;
    let (run, name) = (unique("h"), unique("t"));
    homes(&service, &run, 1).await;
    let plan = json!({
        "homes": 1, "events_per_s": 100, "events": 1, "name": name,
        "mix": {"device_event_connected": 1},
    });
    begin(&service, plan).await;
    let state = quiet(&service).await;
    let sent = sent(&name).await;
    let (mut json, _) = sent[&0].clone();
    let device = json["device_id"].as_str().expect("an id").to_owned();
    assert!(device.starts_with(&format!("{run}-d0-")), "{device}");
    let at: jiff::Timestamp = json["timestamp"].as_str().expect("a time").parse().expect("a time");
    let began: jiff::Timestamp = state["began"].as_str().expect("a time").parse().expect("a time");
    assert_eq!(at.as_millisecond(), began.as_millisecond() + 10);

    json["timestamp"] = Value::Null;
    json["account_id"] = Value::Null;
    json["device_id"] = Value::Null;
    let expected = json!({
        "event_type": "device_event_connected", "event_id": format!("{name}-0"),
        "timestamp": null, "account_id": null, "device_id": null, "isp_id": "isp-0",
        "router_id": format!("{run}-r0"), "mac": "02:00:00:00:00:00",
    });
    assert_eq!(json, expected);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_is_told_of_a_package_installs_it_and_reports() {
    let service = start().await;
    let (run, name) = (unique("h"), unique("t"));
    homes(&service, &run, 2).await;
    for id in ["p-1", "p-2"] {
        put(&service, &format!("/agent-packages/{id}"), 1, &bodies::agent_package(id)).await;
    }
    let plan = json!({
        "homes": 2, "events_per_s": 0, "events": 0, "name": name,
        "agents": {"after_ms": 50, "success_of": {"p-2": 0.0}},
    });
    begin(&service, plan).await;
    let tell = async |home: usize, package: &str, revision: u64| {
        let id = format!("{run}-r{home}");
        let mut router = bodies::router_with_package(&id, package);
        router["device"]["account_id"] = json!(format!("{run}-a{home}"));
        put(&service, &format!("/routers/{id}"), revision, &router).await;
    };
    let reported = async |count: u64| {
        eventually("routers report", LIMIT, async || {
            let state = service.get("/sim/town").await;
            (state["sent"] == count).then_some(state)
        })
        .await
    };
    tell(0, "p-1", 2).await;
    reported(1).await;
    // Nothing new is asked of it.
    tell(0, "p-1", 3).await;
    tell(1, "p-2", 4).await;
    let state = reported(2).await;
    assert_eq!(state["agents"], json!({"installed": 1, "failed": 1}));
    assert_eq!(state["good"]["router_event_agent"], 2);

    let routers = service.get("/sim/town/routers").await;
    let of = |home: usize| {
        let router = &routers[format!("{run}-r{home}")];
        json!([router["runs"], router["target"]])
    };
    assert_eq!((of(0), of(1)), (json!(["p-1", "p-1"]), json!([null, "p-2"])));
    let sent = sent(&name).await;
    let said = |number: u64| {
        let json = &sent[&number].0;
        json!([json["device_id"], json["agent_package_id"], json["status"], json["error"]])
    };
    assert_eq!(said(0), json!([format!("{run}-r0"), "p-1", "installed", null]));
    let error = "the new image does not start";
    assert_eq!(said(1), json!([format!("{run}-r1"), "p-2", "failed", error]));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_town_follows_what_is_held_until_it_is_ended() {
    let service = start().await;
    let (run, name) = (unique("h"), unique("t"));
    let plan = json!({"homes": 9, "events_per_s": 500, "name": name});
    begin(&service, plan.clone()).await;
    homes(&service, &run, 3).await;
    let devices = async |count: usize| {
        eventually("devices move", LIMIT, async || {
            (service.get("/sim/town").await["devices"] == count).then_some(())
        })
        .await;
    };
    devices(6).await;
    assert_eq!(service.delete(&format!("/routers/{run}-r0"), 2).await.status, 204);
    devices(4).await;
    assert_eq!(service.delete(&format!("/devices/{run}-d1-0"), 2).await.status, 204);
    devices(3).await;
    assert_eq!(service.send(service.request("DELETE", "/sim")).await.status, 204);
    devices(0).await;

    homes(&service, &run, 1).await;
    let before = service.get("/sim/town").await["sent"].as_u64().expect("a number");
    eventually("events are sent again", LIMIT, async || {
        (service.get("/sim/town").await["sent"].as_u64()? > before + 50).then_some(())
    })
    .await;
    let end = service.send(service.request("DELETE", "/sim/town")).await;
    assert_eq!((end.status, &end.body["unsent"]), (200, &json!(0)));
    assert_eq!(end.body["sent"], end.body["made"]);
    assert_eq!(end.body["sent"], sent(&name).await.len());

    assert_eq!(service.send(service.request("DELETE", "/sim/town")).await.status, 204);
    let gone = service.send(service.request("GET", "/sim/town")).await;
    assert_eq!(gone.error(), "404 not_found");
    // A town in the place of another one.
    begin(&service, plan).await;
    let second = begin(&service, json!({"homes": 1, "events_per_s": 1})).await;
    assert!(second["name"].as_str().is_some_and(|it| it.starts_with("town-")), "{second}");
    service.stop().await;
}

#[tokio::test]
async fn a_town_that_cannot_be_is_refused() {
    let service = service::start("").await;
    let begin = async |plan: Value| {
        service.send(service.request("PUT", "/sim/town").json(&plan)).await.error()
    };
    assert_eq!(begin(json!({"homes": 1, "events_per_s": 1})).await, "409 no_broker");
    assert_eq!(begin(json!({"homes": 1, "events_per_s": -1})).await, "422 malformed");
    assert_eq!(begin(json!({"homes": 1, "events_per_s": 1, "more": 1})).await, "422 malformed");
    service.stop().await;
}
