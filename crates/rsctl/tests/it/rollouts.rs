//! Rollouts are started, listed, shown, followed and steered.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{body::Body, response::Response};
use expect_test::expect;
use serde_json::{Value, json};

use crate::rssync::{Asked, Rssync, answer, problem, with};

const ONE: &str = "/subsystems/rs/rollouts/rollout-1";

/// A rollout of rsclient.
fn rollout(state: &str, reason: Option<&str>) -> Value {
    let counts = json!({"routers": 20, "installed": 17, "failed": 1, "silent": 2});
    json!({
        "rollout_id": "rollout-1", "isp_id": "isp-1", "model": "hg 8000", "target_version": "stable",
        "from": "p-1", "to": "p-2", "state": state, "reason": reason, "share_per_mille": 125,
        "wave": 2, "waves": 4, "counts": counts, "of_wave": counts, "needed": 18,
        "done": [{"share_per_mille": 10, "counts": counts, "at": "2026-11-21T10:00:05Z"}],
        "plan": {}, "requested_by": "mia", "started_at": "2026-11-21T10:00:00.5Z",
        "updated_at": "2026-11-21T10:00:07Z", "deadline_at": "2026-12-21T10:00:00Z",
        "ended_at": null, "later": {"than": "this program"},
    })
}

async fn rsclient(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Rssync {
    Rssync::playing_as("rsclient", "rs:read rs:write", answer).await
}

#[tokio::test]
async fn a_start_asks_for_what_was_said_and_for_nothing_else() {
    let rsclient = rsclient(|_| answer(201, &rollout("starting", None))).await;
    let needed = [["--isp", "isp-1"], ["--model", "hg 8000"], ["--from", "p-1"], ["--to", "p-2"]];
    let start = [&["start"], needed.as_flattened()].concat();
    let told = rsclient.rollout(&start).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let wanted = "rollout-1: starting. Follow it with: rsctl rollout watch rollout-1\n";
    assert_eq!(told.out, wanted);
    let more = [
        ["--target-version", "stable"],
        ["--waves", "0.5%,10,100%"],
        ["--success", "95%"],
        ["--errors", "2.5%"],
        ["--soak", "60"],
        ["--wave-limit", "600"],
        ["--limit", "6000"],
    ];
    let told = rsclient.rollout(&[&start[..], &["--json"], more.as_flattened()].concat()).await;
    assert_eq!((told.code, told.json()), (0, vec![rollout("starting", None)]));
    let asked = rsclient.asked();
    let least = json!({"model": "hg 8000", "from": "p-1", "to": "p-2"});
    let all = json!({
        "model": "hg 8000", "from": "p-1", "to": "p-2", "target_version": "stable",
        "waves_per_mille": [5, 100, 1000], "success_per_mille": 950, "error_per_mille": 25,
        "soak_seconds": 60, "wave_seconds": 600, "rollout_seconds": 6000,
    });
    assert_eq!((&asked[0].body, &asked[1].body), (&least, &all));
    for it in &asked {
        assert_eq!(it.what, "POST /subsystems/rs/rollouts?isp_id=isp-1");
        assert_eq!(it.caller.scopes, ["rs:read", "rs:write"]);
    }
    let wrong = rsclient.rollout(&[&start[..], &["--waves", "10%,1000%"]].concat()).await;
    assert_eq!((wrong.code, rsclient.asked().len()), (2, 2), "{wrong:?}");
}

#[tokio::test]
async fn a_rollout_is_shown_whole_and_listed_in_a_line() {
    let paused = rollout("paused", Some("too many\u{1b}[2J"));
    let (one, page) = (paused.clone(), json!({"items": [paused], "next": "rollout-1"}));
    let rsclient = rsclient(move |asked| match asked.what.ends_with("rollout-1") {
        true => answer(200, &one),
        false => answer(200, &page),
    })
    .await;
    let told = rsclient.rollout(&["show", "rollout-1"]).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let lines: Vec<&str> = told.out.lines().map(str::trim).collect();
    expect![[r#"
        rollout                rollout-1
        state                  paused
        reason                 too many�[2J
        ISP                    isp-1
        routers                model hg 8000, version stable
        from                   p-1
        to                     p-2
        wave                   2 of 4 (12.5 %)
        of the wave            17/20 installed, 1 failed
        of all moved           17/20 installed, 1 failed
        requested by           mia
        started at             2026-11-21T10:00:00Z
        updated at             2026-11-21T10:00:07Z
        aborted at the latest  2026-12-21T10:00:00Z
        wave 1 was done        17/20 installed, 1 failed
    "#]]
    .assert_eq(&(lines.join("\n") + "\n"));
    let told = rsclient.rollout(&["list", "--isp", "isp-1", "--limit", "1"]).await;
    assert!(told.out.contains("paused (too many") && told.out.contains("17/20"), "{told:?}");
    assert!(told.out.ends_with("there are more: --all, or --cursor rollout-1\n"), "{told:?}");
    let wanted =
        [format!("GET {ONE}"), "GET /subsystems/rs/rollouts?limit=1&isp_id=isp-1".to_owned()];
    assert_eq!(rsclient.asked_for(), wanted);
    assert!(rsclient.asked().iter().all(|it| it.caller.scopes == ["rs:read"]));
}

#[tokio::test]
async fn the_end_of_a_rollout_is_the_end_of_the_command_and_its_code() {
    for (state, code) in [("completed", 0), ("aborted", 4), ("failed", 5)] {
        let looks = AtomicUsize::new(0);
        let rsclient = rsclient(move |_| match looks.fetch_add(1, Ordering::SeqCst) {
            0 => answer(200, &rollout("walking", Some("waits"))),
            1 => {
                let later = json!("2026-11-21T10:00:09Z");
                answer(200, &with(rollout("walking", Some("waits")), "updated_at", later))
            }
            2 => problem(503, ""),
            _ => answer(200, &rollout(state, Some("because"))),
        })
        .await;
        let told = rsclient.rollout(&["watch", "rollout-1", "--json"]).await;
        assert_eq!((told.code, told.err.as_str()), (code, ""));
        // That somebody has looked after it is no news.
        let wanted = [rollout("walking", Some("waits")), rollout(state, Some("because"))];
        assert_eq!(told.json(), wanted);
    }
    let lost = rsclient(|_| problem(404, "no rollout")).await;
    assert_eq!(lost.rollout(&["watch", "rollout-2"]).await.code, 6);
}

#[tokio::test]
async fn a_rollout_is_told_what_to_do() {
    let rsclient = rsclient(|asked| match asked.body["action"] == json!("abort") {
        true => problem(409, "it has ended"),
        false => Response::builder().status(204).body(Body::empty()).unwrap(),
    })
    .await;
    for action in ["pause", "resume"] {
        let told = rsclient.rollout(&[action, "rollout-1"]).await;
        let wanted = format!("{action} of rollout-1 is accepted: rsctl rollout watch rollout-1\n");
        assert_eq!((told.code, told.out, told.err.as_str()), (0, wanted, ""));
        let asked = rsclient.asked().pop().unwrap();
        assert_eq!(asked.what, format!("POST {ONE}"));
        assert_eq!(asked.body, json!({"action": action}));
    }
    let told = rsclient.rollout(&["abort", "rollout-1"]).await;
    assert_eq!((told.code, told.err.as_str()), (7, "error: not possible now: it has ended\n"));
}
