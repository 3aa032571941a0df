use std::collections::BTreeMap;

use eventbus::{Delivery, Outcome};
use events::{SyncCounts, SyncStatus};
use expect_test::expect;
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{FULL_SYNC, Service, applied_of, completed, message, reply_of, running};

fn shown(job: &Value) -> String {
    let counts = &job["counts"];
    let reason = job["reason"].as_str().map_or_else(String::new, |it| format!(" ({it})"));
    let (state, step) = (job["state"].as_str().unwrap(), job["step"].as_str().unwrap());
    format!("{state}{reason}, {step}: {} of {}", counts["applied"], counts["total"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_asks_for_one_step_after_the_other_and_ends_with_the_last() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    let mut log = vec![shown(&service.job(&job_id).await)];
    for reply in [
        completed(&job_id, "system", 2),
        running(&job_id, "agents", 1, None),
        completed(&job_id, "agents", 3),
        running(&job_id, "accounts", 4, None),
        completed(&job_id, "accounts", 10),
    ] {
        assert_eq!(service.reply(&reply).await, Outcome::Done);
        log.push(shown(&service.job(&job_id).await));
    }
    log.extend(service.said(&job_id).await);
    expect![[r#"
        running, system: 0 of 0
        running, agent_packages: 2 of 2
        running, agent_packages: 3 of 12
        running, accounts: 5 of 5
        running, accounts: 9 of 15
        completed, ended: 15 of 15
        rsclient: RSSyncSystem /system
        rsclient: RSSyncAccounts /accounts
        rsagents: RSSyncAgentPackages /agents"#]]
    .assert_eq(&log.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_carries_all_that_the_caller_asked_for() {
    let service = Service::start().await;
    let job_id = service
        .start_job(
            Some("isp-1"),
            json!({"scope": {"account_id": "a-1"}, "mode": "delta", "window": 7, "rate_per_s": 3}),
        )
        .await;
    let records = testkit::records::read(&testkit::kafka(), "as-rs-client-request-topic").await;
    let record = records.unwrap().into_iter().find(|it| it.key.as_deref() == Some(&job_id));
    let record = record.unwrap();
    let headers: BTreeMap<_, _> = record
        .headers
        .iter()
        .filter(|(name, _)| !["ce_id", "ce_time", "traceparent"].contains(&name.as_str()))
        .collect();
    let text = format!("{headers:?} {}", record.json().unwrap()).replace(&job_id, "j");
    expect![[r#"{"ce_jobid": "j", "ce_requestid": "j/system", "ce_source": "/rssync", "ce_specversion": "1.0", "ce_subject": "j", "ce_tenant": "isp-1", "ce_type": "RSSyncSystem", "content-type": "application/json"} {"job_id":"j","mode":"delta","rate_per_s":3,"request_id":"j/system","scope":{"account_id":"a-1","isp_id":"isp-1"},"window":7}"#]].assert_eq(&text);
    let job = service.job(&job_id).await;
    assert_eq!(job["requested_by"], "testkit");
    assert_eq!((&job["ended_at"], &job["rate_per_s"]), (&Value::Null, &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_late_and_unknown_replies_change_nothing() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    let skipped = Outcome::Skipped("no request is open");
    let system = completed(&job_id, "system", 2);
    assert_eq!(service.reply(&completed(&job_id, "accounts", 9)).await, skipped);
    let outcomes = service.replies(&[system.clone(), system.clone()]).await;
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done]);
    assert_eq!(service.job(&job_id).await["counts"]["applied"], 2);
    for late in [&system, &running(&job_id, "system", 1, None)] {
        assert_eq!(service.reply(late).await, skipped);
    }
    assert_eq!(service.reply(&completed("j-unknown", "system", 9)).await, skipped);
    assert_eq!(service.reply(&completed(&job_id, "agents", 1)).await, Outcome::Done);
    assert_eq!(service.reply(&completed(&job_id, "accounts", 1)).await, Outcome::Done);
    assert_eq!(service.reply(&completed(&job_id, "accounts", 1)).await, skipped);
    let job = service.job(&job_id).await;
    assert_eq!((&job["state"], &job["counts"]["applied"]), (&json!("completed"), &json!(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn running_counts_are_heard_in_any_order() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    service.reply(&running(&job_id, "system", 8, None)).await;
    service.reply(&running(&job_id, "system", 3, None)).await;
    let job = service.job(&job_id).await;
    assert_eq!((&job["counts"]["applied"], &job["counts"]["total"]), (&json!(8), &json!(10)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_fails_the_job_and_nothing_more_is_asked_for() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    let counts = SyncCounts { total: 2, unknown: 2, ..SyncCounts::default() };
    let failed = reply_of(&job_id, "system", SyncStatus::Failed, counts, Some("its time was over"));
    assert_eq!(service.reply(&failed).await, Outcome::Done);
    let job = service.job(&job_id).await;
    assert_eq!(job["state"], "failed");
    assert_eq!(job["reason"], "system failed: its time was over");
    assert!(!service.said(&job_id).await.iter().any(|it| it.contains("AgentPackages")));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_a_step_are_counted_and_the_next_step_follows() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    let counts = SyncCounts { rejected: 1, ..applied_of(4, 5) };
    service.answer_all(&job_id, counts).await;
    let job = service.job(&job_id).await;
    assert_eq!(job["state"], "completed_with_failures");
    assert_eq!((&job["counts"]["rejected"], &job["counts"]["total"]), (&json!(3), &json!(15)));
    assert!(job["ended_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_silent_is_asked_again() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    service.says(&job_id, "rsclient: RSSyncSystem /system", 3).await;
    let records = testkit::records::read(&testkit::kafka(), "as-rs-client-request-topic").await;
    let mut ids: Vec<String> = records
        .unwrap()
        .into_iter()
        .filter(|it| it.key.as_deref() == Some(&job_id))
        .map(|it| it.headers["ce_id"].clone())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "a repetition is the same message");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_makes_no_sense_is_rejected_and_holds_up_no_other() {
    let service = Service::start().await;
    let answer = service.call(None, Method::POST, FULL_SYNC, None).await;
    let job_id = answer.location.unwrap().rsplit('/').next().unwrap().to_owned();
    service.begun(&job_id).await;
    let mut wrong = message(&completed(&job_id, "system", 1));
    wrong.payload = b"{}".to_vec();
    let good = message(&completed(&job_id, "system", 1));
    let deliveries = [Delivery::first(wrong, 5), Delivery::first(good, 5)];
    let outcomes = rssync::infrastructure::kafka::on_records(&service.app, &deliveries).await;
    assert!(matches!(&outcomes[0], Outcome::Reject { .. }), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Done);
}
