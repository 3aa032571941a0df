//! Changes that happen at the same time: whoever publishes the highest revision has seen every input.

use eventbus::Outcome;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::service::Service;

/// What holds once everybody is done, published once more in peace.
async fn published_in_peace(service: &Service, account_revision: u64, account: Value) {
    service.done("AccountUpdated", service.account(account_revision, account)).await;
}

#[tokio::test]
async fn the_last_word_about_a_device_knows_all_that_was_said_at_the_same_time() {
    for round in 0..12_u64 {
        let service = Service::start().await;
        let mut random = fastrand::Rng::with_seed(round);
        let mut events = Vec::new();
        let last_account = json!({"services": {"content_filtering": {"safe_search": true}}});
        for revision in 1..=4_u64 {
            let members = if revision == 4 { last_account.clone() } else { json!({}) };
            events.push(("AccountUpdated", service.account(revision, members)));
            events.push(("UserUpdated", service.user("u", revision, json!({}))));
            for name in ["d1", "d2", "d3"] {
                let members = json!({"user_id": service.id("u"), "name": format!("v{revision}")});
                events.push(("DeviceUpdated", service.device(name, revision, members)));
            }
        }
        if round % 2 == 0 {
            events.push(("DeviceDeleted", service.deletion("device_id", &service.id("d3"), 4)));
        }
        if round % 3 == 0 {
            events.push(("UserDeleted", service.deletion("user_id", &service.id("u"), 9)));
        }
        random.shuffle(&mut events);
        let handled = join_all(events.into_iter().map(|(name, it)| service.handle(name, it))).await;
        for outcome in handled {
            assert!(matches!(outcome, Outcome::Done | Outcome::Skipped(_)), "{outcome:?}");
        }
        let concurrent = devices(&service).await;
        published_in_peace(&service, 4, last_account).await;
        assert_eq!(concurrent, devices(&service).await, "round {round}");
    }
}

/// The last that was said of each device, in the words that matter.
async fn devices(service: &Service) -> Vec<(String, bool, Value)> {
    let last = service.last_said().await;
    let devices = last.into_iter().filter(|it| it.1.0.starts_with("RSDevice"));
    devices.map(|(id, (event_type, it))| (id, event_type == "RSDeviceDeleted", it)).collect()
}

#[tokio::test]
async fn what_was_written_is_read_from_the_primary_whatever_the_uri_prefers() {
    // The replica set under test has no secondary: whoever asks for one waits in vain.
    let uri = format!("{}&readPreference=secondary", testkit::mongo_uri());
    let settings = [
        ("RSCLIENT__MONGO__URI", uri.as_str()),
        ("RSCLIENT__MONGO__SERVER_SELECTION_SECONDS", "1"),
    ];
    let service = Service::start_with(&settings).await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    service.done("DeviceCreated", service.device("d", 1, json!({}))).await;
    assert_eq!(service.said("/none").await, "RSDeviceCreated d");
}
