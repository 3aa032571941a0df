use eventbus::{EventBusMessage, Outcome};
use expect_test::expect;
use serde_json::{Value, json};
use testkit::{eventually, records, unique};

use crate::{
    backend::{error, status},
    service::{LIMIT, Service, first, message, shown},
};

/// Makes the record ask for a reply.
pub(crate) fn asking(mut message: EventBusMessage, request_id: &str) -> EventBusMessage {
    message.attributes.request_id = Some(request_id.parse().unwrap());
    message.attributes.job_id = Some("j-1".parse().unwrap());
    message
}

/// The reply to a request, with its headers.
pub(crate) async fn reply(request_id: &str) -> (records::Record, Value) {
    eventually("the reply", LIMIT, async || {
        let all = records::read(&testkit::kafka(), "as-rs-adaptor-reply-topic").await.ok()?;
        let mut all = all.into_iter().map(|it| (it.clone(), it.json().unwrap()));
        all.find(|(_, it)| it["request_id"] == request_id)
    })
    .await
}

pub(crate) fn line(reply: &Value) -> String {
    let member = |name: &str| reply[name].to_string();
    let names = ["revision", "held_revision", "status", "http_status", "error"];
    names.map(|it| format!("{it}={}", member(it))).join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_is_told_to_who_asked() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    let service = Service::start().await;
    let task = unique("task");
    let past = "2020-01-01T00:00:00Z".parse().unwrap();
    let record = |revision, members| message("RSDeviceUpdated", service.state(revision, members));
    let mut log = String::new();
    let path = service.path("device");
    let steps: Vec<(&str, EventBusMessage)> = vec![
        ("expired, unknown", record(8, json!({}))),
        ("applied", record(10, json!({}))),
        ("unchanged", record(11, json!({}))),
        ("superseded", record(9, json!({}))),
        ("stale", record(12, json!({"name": "b"}))),
        ("rejected", record(13, json!({"name": "b"}))),
        ("expired", record(14, json!({"name": "b"}))),
        ("deleted", message("RSDeviceDeleted", service.deletion(15, "device"))),
        ("foreign", record(16, json!({"isp_id": "isp-2"}))),
    ];
    for (name, mut message) in steps {
        match name {
            "stale" => service.backend.next(&path, error(409, "stale_revision")),
            "rejected" => service.backend.next(&path, error(422, "malformed")),
            "expired" | "expired, unknown" => message.attributes.expires_at = Some(past),
            _ => {}
        }
        let request_id = format!("{task}/{}", name.replace([' ', ','], "-"));
        let outcome = service.attempt(&first(asking(message, &request_id))).await;
        let told = line(&reply(&request_id).await.1);
        log += &format!("{name}: {}; {told}\n", shown(&outcome));
    }
    expect![[r#"
        expired, unknown: skipped: expired; revision=8 held_revision=null status="expired" http_status=null error=null
        applied: done; revision=10 held_revision=10 status="applied" http_status=204 error=null
        unchanged: done; revision=11 held_revision=11 status="unchanged" http_status=null error=null
        superseded: skipped: superseded; revision=9 held_revision=11 status="superseded" http_status=null error=null
        stale: skipped: superseded; revision=12 held_revision=11 status="superseded" http_status=409 error=null
        rejected: skipped: rejected; revision=13 held_revision=11 status="rejected" http_status=422 error="malformed: as told"
        expired: skipped: expired; revision=14 held_revision=11 status="expired" http_status=null error=null
        deleted: done; revision=15 held_revision=15 status="applied" http_status=204 error=null
        foreign: skipped: rejected; revision=16 held_revision=null status="rejected" http_status=null error="tenant_mismatch"
    "#]].assert_eq(&log);
    assert_eq!(service.applied().await, "device 15 tombstone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_has_the_form_of_its_event() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    let service = Service::start_with(&[("RSADAPTOR__HS_ADMIN__MODE", "log")]).await;
    let request_id = format!("{}/bulk/000017/d-1", unique("task"));
    let record = message("RSDeviceCreated", service.state(10, json!({})));
    let outcome = service.attempt(&first(asking(record, &request_id))).await;
    assert_eq!(shown(&outcome), "skipped: not_sent");
    let (record, mut json) = reply(&request_id).await;
    assert_eq!(record.key.as_deref(), request_id.rsplit_once('/').map(|it| it.0));
    let headers = ["ce_type", "ce_source", "ce_tenant"].map(|it| record.headers[it].clone());
    assert_eq!(headers, ["RSDeviceCreatedReply", "/rsadaptor", "isp-1"]);
    assert_eq!(record.headers["ce_subject"], service.device.as_str());
    assert_eq!(json["resource"], service.device.as_str());
    assert!(!record.headers.contains_key("ce_requestid"));
    json["request_id"] = json!("R");
    json["resource"] = json!("D");
    expect![[r#"{"error":null,"held_revision":null,"http_status":null,"job_id":"j-1","request_id":"R","resource":"D","revision":10,"status":"not_sent"}"#]].assert_eq(&json.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_record_is_not_sent_even_where_the_circuit_is_open() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    let service = Service::start().await;
    service.created(10, json!({})).await;
    service.backend.everything(Some(status(401)));
    service.created(11, json!({"name": "b"})).await;
    service.backend.calls();
    let mut late = message("RSDeviceUpdated", service.state(12, json!({"name": "b"})));
    late.attributes.expires_at = Some("2020-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(service.attempt(&first(late)).await, Outcome::Skipped("expired"));
    assert_eq!(service.backend.calls(), Vec::<String>::new());
    // An earlier attempt may have sent it, so what is held is not known any more.
    assert_eq!(service.applied().await, "device 10 unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_record_is_answered_by_what_its_envelope_says() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    let service = Service::start().await;
    let request_id = format!("{}/d-1", unique("task"));
    let mut malformed = message("RSDeviceCreated", service.state(10, json!({})));
    malformed.payload = br#"{"isp_id": "isp-1"}"#.to_vec();
    let outcome = service.attempt(&first(asking(malformed, &request_id))).await;
    assert_eq!(shown(&outcome), "skipped: rejected");
    let (record, json) = reply(&request_id).await;
    assert_eq!(record.headers["ce_tenant"], "isp-1");
    assert_eq!(json["resource"], service.device.as_str());
    expect![[r#"revision=0 held_revision=null status="rejected" http_status=null error="malformed `RSDeviceCreated`: missing field `account_id` at line 1 column 19""#]]
        .assert_eq(&line(&json));
}
