//! `RSCancelSync`, `RSSyncControl`, failures and silence: how a sync ends that does not go smoothly.

use eventbus::Outcome;
use mongodb::bson::doc;
use serde_json::{Value, json};
use testkit::unique;

use crate::{
    jobs::{Job, applies},
    service::Service,
};

async fn home(devices: usize, settings: &[(&str, &str)]) -> Service {
    let service = Service::start_with(settings).await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    for n in 0..devices {
        service.done("DeviceCreated", service.device(&format!("d{n}"), 1, json!({}))).await;
    }
    service
}

fn count(reply: &Value, name: &str) -> u64 {
    reply["counts"][name].as_u64().unwrap()
}

const SMALL: [(&str, &str); 2] =
    [("RSCLIENT__SYNC__BULK_REQUESTS", "2"), ("RSCLIENT__SYNC__RECORD_SECONDS", "1")];

#[tokio::test]
async fn a_cancelled_sync_opens_nothing_more_and_says_what_was_not_sent() {
    let service = home(9, &SMALL).await;
    let mut job = Job::new(&service, &unique("j"));
    job.ask_for_accounts(json!({"window": 4})).await;
    job.run(|_, _| None).await;
    assert_eq!(job.sent.len(), 4);
    assert_eq!(job.ask("RSCancelSync", json!({})).await, Outcome::Done);
    for (n, it) in job.sent.iter().enumerate() {
        let reply = json!({
            "request_id": it.headers["ce_requestid"], "job_id": job.id, "resource": "d",
            "revision": 1, "held_revision": null, "http_status": null, "error": null,
            "status": (if n == 0 { "applied" } else { "expired" }),
        });
        job.answered(&reply).await;
    }
    job.run_until_ended().await;
    let reply = job.last_reply("accounts").await.unwrap();
    let names = ["applied", "not_sent", "unknown", "total"];
    assert_eq!(names.map(|it| count(&reply, it)), [1, 8, 0, 9]);
}

#[tokio::test]
async fn a_request_that_comes_after_its_cancel_does_not_start() {
    let service = home(2, &[]).await;
    let mut job = Job::new(&service, &unique("j"));
    assert_eq!(job.ask("RSCancelSync", json!({})).await, Outcome::Done);
    assert_eq!(job.ask_for_accounts(json!({})).await, Outcome::Skipped("superseded"));
    job.run(applies).await;
    assert!(job.sent.is_empty());
    assert_eq!(job.last_reply("accounts").await.unwrap()["status"], json!("cancelled"));
}

#[tokio::test]
async fn what_was_rejected_is_kept_and_can_be_sent_again_alone() {
    let service = home(5, &[]).await;
    let mut job = Job::new(&service, &unique("j"));
    job.ask_for_accounts(json!({})).await;
    let bad = [service.id("d1"), service.id("d3")];
    let rejected = json!({"status": "rejected", "http_status": 422, "error": "no such type"});
    job.run(|key, _| match bad.iter().any(|it| it == key) {
        true => Some(rejected.clone()),
        false => Some(json!({})),
    })
    .await;
    let reply = job.last_reply("accounts").await.unwrap();
    assert_eq!(reply["status"], json!("completed_with_failures"));
    assert_eq!((count(&reply, "applied"), count(&reply, "rejected")), (3, 2));
    let failures = service.app.async_tasks.failures();
    let job_id = job.id.parse().unwrap();
    let classes = failures.classes(&job_id).await.unwrap();
    assert_eq!((classes[0].class.as_str(), classes[0].count), ("422", 2));
    job.sent.clear();
    let redrive = json!({"action": "redrive", "request_id": format!("{}/accounts~1", job.id)});
    assert_eq!(job.ask("RSSyncControl", redrive).await, Outcome::Done);
    job.run(applies).await;
    let mut again: Vec<String> = job.sent.iter().filter_map(|it| it.key.clone()).collect();
    again.sort_unstable();
    assert_eq!(again, bad);
    assert_eq!(job.last_reply("accounts~1").await.unwrap()["status"], json!("completed"));
    assert!(failures.classes(&job_id).await.unwrap().is_empty());
}

#[tokio::test]
async fn too_many_failures_pause_the_job_and_a_resume_goes_on() {
    let settings = [("RSCLIENT__SYNC__BULK_REQUESTS", "2"), ("RSCLIENT__SYNC__BUDGET__RUN", "3")];
    let service = home(9, &settings).await;
    let mut job = Job::new(&service, &unique("j"));
    job.ask_for_accounts(json!({"window": 4})).await;
    let rejected = json!({"status": "rejected", "http_status": 422, "error": "no"});
    job.run(|_, _| Some(rejected.clone())).await;
    assert_eq!(job.sent.len(), 4, "two bulks, then it is paused");
    let id = format!("{}/accounts", job.id);
    let state = || async {
        service.stored("async_tasks", &id).await.get_document("state").unwrap().clone()
    };
    assert_eq!(state().await.get_str("name").unwrap(), "paused");
    let resume = json!({"action": "resume"});
    assert_eq!(job.ask("RSSyncControl", resume).await, Outcome::Done);
    job.run_until_ended().await;
    let reply = job.last_reply("accounts").await.unwrap();
    assert_eq!((count(&reply, "applied"), count(&reply, "rejected")), (5, 4));
}

#[tokio::test]
async fn what_came_too_late_is_sent_again_and_is_no_failure() {
    let service = home(4, &SMALL).await;
    let mut job = Job::new(&service, &unique("j"));
    job.ask_for_accounts(json!({})).await;
    let late = service.id("d1");
    let expired = json!({"status": "expired", "http_status": null, "held_revision": null});
    job.run(|key, _| Some(if key == late { expired.clone() } else { json!({}) })).await;
    job.run_until_ended().await;
    let copies: Vec<_> = job.sent.iter().filter(|it| it.key.as_ref() == Some(&late)).collect();
    assert_eq!(copies.len(), 2);
    assert_ne!(copies[0].headers["ce_expiresat"], copies[1].headers["ce_expiresat"]);
    let reply = job.last_reply("accounts").await.unwrap();
    assert_eq!((count(&reply, "applied"), count(&reply, "rejected")), (4, 0));
}

#[tokio::test]
async fn a_document_of_another_version_is_left_alone_and_the_others_go_on() {
    let service = home(2, &SMALL).await;
    let mut job = Job::new(&service, &unique("j"));
    let foreign = doc! { "_id": format!("{}/foreign", job.id), "version": 99, "wake_at": 1_i64 };
    service.database.collection("async_tasks").insert_one(foreign).await.unwrap();
    job.ask_for_accounts(json!({})).await;
    job.wake().await;
    job.run(applies).await;
    assert_eq!(job.last_reply("accounts").await.unwrap()["status"], json!("completed"));
    let parked = service.stored("async_tasks", &format!("{}/foreign", job.id)).await;
    assert!(parked.get_i64("wake_at").unwrap() > 1);
}
