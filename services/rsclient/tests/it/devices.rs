//! `DeviceCreated`, `DeviceUpdated`, `DeviceDeleted`.

use eventbus::Outcome;
use expect_test::expect;
use serde_json::json;

use crate::service::{Service, first, message};

#[tokio::test]
async fn a_device_is_created_updated_and_deleted() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    service.done("DeviceCreated", service.device("d", 1, json!({}))).await;
    service.done("DeviceUpdated", service.device("d", 2, json!({"name": "new"}))).await;
    let deletion = service.deletion("device_id", &service.id("d"), 3);
    service.done("DeviceDeleted", deletion.clone()).await;
    // Repeated, it has nothing more to say.
    service.done("DeviceDeleted", deletion).await;
    service.done("DeviceCreated", service.device("d", 4, json!({}))).await;
    expect![[r#"
        RSDeviceCreated d "d"
        RSDeviceUpdated d "new"
        RSDeviceDeleted d
        RSDeviceCreated d "d""#]]
    .assert_eq(&service.said("/name").await);
}

#[tokio::test]
async fn every_publication_has_a_higher_revision_and_the_time_as_its_floor() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let before = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    for _ in 0..5 {
        service.done("DeviceUpdated", service.device("d", 1, json!({}))).await;
    }
    let revisions: Vec<u64> = service
        .published()
        .await
        .iter()
        .map(|it| it.json().unwrap()["revision"].as_u64().unwrap())
        .collect();
    assert_eq!(revisions.len(), 5);
    assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
    assert!(revisions[0] >= before);
}

#[tokio::test]
async fn a_device_that_was_never_served_is_deleted_without_a_word() {
    let service = Service::start().await;
    service.done("DeviceCreated", service.device("d", 1, json!({}))).await;
    let deletion = service.deletion("device_id", &service.id("d"), 2);
    service.done("DeviceDeleted", deletion).await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    assert_eq!(service.said("/none").await, "");
}

#[tokio::test]
async fn a_deletion_that_comes_first_is_remembered() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let deletion = service.deletion("device_id", &service.id("d"), 5);
    service.done("DeviceDeleted", deletion).await;
    for revision in [4, 5] {
        let late = service.device("d", revision, json!({}));
        let late = service.handle("DeviceCreated", late).await;
        assert_eq!(late, Outcome::Skipped("superseded"));
    }
    assert!(service.stored("devices", &service.id("d")).await.contains_key("expire_at"));
    assert_eq!(service.said("/none").await, "");
    service.done("DeviceCreated", service.device("d", 6, json!({}))).await;
    assert_eq!(service.said("/none").await, "RSDeviceCreated d");
    assert!(!service.stored("devices", &service.id("d")).await.contains_key("expire_at"));
}

#[tokio::test]
async fn a_router_is_on_where_it_and_its_account_are() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let router = |revision, enabled| {
        let members = json!({
            "kind": "router", "device_type": "router", "enabled": enabled, "model": "hg-8000",
        });
        service.device("r", revision, members)
    };
    service.done("DeviceCreated", router(1, json!(null))).await;
    service.done("DeviceUpdated", router(2, json!(false))).await;
    service.done("DeviceUpdated", router(3, json!(true))).await;
    let suspended = service.account(2, json!({"status": "suspended"}));
    service.done("AccountUpdated", suspended).await;
    expect![[r#"
        RSDeviceCreated r true
        RSDeviceUpdated r false
        RSDeviceUpdated r true
        RSDeviceUpdated r false"#]]
    .assert_eq(&service.said("/enabled").await);
}

#[tokio::test]
async fn a_record_that_is_delivered_again_causes_messages_with_the_same_ids() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let delivery = first(message("DeviceCreated", &service.device("d", 1, json!({}))));
    for _ in 0..2 {
        let outcome = rsclient::infrastructure::kafka::on_record(&service.app, &delivery).await;
        assert_eq!(outcome, Outcome::Done);
    }
    let published = service.published().await;
    assert_eq!(published.len(), 2);
    assert_eq!(published[0].headers["ce_id"], published[1].headers["ce_id"]);
    assert_eq!(published[0].headers["ce_source"], "/rsclient");
    assert_eq!(published[0].headers["ce_tenant"], service.isp);
}
