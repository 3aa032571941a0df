//! `RSCancelSync`: nothing more is sent, and what became of the rest is told exactly.

use serde_json::json;

use crate::service::{Service, counts};

#[tokio::test]
async fn a_cancelled_job_tells_what_was_done_what_was_not_sent_and_what_is_not_known() {
    let service = Service::start().await;
    // A window of three: the two that end make room for two more, and there it stays.
    service.hold(&["1", "2", "3silent", "4silent", "5silent", "6", "7"]).await;
    service.ask(json!({"window": 3})).await;
    service.sends(5).await;
    service.cancel().await;
    let wanted = counts([("total", 8), ("applied", 2), ("not_sent", 3), ("unknown", 3)]);
    assert_eq!(service.ends().await, ("cancelled".to_owned(), wanted));
    assert_eq!(service.sent_names().await, ["1", "2", "3silent", "4silent", "5silent"]);
}

#[tokio::test]
async fn a_request_that_comes_after_its_cancel_does_not_start() {
    let service = Service::start().await;
    service.hold(&["p1"]).await;
    service.cancel().await;
    service.ask(json!({})).await;
    assert_eq!(service.ends().await, ("cancelled".to_owned(), counts([])));
    assert_eq!(service.sent_names().await, Vec::<String>::new());
    let told = service.told().await;
    assert_eq!(told[0]["reason"], "cancelled before it began");
}
