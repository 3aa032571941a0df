use expect_test::expect;
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::service::{Answer, FULL_SYNC, JOBS, Service, applied_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_start_answers_204_with_the_job_s_place_or_202_with_the_job() {
    let service = Service::start().await;
    let plain = service.call(None, Method::POST, FULL_SYNC, Some(&json!({}))).await;
    assert_eq!((plain.status, &plain.body), (204, &Value::Null));
    let place = plain.location.unwrap();
    assert_eq!(service.get(None, &place).await.status, 200);
    let shown = service
        .request(Method::POST, FULL_SYNC)
        .bearer_auth(service.token(None))
        .header("prefer", "return=representation")
        .send()
        .await
        .unwrap();
    let shown = Answer::of(shown).await;
    assert_eq!((shown.status, shown.location.as_deref()), (202, Some(place.as_str())));
    let mut job = shown.body;
    for name in ["job_id", "started_at", "updated_at"] {
        assert!(job[name].take().is_string(), "{name}");
    }
    expect![[r#"
        {
          "counts": {
            "applied": 0,
            "gone": 0,
            "not_sent": 0,
            "rejected": 0,
            "superseded": 0,
            "total": 0,
            "unchanged": 0,
            "unknown": 0
          },
          "ended_at": null,
          "job_id": null,
          "mode": "force",
          "rate_per_s": null,
          "reason": null,
          "requested_by": "testkit",
          "scope": {},
          "started_at": null,
          "state": "running",
          "step": "system",
          "updated_at": null,
          "window": 2000
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&job).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_is_refused_with_its_reason() {
    let service = Service::start().await;
    let mut answers = Vec::new();
    for body in [
        json!({"scopes": {}}),
        json!({"scope": {"isp": "isp-1"}}),
        json!({"scope": ["isp-1"]}),
        json!({"scope": "isp-1"}),
        json!({"scope": {"isp_id": "no isp"}}),
        json!({"mode": "all"}),
        json!({"window": 0}),
        json!({"window": 4_001}),
        json!({"window": -1}),
        json!({"rate_per_s": 0}),
        json!({"on_running": "wait"}),
        json!([{}]),
    ] {
        let answer = service.call(None, Method::POST, FULL_SYNC, Some(&body)).await;
        let members = answer.body["errors"].as_array().cloned().unwrap_or_default();
        let members: Vec<String> = members.iter().map(Value::to_string).collect();
        answers.push(format!("{} {}", answer.line(), members.join(" ")).trim().to_owned());
    }
    let text = service
        .request(Method::POST, FULL_SYNC)
        .bearer_auth(service.token(None))
        .header(header::CONTENT_TYPE, "text/plain")
        .body("{}");
    answers.push(Answer::of(text.send().await.unwrap()).await.line());
    let large = service.request(Method::POST, FULL_SYNC).bearer_auth(service.token(None));
    let large = large.json(&json!({"scope": {"model": "m".repeat(70_000)}}));
    answers.push(Answer::of(large.send().await.unwrap()).await.line());
    for path in ["?limit=0", "?limit=501", "?limit=x", "?cursor=a%20b", "?page=2"] {
        answers
            .push(format!("{path}: {}", service.get(None, &format!("{JOBS}{path}")).await.line()));
    }
    answers.push(service.get(None, "/subsystems/rs/job").await.line());
    answers.push(service.call(None, Method::DELETE, JOBS, None).await.line());
    expect![[r#"
        422 unknown field `scopes`, expected one of `scope`, `mode`, `window`, `rate_per_s`, `on_running` at line 1 column 9
        422 unknown field `isp`, expected one of `isp_id`, `account_id`, `model` at line 1 column 15
        422 invalid type: sequence, expected an object at line 1 column 10
        422 invalid type: string "isp-1", expected an object at line 1 column 16
        422 isp_id must be 1 to 64 characters of A-Z a-z 0-9 ._:- at line 1 column 28
        422 unknown variant `all`, expected `force` or `delta` at line 1 column 13
        422 a member is out of its range {"detail":"must be from 1 to 4000","pointer":"/window"}
        422 a member is out of its range {"detail":"must be from 1 to 4000","pointer":"/window"}
        422 invalid value: integer `-1`, expected u32 at line 1 column 12
        422 a member is out of its range {"detail":"must be at least 1","pointer":"/rate_per_s"}
        422 unknown variant `wait`, expected one of `return`, `reject`, `replace` at line 1 column 20
        422 the body must be a JSON object
        422 the content-type must be application/json
        413 the body is larger than the limit
        ?limit=0: 422 limit must be from 1 to 500
        ?limit=501: 422 limit must be from 1 to 500
        ?limit=x: 422 limit must be from 1 to 500
        ?cursor=a%20b: 422 cursor must be what `next` said
        ?page=2: 422 Failed to deserialize query string: page: unknown field `page`, expected `cursor` or `limit`
        404 there is no such path
        405 the path has no such method"#]].assert_eq(&answers.join("\n"));
    assert_eq!(service.get(None, JOBS).await.body["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_overlaps_is_answered_refused_or_replaced() {
    let service = Service::start().await;
    let start = async |isp: &str, on_running: &str| {
        let body = json!({"scope": {"isp_id": isp}, "on_running": on_running});
        service.call(None, Method::POST, FULL_SYNC, Some(&body)).await
    };
    let first = start("isp-1", "return").await.location.unwrap();
    assert_eq!(start("isp-1", "return").await.location.unwrap(), first);
    assert_ne!(start("isp-2", "reject").await.location.unwrap(), first);
    let first_id = first.rsplit('/').next().unwrap();
    let refused = start("isp-1", "reject").await;
    assert_eq!(refused.line(), format!("409 the job {first_id} covers this scope"));
    let all = service.call(None, Method::POST, FULL_SYNC, Some(&json!({}))).await;
    assert_eq!(all.location.unwrap(), first, "the job that came first is in the way of all");

    let second = start("isp-1", "replace").await.location.unwrap();
    let second_id = second.rsplit('/').next().unwrap();
    assert_ne!(second, first);
    let job = service.job(second_id).await;
    assert_eq!(job["state"], "running");
    assert_eq!(job["reason"], format!("waits for the end of {first_id}"));
    service.job_when(first_id, |it| it["state"] == "cancelling").await;
    service.says(first_id, "rsclient: RSCancelSync", 1).await;
    service.says(first_id, "rsagents: RSCancelSync", 1).await;
    assert!(service.said(second_id).await.is_empty(), "nothing is asked for before the end");

    let cancelled = crate::service::reply_of(
        first_id,
        "system",
        events::SyncStatus::Cancelled,
        applied_of(1, 1),
        None,
    );
    service.reply(&cancelled).await;
    assert_eq!(service.job(first_id).await["state"], "cancelled");
    let job = service.job_when(second_id, |it| it["reason"].is_null()).await;
    assert_eq!(job["state"], "running");
    service.says(second_id, "rsclient: RSSyncSystem /system", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_can_be_replaced_and_cancelled() {
    let service = Service::start().await;
    let replace = json!({"on_running": "replace"});
    let first = service.start_job(None, json!({})).await;
    let second = service.start_job(None, replace.clone()).await;
    let third = service.start_job(None, replace).await;
    service.job_when(&second, |it| it["state"] == "cancelled").await;
    assert_eq!(service.steer(&third, "cancel").await, 204);
    service.job_when(&third, |it| it["state"] == "cancelled").await;
    assert_eq!(service.job(&first).await["state"], "cancelling");
    for job_id in [&second, &third] {
        assert!(!service.said(job_id).await.iter().any(|it| it.contains("RSSyncSystem")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_free_again_after_the_end_of_its_job() {
    let service = Service::start().await;
    let first = service.start_job(None, json!({})).await;
    service.answer_all(&first, applied_of(1, 1)).await;
    let second = service.start_job(None, json!({"on_running": "reject"})).await;
    assert_ne!(first, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_start_at_once_one_gets_the_scope() {
    let service = Service::start().await;
    let body = json!({"scope": {"isp_id": "isp-1"}});
    let starts = (0..20).map(|_| service.call(None, Method::POST, FULL_SYNC, Some(&body)));
    let answers = futures_util::future::join_all(starts).await;
    let mut places: Vec<_> = answers.into_iter().map(|it| it.location.unwrap()).collect();
    places.dedup();
    assert_eq!(places.len(), 1);
    assert_eq!(service.get(None, JOBS).await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_jobs_at_a_time() {
    let service = Service::start_with(&[("RSSYNC__JOBS__OPEN_MAX", "2")]).await;
    let body = |isp: &str| json!({"scope": {"isp_id": isp}});
    service.start_job(None, body("isp-1")).await;
    let second = service.start_job(None, body("isp-2")).await;
    let third = service.call(None, Method::POST, FULL_SYNC, Some(&body("isp-3"))).await;
    assert_eq!(third.line(), "409 too many jobs have not ended");
    // Whoever asks for one of those that run still hears of it.
    assert_eq!(service.start_job(None, body("isp-2")).await, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_by_page_the_newest_first() {
    let service = Service::start().await;
    let mut started = Vec::new();
    for isp in ["isp-1", "isp-2", "isp-3", "isp-4", "isp-5"] {
        started.push(service.start_job(None, json!({"scope": {"isp_id": isp}})).await);
    }
    let (mut listed, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = service.get(None, &format!("{JOBS}?limit=2&cursor={cursor}")).await.body;
        let items = page["items"].as_array().unwrap();
        listed.extend(items.iter().map(|it| it["job_id"].as_str().unwrap().to_owned()));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    started.reverse();
    assert_eq!((listed, pages), (started, 3));
}
