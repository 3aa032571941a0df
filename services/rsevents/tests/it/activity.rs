//! Activity is told once in a window, and the last state wins.

use std::{collections::BTreeMap, time::Duration};

use eventbus::{Delivery, Outcome};
use serde_json::{Value, json};
use testkit::{eventually, records::Sender};
use tokio::time::Instant;

use crate::{
    process::{LIMIT, Running},
    service::{COMMANDS, Service, published, shown},
};

const LONG: (&str, &str) = ("FOLDING__WINDOW_MS", "60000");

/// The states that were told of each device, in order.
async fn patches(kafka: &str, isp: &str) -> BTreeMap<String, Vec<(bool, String)>> {
    let mut patches: BTreeMap<String, Vec<(bool, String)>> = BTreeMap::new();
    for (topic, record) in published(kafka, isp).await {
        if topic == COMMANDS && record.headers["ce_type"] == "PatchDevice" {
            let payload = record.json().unwrap();
            let status = &payload["patch"]["product_data"]["RouterSecure"]["status"];
            let told = (
                status["active"].as_bool().unwrap(),
                status["active_timestamp"].as_str().unwrap().to_owned(),
            );
            let device = payload["device_id"].as_str().unwrap().replace(&format!("{isp}-"), "");
            patches.entry(device).or_default().push(told);
        }
    }
    patches
}

fn moment(delivery: &Delivery) -> String {
    let event: Value = serde_json::from_slice(&delivery.message.payload).unwrap();
    event["timestamp"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn of_what_a_device_says_within_a_batch_the_newest_is_told() {
    let service = Service::start_with(&[LONG]).await;
    service.provide(&["d-1", "d-2"]).await;
    let batch = [
        service.activity("d-1", true, 1),
        service.activity("d-1", false, 3),
        // It happened before the one that was said before it.
        service.activity("d-1", true, 2),
        service.activity("d-2", true, 1),
    ];
    let wanted = ["skipped: folded", "done", "skipped: folded", "done"];
    assert_eq!(shown(&service.take(&batch).await), wanted);
    let told = patches(&service.kafka, &service.isp).await;
    assert_eq!(told["d-1"], [(false, moment(&batch[1]))]);
    assert_eq!(told["d-2"], [(true, moment(&batch[3]))]);
}

#[tokio::test]
async fn within_a_window_activity_is_held_and_at_its_end_the_newest_is_told() {
    let service = Service::start_with(&[("FOLDING__WINDOW_MS", "300")]).await;
    service.provide(&["d-1"]).await;
    service.told(service.activity("d-1", true, 1)).await;
    let (second, third) = (service.activity("d-1", false, 2), service.activity("d-1", true, 3));
    let held = service.take(&[second, third.clone()]).await;
    assert_eq!(shown(&held), ["skipped: folded", "held"]);
    let Outcome::RetryAfter { after, .. } = held[1] else { unreachable!() };
    assert!(after <= Duration::from_millis(300), "{after:?}");
    assert_eq!(patches(&service.kafka, &service.isp).await["d-1"].len(), 1);
    let fourth = service.activity("d-1", false, 4);
    let ended = eventually("the window ends", LIMIT, async || {
        let outcomes = shown(&service.take(&[third.clone(), fourth.clone()]).await);
        (outcomes[1] != "held").then_some(outcomes)
    });
    assert_eq!(ended.await, ["skipped: folded", "done"]);
    let told = patches(&service.kafka, &service.isp).await.remove("d-1").unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1], (false, moment(&fourth)));
}

#[tokio::test]
async fn nothing_passes_held_activity_of_its_device_and_other_devices_do() {
    let service = Service::start_with(&[LONG]).await;
    service.provide(&["d-1", "d-2"]).await;
    service.told(service.activity("d-1", true, 1)).await;
    let batch = [
        service.connected("d-1"),
        service.activity("d-1", false, 2),
        service.connected("d-1"),
        service.connected("d-2"),
    ];
    assert_eq!(shown(&service.take(&batch).await), ["done", "held", "held", "done"]);
    assert_eq!(service.accounts_told().await.len(), 2);
}

#[tokio::test]
async fn what_is_older_than_what_was_told_in_a_window_is_not_told() {
    let service = Service::start_with(&[LONG]).await;
    service.provide(&["d-1"]).await;
    service.told(service.activity("d-1", true, 5)).await;
    let late = service.activity("d-1", false, 4);
    assert_eq!(shown(&service.take(&[late]).await), ["skipped: folded"]);
}

#[tokio::test]
async fn without_a_window_everything_is_told_but_what_comes_together() {
    let service = Service::start_with(&[("FOLDING__WINDOW_MS", "0")]).await;
    service.provide(&["d-1"]).await;
    for second in 1..4 {
        service.told(service.activity("d-1", second % 2 == 0, second)).await;
    }
    assert_eq!(patches(&service.kafka, &service.isp).await["d-1"].len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_comes_and_goes_is_told_once_a_window_and_ends_in_its_last_state() {
    let service = Service::start().await;
    let running = Running::start(&[("FOLDING__WINDOW_MS", "1000")]).await;
    let names = ["d-1", "d-2", "d-3"];
    running.provision(&service.home(&names)).await;
    let sender = Sender::new(&service.kafka).unwrap();
    let began = Instant::now();
    let mut last: BTreeMap<&str, (bool, String)> = BTreeMap::new();
    for n in 0..60 {
        for name in names {
            let event = service.event("device_event_active", name, &json!({"active": n % 2 == 0}));
            last.insert(name, (n % 2 == 0, moment(&event)));
            running.send(&sender, &event).await;
        }
    }
    running.settled().await;
    let windows = began.elapsed().as_secs() as usize + 2;
    let told = patches(&service.kafka, &service.isp).await;
    for name in names {
        let told = &told[name];
        assert_eq!(told.last(), last.get(name), "{name}");
        assert!(told.len() <= windows, "{name}: {} in {windows} windows", told.len());
    }
    running.stop().await;
}
