use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use testkit::eventually;
use tokio::sync::Mutex;

use crate::service::{JOBS, LIMIT, Service, completed, running};

/// Somebody who listens to a job's events, and what was heard.
struct Listener {
    heard: Arc<Mutex<Vec<Value>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    async fn open(service: &Service, job_id: &str) -> Self {
        let request = service.request(Method::GET, &format!("{JOBS}/{job_id}/events"));
        let request = request.bearer_auth(service.token(None)).timeout(Duration::from_secs(60));
        let mut response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            let mut text = String::new();
            while let Ok(Some(chunk)) = response.chunk().await {
                text += std::str::from_utf8(&chunk).unwrap();
                while let Some((event, rest)) = text.split_once("\n\n") {
                    if let Some(data) = event.strip_prefix("event: job\ndata: ") {
                        hears.lock().await.push(serde_json::from_str(data).unwrap());
                    }
                    text = rest.to_owned();
                }
            }
        });
        Self { heard, task }
    }

    /// Waits until the last event says this.
    async fn hears(&self, what: &str, is: impl Fn(&Value) -> bool) {
        eventually(what, LIMIT, async || {
            self.heard.lock().await.last().filter(|it| is(it)).map(drop)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_job_is_an_event_and_its_end_ends_the_stream() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    let listener = Listener::open(&service, &job_id).await;
    listener.hears("the present state", |it| it["step"] == "system").await;
    service.reply(&running(&job_id, "system", 3, None)).await;
    listener.hears("progress", |it| it["counts"]["applied"] == 3).await;
    service.steer(&job_id, "pause").await;
    listener.hears("the pause", |it| it["state"] == "paused").await;
    service.steer(&job_id, "resume").await;
    listener.hears("the resumption", |it| it["state"] == "running").await;
    for key in ["system", "agents", "accounts"] {
        service.reply(&completed(&job_id, key, 5)).await;
    }
    tokio::time::timeout(LIMIT, listener.task).await.unwrap().unwrap();
    let heard = listener.heard.lock().await;
    let last = heard.last().unwrap();
    assert_eq!((&last["state"], &last["counts"]["applied"]), (&json!("completed"), &json!(15)));
    let mut changes = heard.clone();
    changes.iter_mut().for_each(|it| it["updated_at"] = Value::Null);
    changes.dedup();
    assert_eq!(changes.len(), heard.len(), "an event is a change");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_job_says_so_at_once() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    for key in ["system", "agents", "accounts"] {
        service.reply(&completed(&job_id, key, 5)).await;
    }
    let listener = Listener::open(&service, &job_id).await;
    tokio::time::timeout(LIMIT, listener.task).await.unwrap().unwrap();
    assert_eq!(listener.heard.lock().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_watch_and_a_place_is_given_back() {
    let service = Service::start_with(&[("RSSYNC__STREAMS__MAX", "1")]).await;
    let job_id = service.start_job(None, json!({})).await;
    let first = Listener::open(&service, &job_id).await;
    first.hears("the present state", |_| true).await;
    let path = format!("{JOBS}/{job_id}/events");
    assert_eq!(service.get(None, &path).await.status, 503);
    first.task.abort();
    eventually("the place is free", LIMIT, async || {
        let request = service.request(Method::GET, &path).bearer_auth(service.token(None));
        (request.send().await.unwrap().status() == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_the_limit_of_requests_and_has_one_of_its_own() {
    let settings =
        [("RSSYNC__HTTP__REQUEST_SECONDS", "1"), ("RSSYNC__STREAMS__LIMIT_SECONDS", "3")];
    let service = Service::start_with(&settings).await;
    let job_id = service.start_job(None, json!({})).await;
    let begun = std::time::Instant::now();
    let listener = Listener::open(&service, &job_id).await;
    tokio::time::timeout(LIMIT, listener.task).await.unwrap().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    assert!((2.5..10.0).contains(&seconds), "{seconds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_service_ends_its_streams() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    let listener = Listener::open(&service, &job_id).await;
    listener.hears("the present state", |_| true).await;
    service.app.stop.cancel();
    tokio::time::timeout(LIMIT, listener.task).await.unwrap().unwrap();
}
