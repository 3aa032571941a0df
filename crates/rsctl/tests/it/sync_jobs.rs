//! Full syncs are started, listed, shown, steered and looked through.

use axum::{body::Body, http::StatusCode, response::Response};
use expect_test::expect;
use serde_json::{Value, json};

use crate::rssync::{Rssync, answer, job, with};

#[tokio::test]
async fn a_start_asks_for_what_was_said_and_for_nothing_else() {
    let rssync = Rssync::playing(|_| answer(202, &job("running", 0))).await;
    let told = rssync.sync(&["start"]).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    assert_eq!(told.out, "j-1: running. Follow it with: rsctl sync watch j-1\n");

    let all = [
        ["--isp", "isp-1"],
        ["--account", "a-1"],
        ["--model", "hg 8000"],
        ["--mode", "delta"],
        ["--window", "50"],
        ["--rate", "7"],
        ["--on-running", "replace"],
        ["--subject", "mia"],
    ];
    let told = rssync.sync(&[&["start", "--json"], all.as_flattened()].concat()).await;
    assert_eq!((told.code, told.json()), (0, vec![job("running", 0)]));

    let asked = rssync.asked();
    let body = json!({"scope": {"isp_id": "isp-1", "account_id": "a-1", "model": "hg 8000"},
        "mode": "delta", "window": 50, "rate_per_s": 7, "on_running": "replace"});
    assert_eq!(asked.iter().map(|it| &it.body).collect::<Vec<_>>(), [&json!({"scope": {}}), &body]);
    for it in &asked {
        assert_eq!(it.what, "POST /subsystems/rs/full-sync");
        assert_eq!(it.prefer, "return=representation");
        assert_eq!(it.caller.scopes, ["sync:read", "sync:write"]);
        assert_eq!(it.caller.isp_id, None);
    }
    assert_eq!((&*asked[0].caller.subject, &*asked[1].caller.subject), ("operator", "mia"));
}

#[tokio::test]
async fn a_start_that_is_answered_with_a_place_finds_the_job_there() {
    let rssync = Rssync::playing(|asked| match asked.what.starts_with("POST") {
        true => Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header("location", "/subsystems/rs/jobs/j-1")
            .body(Body::empty())
            .unwrap(),
        false => answer(200, &job("running", 0)),
    })
    .await;
    let told = rssync.sync(&["start", "--json"]).await;
    assert_eq!((told.code, told.json()), (0, vec![job("running", 0)]));
    let wanted = ["POST /subsystems/rs/full-sync", "GET /subsystems/rs/jobs/j-1"];
    assert_eq!(rssync.asked_for(), wanted);
}

#[tokio::test]
async fn a_path_before_the_service_s_own_is_kept() {
    let rssync = Rssync::playing(|_| answer(200, &job("running", 0))).await;
    let below = format!("{}/below/", rssync.url);
    assert_eq!(rssync.sync(&["show", "j-1", "--url", &below]).await.code, 0);
    assert_eq!(rssync.asked_for(), ["GET /below/subsystems/rs/jobs/j-1"]);
}

#[tokio::test]
async fn a_job_is_shown_whole() {
    let stalled = with(job("stalled", 90), "reason", "backend\u{1b}[2J");
    let told = stalled.clone();
    let rssync = Rssync::playing(move |_| answer(200, &told)).await;
    let told = rssync.sync(&["show", "j-1"]).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    expect![[r#"
        job           j-1
        state         stalled
        reason        backend�[2J
        step          accounts
        scope         ISP isp-1
        mode          force
        window        2000
        requested by  operator
        started at    2026-11-21T10:00:00Z
        updated at    2026-11-21T10:00:07Z
        total         100
        applied       90
        unchanged     1
        superseded    0
        gone          0
        rejected      2
        not sent      0
        unknown       0
    "#]]
    .assert_eq(&told.out.replace("\n ", "\n").replacen(' ', "", 1));
    let told = rssync.sync(&["show", "j-1", "--json"]).await;
    assert_eq!((told.code, told.json()), (0, vec![stalled]));
    assert_eq!(rssync.asked()[0].caller.scopes, ["sync:read"]);
}

#[tokio::test]
async fn jobs_are_listed_page_by_page() {
    let rssync = Rssync::playing(|asked| {
        let page = match asked.what.contains("cursor=c%2F2") {
            false => json!({"items": [with(job("paused", 8), "reason", "budget")], "next": "c/2"}),
            true => json!({"items": [job("cancelled", 9)], "next": null}),
        };
        answer(200, &page)
    })
    .await;
    let told = rssync.sync(&["list", "--limit", "1"]).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    assert!(told.out.contains("paused (budget)") && told.out.contains("11/100"), "{told:?}");
    assert!(told.out.ends_with("there are more: --all, or --cursor c/2\n"), "{told:?}");
    assert!(!told.out.contains("cancelled"), "{told:?}");

    let told = rssync.sync(&["list", "--all"]).await;
    assert!(told.out.contains("paused (budget)") && told.out.contains("cancelled"), "{told:?}");
    assert!(!told.out.contains("more"), "{told:?}");
    let told = rssync.sync(&["list", "--all", "--json"]).await;
    assert_eq!(told.json().len(), 2);
    assert_eq!(told.json()[1], json!({"items": [job("cancelled", 9)], "next": null}));
    let told = rssync.sync(&["list", "--cursor", "c/2", "--json"]).await;
    assert_eq!(told.json().len(), 1);
    let wanted = [
        "GET /subsystems/rs/jobs?limit=1",
        "GET /subsystems/rs/jobs?limit=50",
        "GET /subsystems/rs/jobs?limit=50&cursor=c%2F2",
    ];
    assert_eq!(rssync.asked_for()[..3], wanted);

    let empty = Rssync::playing(|_| answer(200, &json!({"items": [], "next": null}))).await;
    assert_eq!(empty.sync(&["list"]).await.out, "no jobs\n");
}

#[tokio::test]
async fn a_job_is_told_what_to_do() {
    let rssync = Rssync::playing(|_| Response::builder().status(204).body(Body::empty()).unwrap());
    let rssync = rssync.await;
    for action in ["cancel", "pause", "resume", "redrive"] {
        let told = rssync.sync(&[action, "j-1"]).await;
        let wanted = format!("{action} of j-1 is accepted: rsctl sync watch j-1\n");
        assert_eq!((told.code, told.out, told.err.as_str()), (0, wanted, ""));
        let asked = rssync.asked().pop().unwrap();
        assert_eq!(asked.what, "POST /subsystems/rs/jobs/j-1");
        assert_eq!(asked.body, json!({"action": action}));
        assert_eq!(asked.caller.scopes, ["sync:read", "sync:write"]);
    }
    let told = rssync.sync(&["cancel", "j-1", "--json"]).await;
    let wanted = json!({"job_id": "j-1", "action": "cancel", "accepted": true});
    assert_eq!((told.code, told.json()), (0, vec![wanted]));
}

/// Five failures of two classes, at most two on a page.
fn failures(what: &str) -> Value {
    let all =
        [("422", "d-1"), ("expired", "d-2"), ("422", "d-3"), ("422", "d-4"), ("expired", "d-5")];
    let has = |it: &str| what.split(['?', '&']).any(|part| part == it);
    let of_class = |class: &str| has(&format!("class={class}")) || !what.contains("class=");
    let begin = if has("cursor=2") {
        2
    } else if has("cursor=4") {
        4
    } else {
        0
    };
    let items: Vec<_> = all.iter().filter(|it| of_class(it.0)).collect();
    let failure = |it: &&(&str, &str)| {
        json!({"task": "j-1/accounts/000000", "key": it.1,
        "class": it.0, "reason": "the MAC is wrong", "attempts": 1, "at": "2026-11-21T10:00:00Z"})
    };
    let page: Vec<_> = items.iter().copied().skip(begin).take(2).map(|it| failure(&it)).collect();
    let next = (begin + 2 < items.len()).then(|| (begin + 2).to_string());
    json!({"classes": [{"class": "422", "count": 3}, {"class": "expired", "count": 2}],
        "items": page, "next": next})
}

/// The keys of devices in a text, in their order.
fn keys(text: &str) -> Vec<&str> {
    text.split_whitespace().filter(|it| it.starts_with("d-")).collect()
}

#[tokio::test]
async fn failures_come_grouped_by_class() {
    let rssync = Rssync::playing(|asked| answer(200, &failures(&asked.what))).await;
    let told = rssync.sync(&["failures", "j-1", "--limit", "2"]).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    assert!(told.out.starts_with("by class: 3 422, 2 expired\n"), "{told:?}");
    assert!(told.out.ends_with("there are more: --all, or --cursor 2\n"), "{told:?}");
    assert_eq!(keys(&told.out), ["d-1", "d-2"]);
    assert_eq!(rssync.asked_for(), ["GET /subsystems/rs/jobs/j-1/failures?limit=2"]);

    let told = rssync.sync(&["failures", "j-1", "--all", "--limit", "2"]).await;
    assert_eq!(keys(&told.out), ["d-1", "d-3", "d-4", "d-2", "d-5"]);
    assert!(!told.out.contains("more"), "{told:?}");
    let told = rssync.sync(&["failures", "j-1", "--class", "422", "--cursor", "2"]).await;
    assert_eq!(keys(&told.out), ["d-4"]);
    let told = rssync.sync(&["failures", "j-1", "--class", "expired", "--all"]).await;
    assert_eq!(keys(&told.out), ["d-2", "d-5"]);
}

#[tokio::test]
async fn failures_in_json_are_the_pages_themselves() {
    let rssync = Rssync::playing(|asked| answer(200, &failures(&asked.what))).await;
    let told = rssync.sync(&["failures", "j-1", "--json"]).await;
    assert_eq!((told.code, told.json()), (0, vec![failures("")]));
    let told = rssync.sync(&["failures", "j-1", "--json", "--all"]).await;
    let wanted = ["", "?cursor=2", "?cursor=4"].map(failures);
    assert_eq!(told.json(), wanted);
    let none = json!({"classes": [], "items": [], "next": null});
    let well = Rssync::playing(move |_| answer(200, &none)).await;
    assert_eq!(well.sync(&["failures", "j-1", "--all"]).await.out, "no failures\n");
}
