//! `UserCreated`, `UserUpdated`, `UserDeleted`.

use eventbus::Outcome;
use expect_test::expect;
use serde_json::json;

use crate::service::Service;

const SAFE_SEARCH: &str = "/services/content_filtering/safe_search";

#[tokio::test]
async fn a_user_that_is_created_brings_his_level_to_his_devices() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let of_user = json!({"user_id": service.id("u")});
    service.done("DeviceCreated", service.device("d", 1, of_user)).await;
    service.done("UserCreated", service.user("u", 1, json!({}))).await;
    expect![[r#"
        RSDeviceCreated d false
        RSDeviceUpdated d true
        RSUserUpdated u"#]]
    .assert_eq(&service.said(SAFE_SEARCH).await);
}

#[tokio::test]
async fn a_user_that_is_updated_changes_his_devices_and_a_deleted_one_leaves_them() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    service.done("UserCreated", service.user("u", 1, json!({}))).await;
    let of_user = json!({"user_id": service.id("u")});
    service.done("DeviceCreated", service.device("d", 1, of_user)).await;
    service.done("UserUpdated", service.user("u", 2, json!({"age_group": "adult"}))).await;
    let deletion = service.deletion("user_id", &service.id("u"), 3);
    service.done("UserDeleted", deletion.clone()).await;
    let said = service.said("/user_id").await.replace(&service.id(""), "");
    expect![[r#"
        RSDeviceCreated d "u"
        RSDeviceUpdated d "u"
        RSDeviceUpdated d null
        RSUserUpdated u "u"
        RSUserUpdated u "u"
        RSUserUpdated u "u""#]]
    .assert_eq(&said);
    let late = service.handle("UserUpdated", service.user("u", 2, json!({}))).await;
    assert_eq!(late, Outcome::Skipped("superseded"));
    service.done("UserDeleted", deletion).await;
}

#[tokio::test]
async fn a_user_of_another_account_says_nothing() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let elsewhere = json!({"account_id": service.id("other")});
    service.done("UserCreated", service.user("u", 1, elsewhere)).await;
    let of_user = json!({"user_id": service.id("u")});
    service.done("DeviceCreated", service.device("d", 1, of_user)).await;
    let last = service.last_said().await;
    assert_eq!(last[&service.id("d")].1["user_id"], json!(null));
    // He moves in, and his level with him.
    service.done("UserUpdated", service.user("u", 2, json!({}))).await;
    let last = service.last_said().await;
    assert_eq!(last[&service.id("d")].1["user_id"], json!(service.id("u")));
}
