//! `AccountCreated`, `AccountUpdated`, `AccountDeleted`.

use eventbus::Outcome;
use expect_test::expect;
use mongodb::bson::{DateTime, Document, doc};
use serde_json::json;

use crate::service::Service;

#[tokio::test]
async fn an_account_that_is_created_brings_the_devices_that_wait_for_it() {
    let service = Service::start().await;
    service.done("DeviceCreated", service.device("d1", 5, json!({}))).await;
    expect![[""]].assert_eq(&service.said("/enabled").await);
    service.done("AccountCreated", service.account(7, json!({}))).await;
    expect![[r#"RSDeviceCreated d1 true"#]].assert_eq(&service.said("/enabled").await);
}

#[tokio::test]
async fn an_account_that_is_updated_publishes_its_devices_again() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    for name in ["d1", "d2"] {
        service.done("DeviceCreated", service.device(name, 1, json!({}))).await;
    }
    let suspended = service.account(2, json!({"status": "suspended"}));
    service.done("AccountUpdated", suspended).await;
    expect![[r#"
        RSDeviceCreated d1 true
        RSDeviceUpdated d1 false
        RSDeviceCreated d2 true
        RSDeviceUpdated d2 false"#]]
    .assert_eq(&service.said("/services/threat_protection/enabled").await);
}

#[tokio::test]
async fn an_account_that_is_deleted_ends_its_devices_and_they_do_not_come_back_with_it() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    service.done("DeviceCreated", service.device("old", 1, json!({}))).await;
    service.done("AccountDeleted", service.deletion("x", "", 10)).await;
    service.done("DeviceUpdated", service.device("new", 11, json!({}))).await;
    expect![[r#"
        RSDeviceCreated old
        RSDeviceDeleted old"#]]
    .assert_eq(&service.said("/none").await);
    service.done("AccountCreated", service.account(20, json!({}))).await;
    expect![[r#"
        RSDeviceCreated new
        RSDeviceCreated old
        RSDeviceDeleted old"#]]
    .assert_eq(&service.said("/none").await);
    let old = service.stored("devices", &service.id("old")).await;
    assert!(old.contains_key("expire_at"), "what ended is forgotten in time");
    let new = service.stored("devices", &service.id("new")).await;
    assert!(!new.contains_key("expire_at"));
}

#[tokio::test]
async fn a_deletion_that_is_superseded_still_ends_what_is_older() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(30, json!({}))).await;
    service.done("DeviceCreated", service.device("old", 15, json!({}))).await;
    service.done("DeviceCreated", service.device("new", 25, json!({}))).await;
    service.done("ProvisionDeleted", service.deletion("x", "", 20)).await;
    expect![[r#"
        RSDeviceCreated new
        RSDeviceUpdated new
        RSDeviceCreated old
        RSDeviceDeleted old"#]]
    .assert_eq(&service.said("/none").await);
    let account = service.stored("accounts", &service.account).await;
    assert_eq!(account.get_i64("ended_at").unwrap(), 20);
    assert_eq!(account.get_i64("revision").unwrap(), 30);
    assert!(!account.get_bool("deleted").unwrap());
}

#[tokio::test]
async fn an_account_keeps_the_highest_revision_and_a_deletion_wins_over_its_equal() {
    let service = Service::start().await;
    service.done("AccountUpdated", service.account(5, json!({}))).await;
    let older = service.handle("AccountUpdated", service.account(4, json!({}))).await;
    assert_eq!(older, Outcome::Skipped("superseded"));
    service.done("AccountUpdated", service.account(5, json!({}))).await;
    service.done("AccountDeleted", service.deletion("x", "", 5)).await;
    let equal = service.handle("AccountUpdated", service.account(5, json!({}))).await;
    assert_eq!(equal, Outcome::Skipped("superseded"));
    service.done("AccountCreated", service.account(6, json!({}))).await;
}

/// When a document goes away, in milliseconds.
fn end(document: &Document) -> i64 {
    document.get_datetime("expire_at").unwrap().timestamp_millis()
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn what_ended_with_an_account_is_forgotten_a_day_before_its_tombstone() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    service.done("UserCreated", service.user("old", 1, json!({}))).await;
    service.done("UserCreated", service.user("new", 11, json!({}))).await;
    service.done("AccountDeleted", service.deletion("x", "", 10)).await;
    let account = end(&service.stored("accounts", &service.account).await);
    let old = end(&service.stored("users", &service.id("old")).await);
    assert_eq!(old, account - DAY_MS);
    assert!(!service.stored("users", &service.id("new")).await.contains_key("expire_at"));

    // What comes late does not outlive the tombstone either.
    let soon = DateTime::from_millis(DateTime::now().timestamp_millis() + 3 * DAY_MS);
    service.change("accounts", &service.account, doc! { "expire_at": soon }).await;
    service.done("DeviceCreated", service.device("late", 2, json!({}))).await;
    service.done("UserCreated", service.user("late-user", 2, json!({}))).await;
    for (collection, name) in [("devices", "late"), ("users", "late-user")] {
        let late = end(&service.stored(collection, &service.id(name)).await);
        assert_eq!(late, soon.timestamp_millis() - DAY_MS, "{name}");
    }

    // Back again, the account has no end, and what ended with it still has.
    service.done("AccountCreated", service.account(20, json!({}))).await;
    service.done("UserCreated", service.user("later", 3, json!({}))).await;
    let later = end(&service.stored("users", &service.id("later")).await);
    assert!(later > soon.timestamp_millis(), "{later}");
}
