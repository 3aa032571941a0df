//! What goes wrong on purpose.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::eventually;

use crate::{
    bodies,
    service::{self, LIMIT, Service},
};

async fn put(service: &Service, id: &str) -> u16 {
    service.put(&format!("/devices/{id}"), 1, &bodies::device(id)).await.status
}

#[tokio::test]
async fn one_device_always_fails_and_the_others_do_not() {
    let service = service::start("").await;
    service.faults(json!([{"path": "/devices/d-1", "action": {"status": 500}}])).await;
    assert_eq!(put(&service, "d-1").await, 500);
    assert_eq!(put(&service, "d-10").await, 204);
    assert_eq!(put(&service, "d-1").await, 500);
    assert_eq!(service.delete("/devices/d-1", 2).await.error(), "500 fault");
    assert_eq!(service.history("/devices/d-1").await, "PUT 1 500, PUT 1 500, DELETE 2 500");
    let summary = service.summary(&["devices", "faulted", "rejected", "answers"]).await;
    assert_eq!(summary, r#"devices 1, faulted 3, rejected 0, answers {"204":1,"500":3}"#);
    service.stop().await;
}

#[tokio::test]
async fn a_fault_ends_after_its_count_and_says_when_to_come_back() {
    let service = service::start("").await;
    let action = json!({"status": 429, "retry_after": 7, "error": "slow_down"});
    service.faults(json!([{"path": "/*", "method": "PUT", "count": 1, "action": action}])).await;
    let request = service.request("PUT", "/devices/d-1").json(&bodies::device("d-1"));
    let response = request.send().await.expect("an answer");
    assert_eq!(response.headers()["retry-after"], "7");
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["error"], "slow_down");
    assert_eq!(put(&service, "d-1").await, 204);
    let faults = service.get("/sim/faults").await;
    assert_eq!(faults[0]["fired"], 1);
    assert_eq!(faults[0]["action"]["retry_after"], "7");
    service.stop().await;
}

#[tokio::test]
async fn faults_come_from_settings_too_and_can_be_cleared() {
    let text = r#"faults = [{ path = "/", action = { status = 401, error = "who_are_you" } }]"#;
    let service = service::start(text).await;
    let status = service.send(service.request("GET", "/status")).await;
    assert_eq!(status.error(), "401 who_are_you");
    assert_eq!(put(&service, "d-1").await, 401);
    assert_eq!(service.send(service.request("GET", "/nowhere")).await.status, 401);
    assert_eq!(service.send(service.request("DELETE", "/sim/faults")).await.status, 204);
    assert_eq!(service.get("/sim/faults").await, json!([]));
    assert_eq!(put(&service, "d-1").await, 204);
    service.stop().await;
}

#[tokio::test]
async fn a_share_of_the_requests_fails() {
    let service = service::start("").await;
    service.faults(json!([{"path": "/", "share": 0.5, "action": {"status": 503}}])).await;
    let mut failed = 0;
    for _ in 0..200 {
        failed += u16::from(put(&service, "d-1").await == 503);
    }
    // Outside with a probability below one in a thousand million.
    assert!((55..=145).contains(&failed), "{failed} of 200 failed");
    service.stop().await;
}

#[tokio::test]
async fn a_connection_is_dropped_before_or_after_the_effect() {
    let service = service::start("").await;
    let reset =
        |path: &str, when: &str| json!({"path": path, "when": when, "action": {"reset": true}});
    let faults = json!([reset("/devices/before", "before"), reset("/devices/after", "after")]);
    service.faults(faults).await;
    for id in ["before", "after"] {
        let request = service.request("PUT", &format!("/devices/{id}")).header("x-revision", 1);
        let error = request.json(&bodies::device(id)).send().await.expect_err("no answer");
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
    }
    let devices = service.get("/sim/dump").await["devices"].clone();
    assert_eq!(devices, json!({"after": bodies::device("after")}));
    assert_eq!(service.history("/devices/before").await, "PUT 1 null");
    assert_eq!(service.history("/devices/after").await, "PUT 1 204");
    service.stop().await;
}

#[tokio::test]
async fn a_request_hangs_until_its_client_goes_or_the_simulator_does() {
    let service = service::start("").await;
    service.faults(json!([{"path": "/devices", "action": {"hang": true}}])).await;
    let hanging = |id: &str| {
        let request = service.request("PUT", &format!("/devices/{id}")).header("x-revision", 1);
        request.json(&bodies::device(id))
    };
    let error = hanging("d-1").timeout(Duration::from_millis(200)).send().await;
    assert!(error.expect_err("no answer").is_timeout());
    eventually("the request is dropped", LIMIT, async || {
        (service.summary(&["in_flight"]).await == "in_flight 0").then_some(())
    })
    .await;
    let left = tokio::spawn(hanging("d-2").send());
    eventually("the request hangs", LIMIT, async || {
        (service.summary(&["in_flight"]).await == "in_flight 1").then_some(())
    })
    .await;
    service.stop().await;
    assert!(left.await.expect("no panic").is_err());
}

#[tokio::test]
async fn delays_add_up_and_requests_that_wait_are_counted() {
    let service = service::start("latency_ms = 50").await;
    service.faults(json!([{"path": "/devices", "action": {"latency_ms": 100}}])).await;
    let began = Instant::now();
    let (one, two) = tokio::join!(put(&service, "d-1"), put(&service, "d-2"));
    assert_eq!((one, two), (204, 204));
    assert!(began.elapsed() >= Duration::from_millis(150), "{:?}", began.elapsed());
    assert_eq!(
        service.summary(&["in_flight", "in_flight_max"]).await,
        "in_flight 0, in_flight_max 2"
    );
    service.stop().await;
}

#[tokio::test]
async fn faults_that_can_never_be_are_refused_and_the_old_ones_stay() {
    let service = service::start("").await;
    service.faults(json!([{"path": "/devices", "action": {"status": 500}}])).await;
    for faults in [
        json!([{"path": "/devices", "share": 1.5, "action": {"status": 500}}]),
        json!([{"path": "devices", "action": {"status": 500}}]),
        json!([{"path": "/devices", "action": {"status": 999}}]),
        json!([{"path": "/devices", "action": {}}]),
        json!([{"path": "/devices", "action": {"hang": true}, "often": true}]),
        json!({"path": "/devices", "action": {"hang": true}}),
    ] {
        let reply = service.send(service.request("PUT", "/sim/faults").json(&faults)).await;
        assert_eq!(reply.error(), "422 malformed", "{faults}");
    }
    assert_eq!(put(&service, "d-1").await, 500);
    service.stop().await;
}
