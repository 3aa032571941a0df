//! Why a device looks as it does, as people read it.

use axum::response::Response;
use expect_test::expect;
use serde_json::{Value, json};

use crate::rssync::{Asked, Rssync, answer, problem};

/// What rsclient says of a device that waits.
fn trace() -> Value {
    json!({
        "device_id": "d-1", "isp_id": "isp-1", "account_id": "a-1", "kind": "device", "name": "Mia's\u{1b}tablet",
        "headline": {"verdict": "waiting", "text": "nothing is sent to the backend: 401"},
        "stored": {"revision": 1, "at": "2026-11-21T10:00:00Z", "deleted": false},
        "effective_revision": 1_795_248_000_123_u64, "pending": null, "pending_action": null,
        "published": {"event": "RSDeviceUpdated", "topic": "as-rs-provision-topic", "partition": 3, "offset": 17,
            "revision": 1_795_248_000_123_u64, "at": "2026-11-21T10:00:01Z"},
        "backend": {
            "applied": {"kind": "device", "revision": 7, "status": "applied", "at": "2026-11-20T10:00:00Z"},
            "rejected": {"revision": 6, "http_status": 422, "error": "malformed", "at": null},
            "waiting": [{"topic": "as-rs-provision-topic", "partition": 3, "offset": 17, "key": "d-1",
                "since": "2026-11-21T10:00:01Z", "attempts": 2, "reason": "401: as told"}],
            "circuit": {"state": "open", "since": "2026-11-21T09:00:00Z", "reason": "401"},
            "unknown": "1 of 2 rsadaptors could not be asked",
        },
        "dead_lettered": {"items": [{"group": "rsadaptor", "topic": "as-rs-provision-topic.rsadaptor.dlq",
            "partition": 0, "offset": 4, "event": "RSDeviceCreated", "revision": 5, "error": "422: malformed",
            "failed_at": "2026-11-19T10:00:00Z"}]},
        "syncs": [{"job_id": "j-1", "task": "j-1/accounts", "state": "queued", "standstill": null}],
        "later": {"than": "this program"},
    })
}

fn effective() -> Value {
    let leaf = |leaf: &str, decided_by: &str, because: Option<&str>, said: &[(&str, Value)]| {
        let said: Vec<Value> =
            said.iter().map(|(level, value)| json!({"level": level, "value": value})).collect();
        json!({"leaf": leaf, "value": said[0]["value"], "decided_by": decided_by, "because": because, "said": said})
    };
    json!({
        "live": true, "configuration": {},
        "provenance": [
            leaf("/services/content_filtering/enabled", "preset", None,
                &[("preset", json!(true)), ("account", json!(false)), ("default", json!(false))]),
            leaf("/services/content_filtering/categories", "user", None,
                &[("user", json!(["adult", "social"])), ("default", json!([]))]),
            leaf("/user_id", "default", Some("user_unknown"), &[("default", json!(null))]),
        ],
        "rules": [{"action": "block", "domain": "x.example", "level": "device",
            "overrules": [{"level": "account", "action": "allow"}]}],
        "filtering_now": {"active": true, "schedule": "bedtime", "until": "2026-11-22T05:30:00Z"},
    })
}

fn tell(asked: &Asked) -> Response {
    match asked.what.as_str() {
        "GET /devices/d-1/trace" => answer(200, &trace()),
        "GET /devices/d-1/effective" => answer(200, &effective()),
        _ => problem(404, "Not found"),
    }
}

async fn rsclient(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Rssync {
    Rssync::playing_as("rsclient", "rs:read", answer).await
}

#[tokio::test]
async fn a_device_is_told_as_a_headline_its_way_and_what_holds() {
    let rsclient = rsclient(tell).await;
    let told = rsclient.why(&["device", "d-1"]).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let shown: Vec<&str> = told.out.lines().map(str::trim_end).collect();
    expect![[r#"
        waiting: nothing is sent to the backend: 401

         device              d-1 (device)
         name                Mia's�tablet
         account             a-1
         isp                 isp-1
         stored              revision 1 at 2026-11-21T10:00:00Z
         should hold         revision 1795248000123
         published           RSDeviceUpdated as revision 1795248000123 at 2026-11-21T10:00:01Z as-rs-provision-topic/3/17
         backend holds       revision 7 applied at 2026-11-20T10:00:00Z
         refused             revision 6: 422 malformed
         waits               as-rs-provision-topic/3/17 since 2026-11-21T10:00:01Z, after 2 attempts: 401: as told
         nothing is sent     since 2026-11-21T09:00:00Z: 401
         backend, not known  1 of 2 rsadaptors could not be asked
         set aside           RSDeviceCreated by rsadaptor, at 2026-11-19T10:00:00Z as-rs-provision-topic.rsadaptor.dlq/0/4 422: malformed
         sync                job j-1: queued

         content_filtering.enabled     on by preset (not account off, default off)
         content_filtering.categories  adult social by user (not default none)
         user_id                       nothing because user unknown, by default
         filtered at the moment        yes by schedule bedtime until 2026-11-22T05:30:00Z
         rule                          block x.example by device (not account allow)
    "#]]
    .assert_eq(&format!("{}\n", shown.join("\n")));
    let told = rsclient.why(&["device", "d-1", "--json"]).await;
    assert_eq!(told.json(), vec![json!({"trace": trace(), "effective": effective()})]);
    for it in rsclient.asked() {
        assert_eq!(it.caller.scopes, ["rs:read"]);
    }
}

#[tokio::test]
async fn a_device_that_is_not_served_is_told_with_what_it_waits_for() {
    let rsclient = rsclient(|asked| {
        let text = "its account is not known yet";
        let pending = json!({"reason": "account_unknown", "why": text});
        match asked.what.ends_with("/trace") {
            true => answer(200, &json!({
                "device_id": "d-1", "headline": {"verdict": "pending", "text": text}, "pending": pending,
            })),
            false => answer(200, &json!({"live": false, "configuration": null, "pending": pending})),
        }
    })
    .await;
    let told = rsclient.why(&["device", "d-1"]).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let lines: Vec<&str> = told.out.lines().filter(|it| !it.is_empty()).collect();
    assert_eq!(lines[0], "pending: its account is not known yet");
    assert_eq!(lines.len(), 3, "{told:?}");
}

#[tokio::test]
async fn what_cannot_be_told_is_said_in_one_sentence_and_by_the_exit_code() {
    let playing = rsclient(tell).await;
    let told = playing.why(&["device", "d-2"]).await;
    assert_eq!((told.code, told.err.as_str()), (6, "error: not found: Not found\n"));
    assert_eq!(playing.why(&["device", "no id"]).await.code, 2);
    let silent = rsclient(|_| problem(503, "")).await;
    let told = silent.why(&["device", "d-1"]).await;
    assert_eq!(
        (told.code, told.err.as_str()),
        (1, "error: rsclient is in trouble (503): A title\n")
    );
    let other = rsclient(|_| answer(200, &json!("no object"))).await;
    assert_eq!(other.why(&["device", "d-1"]).await.code, 1);
}
