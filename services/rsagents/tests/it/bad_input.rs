//! Bad requests are set aside with a reason and stop nothing behind them.

use serde_json::json;
use testkit::{eventually, records::read};

use crate::service::{LIMIT, REQUESTS, Service, counts};

#[tokio::test]
async fn requests_that_make_no_sense_are_set_aside_and_the_next_is_handled() {
    let service = Service::start().await;
    service.hold(&["p1"]).await;
    service.ask(json!({"window": "many"})).await;
    service.ask(json!({"request_id": "another/agents"})).await;
    service.control("redrive").await;
    service.say("RSSyncNothing", json!({"job_id": service.job})).await;
    service.ask(json!({})).await;
    let wanted = counts([("total", 2), ("applied", 2)]);
    assert_eq!(service.ends().await, ("completed".to_owned(), wanted));
    let topic = events::topics::dead_letter_topic(REQUESTS, rsagents::SERVICE);
    let look = async || {
        let mut letters = read(&service.kafka, &topic).await.unwrap();
        letters.retain(|it| it.key.as_deref() == Some(service.job.as_str()));
        Some(letters).filter(|it| it.len() >= 4)
    };
    let letters = eventually("four dead letters", LIMIT, look).await;
    let errors: Vec<_> = letters.iter().map(|it| it.headers["dlq_error"].as_str()).collect();
    let has = |it: &str| assert!(errors.iter().any(|error| error.contains(it)), "{errors:?}");
    has("malformed `RSSyncAgentPackages`");
    has("`another/agents` is no request of the job");
    has("without a request of its own");
    assert_eq!(letters.len(), 4);
}

#[tokio::test]
async fn replies_of_nobody_s_and_of_others_tasks_change_nothing() {
    let service = Service::start().await;
    service.hold(&["p1"]).await;
    let sender = testkit::records::Sender::new(&service.kafka).unwrap();
    let bulk = format!("{}/agents/000000", service.job);
    let reply = |request_id: &str| {
        json!({"request_id": request_id, "job_id": service.job, "resource": "x", "revision": 1,
            "held_revision": null, "status": "applied", "http_status": 204, "error": null})
    };
    for (event_type, request_id) in [
        ("RSDeviceCreatedReply", format!("{bulk}/d-1")),
        ("RSSystemReply", format!("{bulk}/x")),
        ("RSAgentPackageCreatedReply", format!("{bulk}/{}", service.id("p1"))),
        ("RSAgentPackageCreatedReply", "alone".to_owned()),
    ] {
        let event = testkit::records::Event {
            topic: "as-rs-adaptor-reply-topic".to_owned(),
            event_type: event_type.to_owned(),
            key: Some(bulk.clone()),
            data: reply(&request_id),
        };
        sender.send(&event).await.unwrap();
    }
    service.ask(json!({})).await;
    let wanted = counts([("total", 2), ("applied", 2)]);
    assert_eq!(service.ends().await, ("completed".to_owned(), wanted));
    assert_eq!(service.sent_names().await, ["p1"]);
    let topic = "as-rs-adaptor-reply-topic";
    let topic = events::topics::dead_letter_topic(topic, rsagents::SERVICE);
    let letters = read(&service.kafka, &topic).await.unwrap();
    assert!(letters.iter().all(|it| it.key.as_ref() != Some(&bulk)), "{letters:?}");
}
