//! `ISPGlobalConfigurationsCreated`, `ISPGlobalConfigurationsUpdated`.

use std::collections::{BTreeMap, BTreeSet};

use eventbus::Outcome;
use rsclient::infrastructure::kafka::on_record;
use serde_json::{Value, json};

use crate::service::{Service, first, message, shown};

#[tokio::test]
async fn what_an_isp_says_reaches_all_of_its_devices_in_batches() {
    let service = Service::start_with(&[("RSCLIENT__PUBLISHING__BATCH_DEVICES", "2")]).await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    for n in 0..5 {
        service.done("DeviceCreated", service.device(&format!("d{n}"), 1, json!({}))).await;
    }
    let configuration = |revision: u64, enabled: bool| {
        let services = json!({"threat_protection": {"enabled": enabled}});
        json!({"isp_id": service.isp, "revision": revision, "services": services})
    };
    service.done("ISPGlobalConfigurationsCreated", configuration(5, false)).await;
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
async fn each_message_that_a_configuration_causes_has_an_id_that_a_repetition_repeats() {
    let service = Service::start_with(&[("RSCLIENT__PUBLISHING__BATCH_DEVICES", "2")]).await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    for n in 0..5 {
        service.done("DeviceCreated", service.device(&format!("d{n}"), 1, json!({}))).await;
    }
    let before = service.published().await.len();
    let configuration = json!({"isp_id": service.isp, "revision": 1});
    let delivery = first(message("ISPGlobalConfigurationsCreated", &configuration));
    for _ in 0..2 {
        assert_eq!(on_record(&service.app, &delivery).await, Outcome::Done);
    }
    let mut ids = BTreeMap::<String, BTreeSet<String>>::new();
    let published = service.published().await;
    // In order per key: what was there before is the first of each.
    for record in &published {
        let key = record.key.clone().unwrap();
        ids.entry(key).or_default().insert(record.headers["ce_id"].clone());
    }
    assert_eq!(published.len(), before + 10);
    let per_device: Vec<usize> = ids.values().map(BTreeSet::len).collect();
    assert_eq!(per_device, [2; 5], "one id of its creation, one of both times");
    assert_eq!(ids.into_values().flatten().collect::<BTreeSet<_>>().len(), 10);
}

#[tokio::test]
async fn a_device_that_is_too_large_for_the_bus_keeps_no_other_from_being_published() {
    let service = Service::start_with(&[("RSCLIENT__PUBLISHING__BATCH_DEVICES", "2")]).await;
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
    let outcome = service.handle("ISPGlobalConfigurationsCreated", configuration(1)).await;
    let outcome = shown(&outcome);
    assert!(outcome.starts_with("rejected: Too large"), "{outcome}");
    let told = |it: &Value| it["services"]["threat_protection"]["enabled"] == json!(false);
    let last = service.last_said().await;
    let told: Vec<bool> = last.values().map(|(_, device)| told(device)).collect();
    assert_eq!(told, [true, false, true, true, true]);
}
