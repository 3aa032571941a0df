//! `RSCustomFlagsUpdated`, `RSRouterUploadIntervalsUpdated`; `ProductIsInstalled`, `Heartbeat`.

use std::time::Duration;

use chassis::{CancellationToken, Chassis};
use expect_test::expect;
use rsclient::infrastructure::heartbeat::beat_until;
use serde_json::{Value, json};
use testkit::eventually;

use crate::{rest::LIMIT, service::Service};

fn router(members: Value) -> Value {
    crate::service::with(json!({"kind": "router", "device_type": "router"}), members)
}

#[tokio::test]
async fn the_flags_of_a_router_are_said_behind_it_and_again_only_where_they_change() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let flags = |on: bool| json!({"dns_over_tls": on});
    let steps = [
        json!({"flags": flags(true), "upload_intervals": {"stats_seconds": 300}}),
        json!({"flags": flags(true), "upload_intervals": {"stats_seconds": 300}, "name": "r2"}),
        json!({"flags": flags(true), "upload_intervals": {"stats_seconds": 60}}),
        json!({"flags": flags(false), "upload_intervals": {"stats_seconds": 60}}),
        json!({}),
    ];
    for (revision, members) in (1..).zip(steps) {
        service.done("DeviceUpdated", service.device("r", revision, router(members))).await;
    }
    let tablet = json!({"flags": flags(true), "upload_intervals": {"stats_seconds": 1}});
    service.done("DeviceCreated", service.device("t", 1, tablet)).await;
    expect![[r#"
        RSDeviceCreated r
        RSCustomFlagsUpdated r {"dns_over_tls":true}
        RSDeviceUpdated r
        RSDeviceUpdated r
        RSRouterUploadIntervalsUpdated r {"dns_over_tls":true}
        RSDeviceUpdated r
        RSCustomFlagsUpdated r {"dns_over_tls":false}
        RSDeviceUpdated r
        RSCustomFlagsUpdated r {}
        RSDeviceCreated t"#]]
    .assert_eq(&service.said("/flags").await);
    let all = service.published().await;
    let intervals = all.iter().find(|it| it.headers["ce_type"].contains("Intervals")).unwrap();
    let said = intervals.json().unwrap();
    assert_eq!(said["upload_intervals"], json!({"stats_seconds": 60}));
    let before = all.iter().filter_map(|it| it.json().ok()).filter(|it| it["flags"].is_null());
    assert!(before.into_iter().any(|it| it["revision"] == said["revision"]), "one revision");
}

#[tokio::test]
async fn a_router_that_comes_back_has_its_flags_said_again() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let device = |revision| service.device("r", revision, router(json!({"flags": {"x": true}})));
    service.done("DeviceCreated", device(1)).await;
    service.done("DeviceDeleted", service.deletion("device_id", &service.id("r"), 2)).await;
    service.done("DeviceCreated", device(3)).await;
    service.done("DeviceUpdated", device(3)).await;
    expect![[r#"
        RSDeviceCreated r
        RSCustomFlagsUpdated r {"x":true}
        RSDeviceDeleted r
        RSDeviceCreated r
        RSCustomFlagsUpdated r {"x":true}
        RSDeviceUpdated r"#]]
    .assert_eq(&service.said("/flags").await);
}

#[tokio::test]
async fn a_router_that_was_something_else_meanwhile_has_its_flags_said_again() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let flags = json!({"flags": {"x": true}});
    service.done("DeviceCreated", service.device("r", 1, router(flags.clone()))).await;
    service.done("DeviceUpdated", service.device("r", 2, json!({}))).await;
    service.done("DeviceUpdated", service.device("r", 3, json!({}))).await;
    service.done("DeviceUpdated", service.device("r", 4, router(flags))).await;
    service.done("DeviceUpdated", service.device("r", 5, router(json!({})))).await;
    service.done("DeviceUpdated", service.device("r", 6, router(json!({})))).await;
    expect![[r#"
        RSDeviceCreated r
        RSCustomFlagsUpdated r {"x":true}
        RSDeviceUpdated r
        RSDeviceUpdated r
        RSDeviceUpdated r
        RSCustomFlagsUpdated r {"x":true}
        RSDeviceUpdated r
        RSCustomFlagsUpdated r {}
        RSDeviceUpdated r"#]]
    .assert_eq(&service.said("/flags").await);
}

#[tokio::test]
async fn a_router_that_waits_for_its_account_has_its_flags_said_with_it() {
    let service = Service::start().await;
    let members = router(json!({"upload_intervals": {"stats_seconds": 60}}));
    service.done("DeviceCreated", service.device("r", 1, members)).await;
    assert_eq!(service.said("/flags").await, "");
    service.done("AccountCreated", service.account(1, json!({}))).await;
    expect![[r#"
        RSDeviceCreated r
        RSRouterUploadIntervalsUpdated r {}"#]]
    .assert_eq(&service.said("/flags").await);
}

#[tokio::test]
async fn the_supervisor_hears_that_the_subsystem_is_there_and_then_that_it_still_is() {
    let service = Service::start().await;
    let (chassis, stop) = (Chassis::for_tests(), CancellationToken::new());
    chassis.health.readiness("kafka").failing("no broker");
    let heard = async || {
        let all = testkit::records::read(&service.kafka, "as-subsystem-topic").await.unwrap();
        all.into_iter().map(|it| (it.headers["ce_type"].clone(), it.json().unwrap()))
    };
    let before = heard().await.count();
    let listening = async {
        let said = eventually("three are heard", LIMIT, async || {
            let said: Vec<(String, Value)> = heard().await.skip(before).collect();
            // Other services may say the same at the same time.
            let ours = said.first().map(|it| it.1["instance"].clone());
            let said: Vec<_> =
                said.into_iter().filter(|it| Some(&it.1["instance"]) == ours.as_ref()).collect();
            (said.len() >= 3).then_some(said)
        })
        .await;
        stop.cancel();
        said
    };
    let every = Duration::from_millis(50);
    let beating = beat_until(&service.app.bus, &chassis.health, every, &stop);
    let ((), said) = tokio::join!(beating, listening);
    let types: Vec<&str> = said.iter().take(3).map(|it| it.0.as_str()).collect();
    assert_eq!(types, ["ProductIsInstalled", "Heartbeat", "Heartbeat"]);
    assert_eq!(said[0].1["subsystem"], json!("rs"));
    assert_eq!(said[0].1["version"], json!(env!("CARGO_PKG_VERSION")));
    assert_eq!(said[1].1["healthy"], json!(false));
}
