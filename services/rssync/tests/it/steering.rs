use eventbus::Outcome;
use events::{SyncCounts, SyncStatus};
use reqwest::Method;
use serde_json::json;

use crate::service::{JOBS, Service, applied_of, completed, reply_of, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_tells_both_services_until_they_have_heard_and_then_ends() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    service.reply(&completed(&job_id, "system", 2)).await;
    // An empty body means cancel.
    let answer = service.call(None, Method::POST, &format!("{JOBS}/{job_id}"), None).await;
    assert_eq!(answer.status, 204);
    let job = service.job(&job_id).await;
    assert_eq!((&job["state"], &job["step"]), (&json!("cancelling"), &json!("agent_packages")));
    for to in ["rsclient", "rsagents"] {
        service.says(&job_id, &format!("{to}: RSCancelSync"), 3).await;
    }
    assert_eq!(service.steer(&job_id, "cancel").await, 204);
    assert_eq!(service.steer(&job_id, "pause").await, 409);
    let counts = SyncCounts { not_sent: 4, unknown: 1, ..applied_of(5, 10) };
    let cancelled = reply_of(&job_id, "agents", SyncStatus::Cancelled, counts, None);
    assert_eq!(service.reply(&cancelled).await, Outcome::Done);
    let job = service.job(&job_id).await;
    assert_eq!(job["state"], "cancelled");
    assert_eq!(
        job["counts"],
        json!({
            "total": 12, "applied": 7, "unchanged": 0, "superseded": 0, "gone": 0, "rejected": 0,
            "not_sent": 4, "unknown": 1,
        })
    );
    assert_eq!(service.steer(&job_id, "cancel").await, 204, "it does not run any more");
    assert!(!service.said(&job_id).await.iter().any(|it| it.contains("RSSyncAccounts")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_ends_though_nobody_answers() {
    let service = Service::start_with(&[("RSSYNC__JOBS__CANCEL_SECONDS", "1")]).await;
    let job_id = service.start_job(None, json!({})).await;
    service.reply(&running(&job_id, "system", 4, None)).await;
    assert_eq!(service.steer(&job_id, "cancel").await, 204);
    let job = service.job_when(&job_id, |it| it["state"] == "cancelled").await;
    assert_eq!(job["reason"], "some of it did not answer any more");
    assert_eq!((&job["counts"]["applied"], &job["counts"]["unknown"]), (&json!(4), &json!(6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_says_so_until_its_services_stand_still_and_resumes_likewise() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    service.says(&job_id, "rsclient: RSSyncSystem /system", 1).await;
    assert_eq!(service.steer(&job_id, "pause").await, 204);
    assert_eq!(service.steer(&job_id, "pause").await, 204);
    let job = service.job(&job_id).await;
    assert_eq!((&job["state"], &job["reason"]), (&json!("paused"), &json!("by testkit")));
    let told = async |action: &str| {
        let line = format!("rsclient: RSSyncControl {action}");
        service.said(&job_id).await.iter().filter(|it| **it == line).count()
    };
    let before = told("pause").await;
    assert!(before >= 1);
    // It has not heard, or heard it and forgot.
    service.reply(&running(&job_id, "system", 3, None)).await;
    assert!(told("pause").await > before);
    service.reply(&running(&job_id, "system", 4, Some("paused: by testkit"))).await;

    assert_eq!(service.steer(&job_id, "resume").await, 204);
    assert_eq!(service.job(&job_id).await["state"], "running");
    let before = told("resume").await;
    assert!(before >= 1);
    service.reply(&running(&job_id, "system", 5, Some("paused: by testkit"))).await;
    assert!(told("resume").await > before);
    let before = told("resume").await;
    service.reply(&running(&job_id, "system", 6, None)).await;
    assert_eq!(told("resume").await, before, "it has heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_ends_while_the_job_is_paused_does_not_begin_the_next() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    assert_eq!(service.steer(&job_id, "pause").await, 204);
    assert_eq!(service.reply(&completed(&job_id, "system", 2)).await, Outcome::Done);
    assert_eq!(service.job(&job_id).await["state"], "paused");
    let asked = |said: &[String]| said.iter().any(|it| it.contains("RSSyncAgentPackages"));
    assert!(!asked(&service.said(&job_id).await));
    assert_eq!(service.steer(&job_id, "resume").await, 204);
    service.says(&job_id, "rsagents: RSSyncAgentPackages /agents", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_shows_why_its_services_stand_still() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    let show = async |reason: Option<&str>| {
        service.reply(&running(&job_id, "system", 1, reason)).await;
        let job = service.job(&job_id).await;
        format!("{} {}", job["state"], job["reason"])
    };
    let stalled = show(Some("stalled: the backend took none of 9 records in time")).await;
    assert_eq!(stalled, r#""stalled" "the backend took none of 9 records in time""#);
    let paused = show(Some("paused: too many failures: 101 failures without a success")).await;
    assert_eq!(paused, r#""paused" "too many failures: 101 failures without a success""#);
    assert!(!service.said(&job_id).await.iter().any(|it| it.contains("resume")));
    assert_eq!(service.steer(&job_id, "resume").await, 204);
    service.says(&job_id, "rsclient: RSSyncControl resume", 1).await;
    assert_eq!(show(None).await, r#""running" null"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_sent_again_after_the_end_and_counted_anew() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    assert_eq!(service.steer(&job_id, "redrive").await, 409, "it runs");
    service.answer_all(&job_id, SyncCounts { rejected: 2, ..applied_of(8, 10) }).await;
    let before = service.job(&job_id).await;
    assert_eq!(before["state"], "completed_with_failures");

    assert_eq!(service.steer(&job_id, "redrive").await, 204);
    let job = service.job(&job_id).await;
    assert_eq!((&job["state"], &job["step"]), (&json!("running"), &json!("redrive")));
    assert_eq!(job["ended_at"], json!(null));
    service.says(&job_id, "rsclient: RSSyncControl redrive /accounts~1", 1).await;
    service.says(&job_id, "rsagents: RSSyncControl redrive /agents~1", 1).await;
    assert_eq!(service.steer(&job_id, "redrive").await, 409, "it runs again");
    let other = service.start_job(None, json!({})).await;
    assert_eq!(other, job_id, "it has its scope again");

    assert_eq!(service.reply(&completed(&job_id, "agents~1", 2)).await, Outcome::Done);
    let counts = SyncCounts { rejected: 1, ..applied_of(3, 4) };
    let ended = reply_of(&job_id, "accounts~1", SyncStatus::CompletedWithFailures, counts, None);
    assert_eq!(service.reply(&ended).await, Outcome::Done);
    let job = service.job(&job_id).await;
    assert_eq!(job["state"], "completed_with_failures");
    let (counts, before) = (&job["counts"], &before["counts"]);
    assert_eq!(counts["total"], before["total"]);
    assert_eq!((&counts["applied"], &counts["rejected"]), (&json!(29), &json!(1)));

    assert_eq!(service.steer(&job_id, "redrive").await, 204);
    service.says(&job_id, "rsclient: RSSyncControl redrive /accounts~2", 1).await;
    service.reply(&completed(&job_id, "accounts~2", 1)).await;
    service.reply(&completed(&job_id, "agents~2", 0)).await;
    assert_eq!(service.job(&job_id).await["state"], "completed");
    assert_eq!(service.steer(&job_id, "redrive").await, 409, "nothing has failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_waits_for_nobody_who_has_the_scope_now() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    service.answer_all(&job_id, SyncCounts { rejected: 2, ..applied_of(8, 10) }).await;
    let next = service.start_job(None, json!({})).await;
    assert_ne!(next, job_id);
    assert_eq!(service.steer(&job_id, "redrive").await, 409);
    assert_eq!(service.job(&job_id).await["state"], "completed_with_failures");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_nobody_knows_is_refused() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    let path = format!("{JOBS}/{job_id}");
    for body in [json!({"action": "stop"}), json!({"actions": "cancel"}), json!({}), json!([])] {
        let answer = service.call(None, Method::POST, &path, Some(&body)).await;
        assert_eq!(answer.status, 422, "{body}");
    }
    assert_eq!(service.job(&job_id).await["state"], "running");
}
