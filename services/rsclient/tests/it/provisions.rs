//! `ProvisionCreated`, `ProvisionUpdated`, `ProvisionDeleted`.

use eventbus::Outcome;
use expect_test::expect;
use serde_json::{Value, json};

use crate::service::{Service, shown, with};

fn provision(service: &Service, account: Value, users: &[Value], devices: &[Value]) -> Value {
    json!({"isp_id": service.isp, "account": account, "users": users, "devices": devices})
}

#[tokio::test]
async fn a_provision_brings_a_whole_home_and_each_device_is_published_once() {
    let service = Service::start().await;
    let of_user = json!({"user_id": service.id("u")});
    let home = provision(
        &service,
        service.account(1, json!({})),
        &[service.user("u", 1, json!({}))],
        &[service.device("d1", 1, of_user), service.device("d2", 1, json!({}))],
    );
    service.done("ProvisionCreated", home).await;
    expect![[r#"
        RSDeviceCreated d1 true
        RSDeviceCreated d2 false
        RSUserUpdated u"#]]
    .assert_eq(&service.said("/services/content_filtering/safe_search").await);
}

#[tokio::test]
async fn an_update_of_a_provision_takes_each_part_by_its_own_revision() {
    let service = Service::start().await;
    let home = |account, device, name: &str| {
        let device = service.device("d", device, json!({"name": name}));
        provision(&service, service.account(account, json!({})), &[], &[device])
    };
    service.done("ProvisionCreated", home(5, 5, "first")).await;
    // Nothing in it is news.
    let older = service.handle("ProvisionUpdated", home(4, 4, "older")).await;
    assert_eq!(older, Outcome::Skipped("superseded"));
    service.done("ProvisionUpdated", home(4, 6, "newer")).await;
    service.done("ProvisionUpdated", home(7, 5, "stays")).await;
    expect![[r#"
        RSDeviceCreated d "first"
        RSDeviceUpdated d "newer"
        RSDeviceUpdated d "newer""#]]
    .assert_eq(&service.said("/name").await);
}

#[tokio::test]
async fn a_deleted_provision_is_a_deleted_account() {
    let service = Service::start().await;
    let device = service.device("d", 1, json!({}));
    let home = provision(&service, service.account(1, json!({})), &[], &[device]);
    service.done("ProvisionCreated", home).await;
    service.done("ProvisionDeleted", service.deletion("x", "", 2)).await;
    expect![[r#"
        RSDeviceCreated d
        RSDeviceDeleted d"#]]
    .assert_eq(&service.said("/none").await);
}

#[tokio::test]
async fn a_part_of_another_isp_is_refused_and_the_rest_is_taken() {
    let service = Service::start().await;
    let foreign = service.device("taken", 1, json!({"isp_id": service.id("other-isp")}));
    service.done("DeviceCreated", foreign).await;
    let devices = [service.device("taken", 9, json!({})), service.device("own", 1, json!({}))];
    let home = provision(&service, service.account(1, json!({})), &[], &devices);
    let outcome = service.handle("ProvisionCreated", home).await;
    let reason = shown(&outcome).replace(&service.id(""), "");
    expect![["rejected: tenant_mismatch: `taken` belongs to another ISP"]].assert_eq(&reason);
    expect![["RSDeviceCreated own"]].assert_eq(&service.said("/none").await);
}

#[tokio::test]
async fn parts_of_different_homes_are_no_provision() {
    let service = Service::start().await;
    let check = async |device: Value| {
        let home = provision(&service, service.account(1, json!({})), &[], &[device]);
        shown(&service.handle("ProvisionCreated", home).await)
    };
    let device = service.device("d", 1, json!({}));
    expect!["rejected: The input is not valid: devices[0] is of another account"]
        .assert_eq(&check(with(device.clone(), json!({"account_id": "elsewhere"}))).await);
    expect![["rejected: tenant_mismatch: devices[0] is of another ISP"]]
        .assert_eq(&check(with(device, json!({"isp_id": "elsewhere"}))).await);
    assert_eq!(service.said("/none").await, "");
}
