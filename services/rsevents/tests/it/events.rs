//! Each event of HS-BE, and who hears of it.

use std::collections::BTreeMap;

use expect_test::expect;
use serde_json::json;

use crate::service::{RS_EVENTS, Service};

#[tokio::test]
async fn a_connected_device_is_told_with_the_account_that_provisioning_says() {
    let service = Service::start().await;
    service.provide(&["d-1"]).await;
    let members = json!({"router_id": "r-1", "mac": "3c:22:fb:01:02:03", "account_id": "other"});
    service.told(service.event("device_event_connected", "d-1", &members)).await;
    expect![[r#"as-rs-event-topic RSDeviceEventConnected [d-1] {"account_id":"a","device_id":"d-1","mac":"3c:22:fb:01:02:03","router_id":"r-1"}"#]]
        .assert_eq(&service.said().await);
}

#[tokio::test]
async fn a_new_device_becomes_a_post_device_and_a_notification() {
    let service = Service::start().await;
    service.provide(&[]).await;
    let members = json!({"mac": "3c:22:fb:01:02:09", "name": "Mia's phone", "device_type": "phone",
        "account_id": service.account, "timestamp": "2026-01-01T00:00:00Z"});
    let old = service.event("device_event_new_device", "d-9", &members);
    // Far too old: only to see that the time counts here too.
    assert!(matches!(&service.take(&[old]).await[..], [eventbus::Outcome::Reject { .. }]));
    let mut members = members;
    members["timestamp"] = crate::service::jiff_now().into();
    service.told(service.event("device_event_new_device", "d-9", &members)).await;
    let said = service.said().await.replace(members["timestamp"].as_str().unwrap(), "NOW");
    expect![[r#"
        as-provision-command-topic PostDevice [d-9] {"account_id":"a","device":{"device_id":"d-9","device_type":"phone","kind":"device","mac":"3c:22:fb:01:02:09","name":"Mia's phone","product_data":{"RouterSecure":{"status":{"active":true,"active_timestamp":"NOW","is_new":true}}}}}
        as-notification-topic device_event_new_device [a] {"account_id":"a","data":{"device_type":"phone","mac":"3c:22:fb:01:02:09","name":"Mia's phone"},"device_id":"d-9","subject":"A new device is in your network"}"#]]
    .assert_eq(&said);
}

#[tokio::test]
async fn what_a_device_says_of_its_activity_becomes_a_patch_device() {
    let service = Service::start().await;
    service.provide(&["d-1"]).await;
    let at = crate::service::jiff_now();
    let members = json!({"active": false, "timestamp": at});
    service.told(service.event("device_event_active", "d-1", &members)).await;
    expect![[r#"as-provision-command-topic PatchDevice [d-1] {"device_id":"d-1","patch":{"product_data":{"RouterSecure":{"status":{"active":false,"active_timestamp":"NOW"}}}}}"#]]
        .assert_eq(&service.said().await.replace(&at, "NOW"));
}

#[tokio::test]
async fn what_was_blocked_and_threats_become_requests_and_threats_a_notification() {
    let service = Service::start().await;
    service.provide(&["d-1", "d-2"]).await;
    let blocked = json!({"domain": "bad.example", "category": "gambling"});
    let threat = json!({"domain": "worse.example", "threat": "phishing"});
    let batch = [
        service.event("device_event_blocked", "d-1", &blocked),
        service.event("device_event_threat", "d-2", &threat),
    ];
    assert_eq!(service.take(&batch).await, [eventbus::Outcome::Done, eventbus::Outcome::Done]);
    let mut said: Vec<String> = service.said().await.lines().map(str::to_owned).collect();
    said.sort();
    expect![[r#"
        as-notification-topic threat_blocked [a] {"account_id":"a","data":{"domain":"worse.example","threat":"phishing"},"device_id":"d-2","subject":"A threat was blocked"}
        as-wsp-request-topic WSPRequest [a] {"account_id":"a","category":"gambling","device_id":"d-1","domain":"bad.example","kind":"blocked"}
        as-wsp-request-topic WSPRequest [a] {"account_id":"a","device_id":"d-2","domain":"worse.example","kind":"threat","threat":"phishing"}"#]]
    .assert_eq(&said.join("\n"));
}

#[tokio::test]
async fn what_a_router_says_of_its_agent_is_reported() {
    let service = Service::start().await;
    service.provide(&["r-1"]).await;
    let installed = json!({"agent_package_id": "p-1", "status": "installed"});
    let failed = json!({"agent_package_id": "p-2", "status": "failed", "error": "no space"});
    service.told(service.event("router_event_agent", "r-1", &installed)).await;
    service.told(service.event("router_event_agent", "r-1", &failed)).await;
    expect![[r#"
        as-rs-event-topic RSRouterAgentReported [r-1] {"agent_package_id":"p-1","device_id":"r-1","status":"installed"}
        as-rs-event-topic RSRouterAgentReported [r-1] {"agent_package_id":"p-2","device_id":"r-1","error":"no space","status":"failed"}"#]]
    .assert_eq(&service.said().await);
}

#[tokio::test]
async fn an_event_that_is_handled_twice_is_told_under_the_same_ids_in_its_own_trace() {
    let service = Service::start().await;
    service.provide(&["d-1"]).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let members = json!({"domain": "worse.example", "threat": "phishing"});
    let mut threat = service.event("device_event_threat", "d-1", &members);
    threat.message.trace_id.0.insert("traceparent".to_owned(), trace.to_owned());
    service.told(threat.clone()).await;
    service.told(threat).await;
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    for (_, record) in service.published().await {
        assert_eq!(record.headers["ce_source"], "/rsevents");
        assert_eq!(record.headers["traceparent"], trace);
        *ids.entry(record.headers["ce_id"].clone()).or_default() += 1;
    }
    assert_eq!(ids.into_values().collect::<Vec<_>>(), [2, 2]);
    service.told(service.connected("d-1")).await;
    let all = service.published().await;
    let connected = all.iter().find(|it| it.0 == RS_EVENTS).unwrap();
    assert!(!connected.1.headers.contains_key("traceparent"), "{:?}", connected.1.headers);
}
