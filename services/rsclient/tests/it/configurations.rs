//! `ISPGlobalConfigurationsCreated`, `ISPGlobalConfigurationsUpdated`.

use eventbus::Outcome;
use serde_json::{Value, json};

use crate::{
    jobs::{Job, applies},
    service::Service,
};

#[tokio::test]
async fn what_an_isp_says_reaches_all_of_its_devices_in_batches() {
    let service = Service::start_with(&[("RSCLIENT__SYNC__BULK_REQUESTS", "2")]).await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    for n in 0..5 {
        service.done("DeviceCreated", service.device(&format!("d{n}"), 1, json!({}))).await;
    }
    let configuration = |revision: u64, enabled: bool| {
        let services = json!({"threat_protection": {"enabled": enabled}});
        json!({"isp_id": service.isp, "revision": revision, "services": services})
    };
    service.done("ISPGlobalConfigurationsCreated", configuration(5, false)).await;
    Job::walk(&service).run(applies).await;
    let older = service.handle("ISPGlobalConfigurationsUpdated", configuration(4, true)).await;
    assert_eq!(older, Outcome::Skipped("superseded"));
    let last = service.last_said().await;
    assert_eq!(last.len(), 5);
    for (event_type, device) in last.values() {
        assert_eq!(event_type, "RSDeviceUpdated");
        assert_eq!(device["services"]["threat_protection"]["enabled"], json!(false));
    }
    service.done("ISPGlobalConfigurationsUpdated", configuration(6, true)).await;
    let stored = service.stored("service_configurations", &service.isp).await;
    assert_eq!(stored.get_i64("revision").unwrap(), 6);
}

#[tokio::test]
async fn a_change_during_the_walk_makes_it_go_round_once_more() {
    let service = Service::start_with(&[("RSCLIENT__SYNC__BULK_REQUESTS", "2")]).await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    for n in 0..5 {
        service.done("DeviceCreated", service.device(&format!("d{n}"), 1, json!({}))).await;
    }
    let configuration = |revision: u64| {
        let services = json!({"threat_protection": {"enabled": revision == 3}});
        json!({"isp_id": service.isp, "revision": revision, "services": services})
    };
    for revision in 1..=3 {
        service.done("ISPGlobalConfigurationsUpdated", configuration(revision)).await;
    }
    let mut walk = Job::walk(&service);
    walk.run(applies).await;
    assert_eq!(walk.sent.len(), 10, "once, and once more for all changes meanwhile");
    for (_, device) in service.last_said().await.values() {
        assert_eq!(device["services"]["threat_protection"]["enabled"], json!(true));
    }
}

#[tokio::test]
async fn a_device_that_is_too_large_for_the_bus_keeps_no_other_from_being_published() {
    let service = Service::start_with(&[("RSCLIENT__SYNC__BULK_REQUESTS", "2")]).await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    let rules = |of: &str| {
        let list = |name: &str| {
            let domain = |n| format!("{n}.{of}.{name}.{}.{0}.{0}", "x".repeat(60));
            (0..1_000).map(domain).collect::<Vec<_>>()
        };
        json!({"allow": list("allow"), "block": list("block")})
    };
    for n in 0..5 {
        let members = if n == 1 { json!({"rules": rules("device")}) } else { json!({}) };
        service.done("DeviceCreated", service.device(&format!("d{n}"), 1, members)).await;
    }
    let configuration = |revision: u64| {
        let services = json!({"threat_protection": {"enabled": false}});
        let rules = rules("isp");
        json!({"isp_id": service.isp, "revision": revision, "services": services, "rules": rules})
    };
    service.done("AccountUpdated", service.account(2, json!({"rules": rules("account")}))).await;
    service.done("ISPGlobalConfigurationsCreated", configuration(1)).await;
    let mut walk = Job::walk(&service);
    walk.run(applies).await;
    let failures = service.app.async_tasks.failures();
    let classes = failures.classes(&walk.id.parse().unwrap()).await.unwrap();
    assert_eq!((classes[0].class.as_str(), classes[0].count), ("too_large", 1));
    let told = |it: &Value| it["services"]["threat_protection"]["enabled"] == json!(false);
    let last = service.last_said().await;
    let told: Vec<bool> = last.values().map(|(_, device)| told(device)).collect();
    assert_eq!(told, [true, false, true, true, true]);
}
