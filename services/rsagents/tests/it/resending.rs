//! What did not reach the backend is sent again, as it is then.

use serde_json::json;

use crate::{
    adaptor::AHEAD,
    service::{Service, counts},
};

#[tokio::test]
async fn what_came_too_late_is_sent_again_once_its_copy_has_expired() {
    let service = Service::start().await;
    service.hold(&["late1", "p2"]).await;
    service.ask(json!({})).await;
    let wanted = counts([("total", 3), ("applied", 3)]);
    assert_eq!(service.ends().await, ("completed".to_owned(), wanted));
    assert_eq!(service.sent_names().await, ["late1", "late1", "p2"]);
    let mut copies = service.sent().await;
    copies.retain(|it| it.key.as_ref().unwrap().ends_with("late1"));
    let header = |at: usize, name: &str| copies[at].headers[name].clone();
    assert!(header(1, "ce_time") > header(0, "ce_expiresat"), "{copies:?}");
    assert_eq!(header(1, "ce_requestid"), header(0, "ce_requestid"));
    assert_ne!(header(1, "ce_id"), header(0, "ce_id"));
}

#[tokio::test]
async fn what_is_gone_by_then_is_not_sent_again() {
    let service = Service::start().await;
    service.hold(&["slow1", "p2"]).await;
    service.ask(json!({"mode": "delta"})).await;
    service.sends(2).await;
    service.forget("slow1").await;
    let wanted = counts([("total", 3), ("applied", 2), ("gone", 1)]);
    assert_eq!(service.ends().await, ("completed".to_owned(), wanted));
    assert_eq!(service.sent_names().await, ["p2", "slow1"]);
}

#[tokio::test]
async fn a_package_that_was_set_back_is_raised_past_what_the_backend_holds() {
    let service = Service::start().await;
    service.hold(&["ahead1"]).await;
    service.ask(json!({})).await;
    let wanted = counts([("total", 2), ("applied", 2)]);
    assert_eq!(service.ends().await, ("completed".to_owned(), wanted));
    let held = i64::try_from(AHEAD + 5).unwrap();
    let stored = service.stored("ahead1").await.get_i64("revision").unwrap();
    assert!(stored > held, "{stored}");
    let mut sent = service.sent().await;
    sent.retain(|it| it.key == Some(service.id("ahead1")));
    assert_eq!(sent.pop().unwrap().json().unwrap()["revision"], stored);
}
