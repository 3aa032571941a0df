//! A process that dies after it has told others and before it has committed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use testkit::records::Sender;

use crate::{
    process::Running,
    service::{Service, published},
};

const DEVICES: usize = 20;
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_before_a_kill_is_told_again_under_the_same_ids_and_nothing_is_lost() {
    let service = Service::start().await;
    let names: Vec<String> = (0..DEVICES).map(|it| format!("d-{it}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut running = Running::start(&[("FOLDING__WINDOW_MS", "500")]).await;
    running.provision(&service.home(&names)).await;
    running.restart_with("rsevents::after-publish=return").await;

    let sender = Sender::new(&service.kafka).unwrap();
    let mut domains = BTreeSet::new();
    for round in 0..ROUNDS {
        for name in &names {
            let domain = format!("r{round}.{name}.example");
            let members = json!({"domain": domain, "category": "adult"});
            running.send(&sender, &service.event("device_event_blocked", name, &members)).await;
            domains.insert(domain);
            let active = json!({"active": round % 2 == 0});
            running.send(&sender, &service.event("device_event_active", name, &active)).await;
        }
    }
    running.dies().await;
    running.again().await;
    running.settled().await;
    running.stop().await;

    // By what they say, the ids under which it was said, and the last state of each device.
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut last: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for (_, record) in published(&service.kafka, &service.isp).await {
        let payload = record.json().unwrap();
        let id = record.headers["ce_id"].clone();
        match record.headers["ce_type"].as_str() {
            "WSPRequest" => {
                let domain = payload["domain"].as_str().unwrap().to_owned();
                ids.entry(domain).or_default().insert(id);
            }
            "PatchDevice" => {
                let status = &payload["patch"]["product_data"]["RouterSecure"]["status"];
                let at = status["active_timestamp"].as_str().unwrap().to_owned();
                let told = (at, status["active"].as_bool().unwrap());
                let device = payload["device_id"].as_str().unwrap().to_owned();
                let newest = last.entry(device).or_insert_with(|| told.clone());
                *newest = told.max(newest.clone());
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(ids.keys().cloned().collect::<BTreeSet<_>>(), domains);
    assert!(ids.values().all(|it| it.len() == 1), "told under two ids: {ids:?}");
    assert_eq!(last.len(), DEVICES);
    assert!(last.values().all(|it| it.1 == (ROUNDS % 2 == 1)), "{last:?}");
}
