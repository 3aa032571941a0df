//! What cannot be handled has a defined end, with a reason.

use eventbus::Outcome;
use expect_test::{Expect, expect};
use mongodb::bson::doc;
use serde_json::{Value, json};

use crate::service::{Service, first, message, shown, with};

async fn check(service: &Service, event_type: &str, data: Value, expect: Expect) {
    let outcome = shown(&service.handle(event_type, data).await);
    expect.assert_eq(&outcome.replace(&service.id(""), ""));
}

#[tokio::test]
async fn a_malformed_payload_is_rejected_with_the_member_that_is_wrong() {
    let service = Service::start().await;
    let good = || service.device("d", 1, json!({}));
    let mut without_mac = good();
    without_mac.as_object_mut().unwrap().remove("mac");
    check(&service, "DeviceCreated", without_mac, expect!["rejected: The input is not valid: malformed `DeviceCreated`: missing field `mac` at line 1 column 151"]).await;
    let long = with(good(), json!({"device_id": "d".repeat(65)}));
    check(&service, "DeviceCreated", long, expect!["rejected: The input is not valid: malformed `DeviceCreated`: device_id must be 1 to 64 characters of A-Z a-z 0-9 ._:- at line 1 column 110"]).await;
    let fraction = with(good(), json!({"revision": 1.5}));
    check(&service, "DeviceCreated", fraction, expect!["rejected: The input is not valid: malformed `DeviceCreated`: invalid type: floating point `1.5`, expected u64 at line 1 column 178"]).await;
    check(&service, "DeviceCreated", json!("no object"), expect![[r#"rejected: The input is not valid: malformed `DeviceCreated`: invalid type: string "no object", expected struct Device at line 1 column 11"#]]).await;
    check(&service, "DeviceCreated", json!([]), expect!["rejected: The input is not valid: malformed `DeviceCreated`: invalid length 0, expected struct Device with 20 elements at line 1 column 2"]).await;
    assert_eq!(service.said("/none").await, "");
}

#[tokio::test]
async fn an_event_of_another_isp_for_a_known_entity_is_rejected_at_any_revision() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(5, json!({}))).await;
    service.done("UserCreated", service.user("u", 5, json!({}))).await;
    service.done("DeviceCreated", service.device("d", 5, json!({}))).await;
    let other = json!({"isp_id": service.id("other")});
    for revision in [1, 5, 9] {
        let account = with(service.account(revision, json!({})), other.clone());
        let reason = expect!["rejected: tenant_mismatch: `a` belongs to another ISP"];
        check(&service, "AccountUpdated", account, reason).await;
        let user = with(service.user("u", revision, json!({})), other.clone());
        let reason = expect!["rejected: tenant_mismatch: `u` belongs to another ISP"];
        check(&service, "UserUpdated", user, reason).await;
        let device = service.deletion("device_id", &service.id("d"), revision);
        let reason = expect!["rejected: tenant_mismatch: `d` belongs to another ISP"];
        check(&service, "DeviceDeleted", with(device, other.clone()), reason).await;
        let account = with(service.deletion("x", "", revision), other.clone());
        let reason = expect!["rejected: tenant_mismatch: `a` belongs to another ISP"];
        check(&service, "AccountDeleted", account, reason).await;
    }
    assert_eq!(service.said("/none").await, "RSDeviceCreated d\nRSUserUpdated u");
}

#[tokio::test]
async fn an_envelope_of_another_isp_than_its_payload_is_rejected() {
    let service = Service::start().await;
    let mut message = message("AccountCreated", &service.account(1, json!({})));
    message.attributes.tenant = Some("someone-else".parse().unwrap());
    let outcome = rsclient::infrastructure::kafka::on_record(&service.app, &first(message)).await;
    expect!["rejected: tenant_mismatch: sent by `someone-else`, says `isp`"]
        .assert_eq(&shown(&outcome).replace(&service.id(""), ""));
}

#[tokio::test]
async fn a_device_of_an_account_of_another_isp_waits() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let stranger = service.device("d", 1, json!({"isp_id": service.id("other")}));
    service.done("DeviceCreated", stranger).await;
    service.done("AccountUpdated", service.account(2, json!({}))).await;
    assert_eq!(service.said("/none").await, "");
}

#[tokio::test]
async fn a_number_that_the_store_cannot_hold_is_rejected_and_a_name_that_looks_like_an_operator_is_not()
 {
    let service = Service::start().await;
    let router = |name: &str, value: u64| {
        service.device("r", 1, json!({"kind": "router", "upload_intervals": {name: value}}))
    };
    let outcome = service.handle("DeviceCreated", router("stats_seconds", u64::MAX)).await;
    let shown = shown(&outcome);
    assert!(shown.contains("a count must be below 2^53"), "{shown}");
    for name in ["$ref", "$id", "$where", "a.b", "", "_id"] {
        service.done("DeviceCreated", router(name, 1)).await;
    }
}

#[tokio::test]
async fn a_stored_document_that_cannot_be_read_counts_against_the_record_that_needs_it() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    service.done("DeviceCreated", service.device("d", 1, json!({}))).await;
    service.change("devices", &service.id("d"), doc! { "state.kind": "toaster" }).await;
    let outcome = service.handle("AccountUpdated", service.account(2, json!({}))).await;
    assert!(matches!(outcome, Outcome::RetryAfter { counted: true, .. }), "{outcome:?}");
}
