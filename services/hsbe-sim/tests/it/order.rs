//! What is remembered of writes: revisions, over deletions too, and the order of arrival.

use serde_json::json;

use crate::{bodies, service};

#[tokio::test]
async fn an_older_write_is_applied_and_counts_as_a_regression_over_deletion_too() {
    let service = service::start("").await;
    let path = "/devices/d-1";
    let mut renamed = bodies::device("d-1");
    renamed["device"]["name"] = "older".into();
    assert_eq!(service.put(path, 5, &bodies::device("d-1")).await.status, 204);
    assert_eq!(service.put(path, 5, &bodies::device("d-1")).await.status, 204);
    assert_eq!(service.summary(&["regressions"]).await, "regressions 0");
    assert_eq!(service.put(path, 4, &renamed).await.status, 204);
    assert_eq!(service.get("/sim/dump").await["devices"]["d-1"], renamed);
    assert_eq!(service.delete(path, 7).await.status, 204);
    assert_eq!(service.delete(path, 8).await.error(), "404 not_found");
    assert_eq!(service.put(path, 6, &renamed).await.status, 204);
    assert_eq!(service.delete(path, 3).await.status, 204);
    let summary = service.summary(&["devices", "regressions", "rejected", "regressed"]).await;
    assert_eq!(
        summary,
        r#"devices 0, regressions 3, rejected 0, regressed ["/devices/d-1: 4 after 5","/devices/d-1: 6 after 8","/devices/d-1: 3 after 8"]"#
    );
    let history = service.history(path).await;
    assert_eq!(
        history,
        "PUT 5 204, PUT 5 204, PUT 4 204, DELETE 7 204, DELETE 8 404, PUT 6 204, DELETE 3 204"
    );
    service.stop().await;
}

#[tokio::test]
async fn an_older_write_is_refused_where_the_settings_say_so() {
    let service = service::start("stale = \"refuse\"").await;
    let path = "/routers/r-1";
    assert_eq!(service.put(path, 5, &bodies::router("r-1")).await.status, 204);
    assert_eq!(service.put(path, 4, &bodies::router("r-1")).await.error(), "409 stale_revision");
    assert_eq!(service.delete(path, 4).await.error(), "409 stale_revision");
    assert_eq!(service.put(path, 5, &bodies::router("r-1")).await.status, 204);
    let summary = service.summary(&["routers", "regressions", "writes"]).await;
    assert_eq!(summary, r#"routers 1, regressions 2, writes {"PUT":2}"#);
    service.stop().await;
}

#[tokio::test]
async fn bodies_come_back_as_they_were_received_and_the_last_writes_with_them() {
    let service = service::start("history_entries_max = 2").await;
    let text = serde_json::to_string_pretty(&bodies::device("d-1")).expect("JSON");
    for revision in 1..=3 {
        let request = service.request("PUT", "/devices/d-1").header("x-revision", revision);
        let request = request.header("content-type", "application/json; charset=utf-8");
        assert_eq!(service.send(request.body(text.clone())).await.status, 204);
    }
    assert_eq!(service.put("/devices/d-1", 4, &json!({"half": "a body"})).await.status, 422);
    assert_eq!(service.history("/devices/d-1").await, "PUT 3 204, PUT 4 422");

    let history = service.get("/sim/devices/d-1/history").await;
    assert_eq!(history[0]["body"], bodies::device("d-1"));
    assert_eq!(history[0]["sequence"], 3);
    assert_eq!(history[1]["body"], json!({"half": "a body"}));
    assert!(history[1]["time"].as_str().is_some_and(|it| it.ends_with('Z')), "{history}");

    assert_eq!(service.put("/routers/r-1", 1, &bodies::router("r-1")).await.status, 204);
    let dns = json!({"enabled": true, "allowed": ["192.0.2.53"]});
    assert_eq!(service.put("/system/isp-1/router-dns", 1, &dns).await.status, 204);
    let raw = service.request("GET", "/sim/dump").send().await.expect("an answer");
    assert!(raw.text().await.expect("a text").contains(&text), "not the text that was sent");
    let dump = service.get("/sim/dump").await;
    let expected = json!({
        "devices": {"d-1": bodies::device("d-1")}, "routers": {"r-1": bodies::router("r-1")},
        "feature_flags": {}, "agent_packages": {}, "system": {"isp-1/router-dns": dns},
    });
    assert_eq!(dump, expected);
    service.stop().await;
}

#[tokio::test]
async fn what_is_forgotten_leaves_no_revision_behind() {
    let service = service::start("").await;
    assert_eq!(service.put("/devices/d-1", 5, &bodies::device("d-1")).await.status, 204);
    service.faults(json!([{"path": "/routers", "action": {"status": 500}}])).await;
    let reply = service.send(service.request("DELETE", "/sim")).await;
    assert_eq!(reply.status, 204);
    let nothing = json!({
        "devices": {}, "routers": {}, "feature_flags": {}, "agent_packages": {}, "system": {},
    });
    assert_eq!(service.get("/sim/dump").await, nothing);
    assert_eq!(service.history("/devices/d-1").await, "");
    assert_eq!(service.summary(&["writes", "answers"]).await, "writes {}, answers {}");
    assert_eq!(service.put("/devices/d-1", 1, &bodies::device("d-1")).await.status, 204);
    assert_eq!(service.summary(&["regressions"]).await, "regressions 0");
    assert_eq!(service.put("/routers/r-1", 1, &bodies::router("r-1")).await.status, 500);
    service.stop().await;
}
