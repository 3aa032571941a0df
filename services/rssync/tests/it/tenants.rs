use expect_test::expect;
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Answer, FULL_SYNC, JOBS, Service};

#[tokio::test(flavor = "multi_thread")]
async fn an_isp_starts_jobs_for_itself_alone() {
    let service = Service::start().await;
    let own = service.start_job(Some("isp-1"), json!({})).await;
    assert_eq!(service.job(&own).await["scope"], json!({"isp_id": "isp-1"}));
    let named = service.start_job(Some("isp-2"), json!({"scope": {"isp_id": "isp-2"}})).await;
    assert_eq!(service.job(&named).await["scope"], json!({"isp_id": "isp-2"}));
    let foreign = json!({"scope": {"isp_id": "isp-1"}});
    let answer = service.call(Some("isp-2"), Method::POST, FULL_SYNC, Some(&foreign)).await;
    assert_eq!(answer.line(), "404 Not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isp_sees_and_steers_its_own_jobs_and_all_others_are_not_there() {
    let service = Service::start().await;
    let own = service.start_job(Some("isp-1"), json!({})).await;
    let foreign = service.start_job(Some("isp-2"), json!({})).await;
    let listed = service.get(Some("isp-1"), JOBS).await.body;
    let ids: Vec<&Value> =
        listed["items"].as_array().unwrap().iter().map(|it| &it["job_id"]).collect();
    assert_eq!(ids, [&json!(own)]);
    assert_eq!(service.get(Some("isp-1"), &format!("{JOBS}/{own}")).await.status, 200);
    let mut seen = Vec::new();
    for job_id in [foreign.as_str(), "j-unknown", "no%20id"] {
        for (method, path) in [
            (Method::GET, String::new()),
            (Method::GET, "/failures".to_owned()),
            (Method::GET, "/events".to_owned()),
            (Method::POST, String::new()),
        ] {
            let path = format!("{JOBS}/{job_id}{path}");
            let answer = service.call(Some("isp-1"), method, &path, None).await;
            seen.push(format!("{} {}", answer.status, answer.body));
        }
    }
    seen.dedup();
    expect![[r#"404 {"detail":"Not found","status":404,"title":"Not found","type":"urn:routersecure:problem:not-found"}"#]].assert_eq(&seen.join("\n"));
    assert_eq!(service.job(&foreign).await["state"], "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isp_is_not_told_of_and_does_not_replace_a_job_that_is_not_its_own() {
    let service = Service::start().await;
    let all = service.start_job(None, json!({})).await;
    for on_running in ["return", "reject", "replace"] {
        let body = json!({ "on_running": on_running });
        let answer = service.call(Some("isp-1"), Method::POST, FULL_SYNC, Some(&body)).await;
        assert_eq!(answer.line(), "409 a job that is not yours covers this scope", "{on_running}");
    }
    assert_eq!(service.job(&all).await["state"], "running");
    assert_eq!(service.get(Some("isp-1"), &format!("{JOBS}/{all}")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_token_for_this_service_and_this_purpose() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    let calls = [
        (Method::POST, FULL_SYNC.to_owned()),
        (Method::GET, JOBS.to_owned()),
        (Method::GET, format!("{JOBS}/{job_id}")),
        (Method::POST, format!("{JOBS}/{job_id}")),
        (Method::GET, format!("{JOBS}/{job_id}/failures")),
        (Method::GET, format!("{JOBS}/{job_id}/events")),
    ];
    let reads = service.issuers.operators.operator("rssync", "sync:read").unwrap();
    let writes = service.issuers.operators.operator("rssync", "sync:write").unwrap();
    let elsewhere = service.issuers.operators.operator("rsclient", "sync:read").unwrap();
    let stranger = service.issuers.own.operator("rssync", "sync:read sync:write").unwrap();
    for (method, path) in calls {
        let with = async |token: Option<&str>| {
            let request = service.request(method.clone(), &path);
            let request = match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            Answer::of(request.send().await.unwrap()).await.status
        };
        let is_write = method == Method::POST;
        let refused = [with(None).await, with(Some(&elsewhere)).await, with(Some(&stranger)).await];
        assert_eq!(refused, [401; 3], "{method} {path}");
        let short = if is_write { &reads } else { &writes };
        assert_eq!(with(Some(short)).await, 403, "{method} {path}");
    }
    assert_eq!(service.job(&job_id).await["state"], "running");
}
