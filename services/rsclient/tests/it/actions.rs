//! Commands that come with a device's state.

use expect_test::expect;
use serde_json::json;

use crate::service::Service;

const LATER: &str = "2100-01-01T00:00:00Z";

#[tokio::test]
async fn a_command_is_published_once_with_the_full_state() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let action = json!({"action": {"id": "act-1", "name": "reboot", "expires_at": LATER}});
    service.done("DeviceCreated", service.device("d", 1, action)).await;
    service.done("AccountUpdated", service.account(2, json!({}))).await;
    expect![[r#"
        RSDeviceAction d {"expires_at":"2100-01-01T00:00:00Z","id":"act-1","name":"reboot"}
        RSDeviceUpdated d"#]]
    .assert_eq(&service.said("/action").await);
    let last = &service.last_said().await[&service.id("d")];
    assert_eq!(last.1["name"], json!("d"));
}

#[tokio::test]
async fn a_command_waits_for_the_account_and_an_expired_one_is_dropped() {
    let service = Service::start().await;
    let action = |id: &str, expires_at: &str| json!({"action": {"id": id, "name": "block", "expires_at": expires_at}});
    service.done("DeviceCreated", service.device("waits", 1, action("a", LATER))).await;
    let expired = action("b", "2026-01-01T00:00:00Z");
    service.done("DeviceCreated", service.device("expired", 1, expired)).await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    expect![[r#"
        RSDeviceCreated expired
        RSDeviceAction waits "a""#]]
    .assert_eq(&service.said("/action/id").await);
    for name in ["waits", "expired"] {
        let stored = service.stored("devices", &service.id(name)).await;
        assert!(!stored.contains_key("pending_action"), "{name}");
    }
}

#[tokio::test]
async fn a_newer_state_or_a_deletion_takes_a_command_back_that_nobody_has_heard() {
    let service = Service::start().await;
    let action = |id: &str| json!({"action": {"id": id, "name": "block", "expires_at": LATER}});
    for name in ["updated", "replaced", "deleted"] {
        service.done("DeviceCreated", service.device(name, 1, action("old"))).await;
    }
    service.done("DeviceUpdated", service.device("updated", 2, json!({}))).await;
    service.done("DeviceUpdated", service.device("replaced", 2, action("new"))).await;
    let deletion = service.deletion("device_id", &service.id("deleted"), 2);
    service.done("DeviceDeleted", deletion).await;
    assert!(
        !service.stored("devices", &service.id("deleted")).await.contains_key("pending_action")
    );
    service.done("DeviceCreated", service.device("deleted", 3, json!({}))).await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    expect![[r#"
        RSDeviceCreated deleted
        RSDeviceAction replaced "new"
        RSDeviceCreated updated"#]]
    .assert_eq(&service.said("/action/id").await);
}
