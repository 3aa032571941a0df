//! Records go through the broker unchanged, and lag is what is not committed.

use std::collections::BTreeSet;

use serde_json::json;
use testkit::{
    kafka,
    records::{Event, Sender, read},
    topics,
};

#[tokio::test]
async fn an_event_is_a_cloudevent_under_the_key_of_the_registry() {
    let account = testkit::unique("a");
    let data = json!({
        "isp_id": "isp-1", "users": [], "devices": [],
        "account": {"isp_id": "isp-1", "account_id": account, "revision": 1, "status": "active"},
    });
    let sender = Sender::new(&kafka()).unwrap();
    let at = sender.send(&Event::provision(data.clone())).await.unwrap();
    let records = read(&kafka(), "as-provision-topic").await.unwrap();
    let record = records.iter().find(|it| (it.partition, it.offset) == at).unwrap();
    assert_eq!(record.key.as_deref(), Some(account.as_str()));
    assert_eq!(record.json().unwrap(), data);
    assert_eq!(record.headers["ce_type"], "ProvisionCreated");
    assert_eq!(record.headers["ce_subject"], account);
    assert_eq!(record.headers["ce_tenant"], "isp-1");
    assert_eq!(record.headers["content-type"], "application/json");
}

#[tokio::test]
async fn making_the_topics_again_changes_nothing() {
    topics::create(&kafka()).await.unwrap();
    topics::create(&kafka()).await.unwrap();
    let names: BTreeSet<_> = topics::wanted().into_iter().map(|it| it.name).collect();
    assert!(names.contains("as-provision-topic.rsclient.dlq"));
    assert_eq!(names.len(), topics::wanted().len());
}

#[tokio::test]
async fn a_group_that_skips_to_the_end_has_no_lag() {
    // A group whose service is not part of this workspace yet, so that nobody else moves it.
    let group = "notifications";
    let data = json!({"isp_id": "isp-1", "account_id": testkit::unique("a")});
    let event = Event {
        topic: "as-notification-topic".to_owned(),
        event_type: "threat_blocked".to_owned(),
        key: None,
        data,
    };
    let sender = Sender::new(&kafka()).unwrap();
    sender.send(&event).await.unwrap();
    testkit::settled::skip_to_end(&kafka(), &[group]).await.unwrap();
    let lag = async || -> i64 {
        let lags = testkit::settled::lags(&kafka(), &[group]).await.unwrap();
        lags.iter().map(|it| it.records).sum()
    };
    assert_eq!(lag().await, 0);
    sender.send(&event).await.unwrap();
    assert_eq!(lag().await, 1);
}
