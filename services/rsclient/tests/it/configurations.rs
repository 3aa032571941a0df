//! `ISPGlobalConfigurationsCreated`, `ISPGlobalConfigurationsUpdated`.

use eventbus::Outcome;
use serde_json::json;

use crate::service::Service;

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
