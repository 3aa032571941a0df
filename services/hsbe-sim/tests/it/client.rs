//! The client of the fleet against the simulator.

use events::{DeviceId, Revision};
use expect_test::expect;
use hs_admin::{
    Answer, DeviceConfiguration, HsAdmin, Mode, Resource, RouterConfiguration, Settings, TlsFiles,
};
use serde_json::json;

use crate::{bodies, service};

pub(crate) fn settings(base_url: &str, tls: Option<TlsFiles>) -> Settings {
    Settings {
        mode: Mode::Rest,
        base_url: base_url.to_owned().try_into().expect("a URL"),
        tls,
        timeout_seconds: 1,
        connect_timeout_seconds: 1,
        connections: 4,
    }
}

fn connect(base_url: &str) -> HsAdmin {
    HsAdmin::connect(&settings(base_url, None)).expect("a client")
}

fn id(text: &str) -> DeviceId {
    text.parse().expect("an id")
}

fn revision(number: u64) -> Revision {
    number.try_into().expect("a revision")
}

pub(crate) async fn put_device(client: &HsAdmin, name: &str, number: u64) -> Answer {
    let body: DeviceConfiguration = serde_json::from_value(bodies::device(name)).expect("a device");
    client.put(&Resource::Device(id(name)), &body, revision(number)).await
}

/// The answer in one line; what an operating system says in its own words is left out.
pub(crate) fn line(answer: &Answer) -> String {
    match answer {
        Answer::Trouble { http_status: None, .. } => "Trouble without an answer".to_owned(),
        Answer::Misconfigured { http_status: None, .. } => "Misconfigured TLS".to_owned(),
        Answer::Done { .. }
        | Answer::NotSent
        | Answer::Stale
        | Answer::Early { .. }
        | Answer::Wrong { .. }
        | Answer::Trouble { .. }
        | Answer::Misconfigured { .. } => format!("{answer:?}"),
    }
}

#[tokio::test]
async fn the_client_and_the_simulator_understand_each_other() {
    let service = service::start("stale = \"refuse\"").await;
    let client = connect(&service.base);
    assert_eq!(client.status().await.expect("well").status, "ok");
    assert_eq!(put_device(&client, "d-1", 5).await, Answer::Done { http_status: 204 });
    assert_eq!(service.get("/sim/dump").await["devices"]["d-1"], bodies::device("d-1"));
    assert_eq!(put_device(&client, "d-1", 4).await, Answer::Stale);

    let delete = async |name: &str, number| {
        client.delete(&Resource::Device(id(name)), revision(number)).await
    };
    assert_eq!(delete("d-1", 6).await, Answer::Done { http_status: 204 });
    assert_eq!(delete("d-1", 6).await, Answer::Done { http_status: 404 });

    let router: RouterConfiguration =
        serde_json::from_value(bodies::router_with_package("r-1", "p-1")).expect("a router");
    let answers = [
        client.put(&Resource::Router(id("r-1")), &router, revision(1)).await,
        client.put(&Resource::FeatureFlags(id("r-1")), &bodies::flags(), revision(1)).await,
        client.put(&Resource::Router(id("r-2")), &router, revision(1)).await,
        client.put(&Resource::Device(id("d-1")), &router, revision(7)).await,
    ];
    let lines = answers.map(|it| line(&it)).join("\n");
    expect![[r#"
        Early { http_status: 409, detail: "unknown_agent_package: no package p-1" }
        Early { http_status: 404, detail: "not_found: no router r-1" }
        Wrong { http_status: 422, detail: "malformed: the id in the path is not the id in the body" }
        Wrong { http_status: 422, detail: "malformed: unknown field `enabled`, expected one of `device`, `services`, `action`, `is_iot`, `act_rules` at line 1 column 443" }"#]].assert_eq(&lines);
    service.stop().await;
}

#[tokio::test]
async fn faults_look_to_the_client_like_what_they_are() {
    let service = service::start("").await;
    let client = connect(&service.base);
    let mut table = String::new();
    for action in [
        json!({"status": 503, "retry_after": 2}),
        json!({"status": 429, "retry_after": "Sun, 06 Nov 1994 08:49:37 GMT"}),
        json!({"status": 500}),
        json!({"status": 408}),
        json!({"status": 401}),
        json!({"status": 403}),
        json!({"status": 404}),
        json!({"status": 405}),
        json!({"status": 302}),
        json!({"status": 413}),
        json!({"reset": true}),
        json!({"hang": true}),
    ] {
        service.faults(json!([{"path": "/devices", "action": action}])).await;
        table += &format!("{action}: {}\n", line(&put_device(&client, "d-1", 1).await));
    }
    expect![[r#"
        {"retry_after":2,"status":503}: Trouble { http_status: Some(503), retry_after: Some(2s), detail: "fault: a fault on purpose" }
        {"retry_after":"Sun, 06 Nov 1994 08:49:37 GMT","status":429}: Trouble { http_status: Some(429), retry_after: Some(0ns), detail: "fault: a fault on purpose" }
        {"status":500}: Trouble { http_status: Some(500), retry_after: None, detail: "fault: a fault on purpose" }
        {"status":408}: Trouble { http_status: Some(408), retry_after: None, detail: "fault: a fault on purpose" }
        {"status":401}: Misconfigured { http_status: Some(401), detail: "fault: a fault on purpose" }
        {"status":403}: Misconfigured { http_status: Some(403), detail: "fault: a fault on purpose" }
        {"status":404}: Misconfigured { http_status: Some(404), detail: "fault: a fault on purpose" }
        {"status":405}: Misconfigured { http_status: Some(405), detail: "fault: a fault on purpose" }
        {"status":302}: Misconfigured { http_status: Some(302), detail: "fault: a fault on purpose" }
        {"status":413}: Wrong { http_status: 413, detail: "fault: a fault on purpose" }
        {"reset":true}: Trouble without an answer
        {"hang":true}: Trouble without an answer
    "#]].assert_eq(&table);
    let base = service.base.clone();
    service.stop().await;
    let nobody = put_device(&connect(&base), "d-1", 1).await;
    assert_eq!(line(&nobody), "Trouble without an answer");
}

#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let service = service::start("").await;
    let client = HsAdmin::connect(&Settings { mode: Mode::Log, ..settings(&service.base, None) });
    let client = client.expect("a client");
    assert_eq!(put_device(&client, "d-1", 1).await, Answer::NotSent);
    assert_eq!(client.status().await, Err(Answer::NotSent));
    assert_eq!(service.summary(&["answers"]).await, "answers {}");
    service.stop().await;
}

#[tokio::test]
async fn no_more_calls_than_connections_are_on_the_way() {
    let service = service::start("latency_ms = 20").await;
    let client = connect(&service.base);
    let calls = (0..40).map(|it| {
        let client = client.clone();
        tokio::spawn(async move { put_device(&client, &format!("d-{it}"), 1).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.expect("no panic"), Answer::Done { http_status: 204 });
    }
    assert_eq!(service.summary(&["devices", "in_flight_max"]).await, "devices 40, in_flight_max 4");
    service.stop().await;
}
