use std::time::Duration;

use eventbus::Outcome;
use expect_test::expect;
use mongodb::bson::doc;
use serde_json::json;

use crate::{
    backend::{Reply, error, status},
    service::{Service, first, message, shown, state},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_its_meaning() {
    let mut log = String::new();
    let answers = [
        status(200),
        error(409, "stale_revision"),
        error(400, "bad"),
        error(409, "other"),
        error(413, "large"),
        error(422, "malformed"),
        error(409, "unknown_agent_package"),
        status(408),
        status(429),
        status(500),
        status(503),
        status(401),
        status(403),
        status(404),
        status(405),
    ];
    for answer in answers {
        let service = Service::start().await;
        service.backend.next(&service.path("device"), answer.clone());
        let outcome = shown(&service.created(10, json!({})).await);
        let applied = service.applied().await;
        log += &format!("{} {}: {outcome}; {applied}\n", answer.status, answer.error);
    }
    expect![[r#"
        200 : done; device 10
        409 stale_revision: skipped: superseded; device 0 unknown
        400 bad: rejected: bad: as told; device 0 unknown
        409 other: rejected: other: as told; device 0 unknown
        413 large: rejected: large: as told; device 0 unknown
        422 malformed: rejected: malformed: as told; device 0 unknown
        409 unknown_agent_package: again: early: unknown_agent_package: as told; nothing
        408 : again, counted: backend in trouble: as told; nothing
        429 : again, counted: backend in trouble: as told; nothing
        500 : again, counted: backend in trouble: as told; nothing
        503 : again, counted: backend in trouble: as told; nothing
        401 : again: misconfigured, waiting: as told; nothing
        403 : again: misconfigured, waiting: as told; nothing
        404 : again: misconfigured, waiting: as told; nothing
        405 : again: misconfigured, waiting: as told; nothing
    "#]]
    .assert_eq(&log);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_what_is_not_there_is_done() {
    let service = Service::start().await;
    for kind in ["device", "router"] {
        service.backend.next(&service.path(kind), error(404, "not_found"));
    }
    assert_eq!(shown(&service.deleted(10, "device").await), "done");
    assert_eq!(service.applied().await, "device 10 tombstone");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured() {
    let service = Service::start().await;
    let reply = Reply { retry_after: Some("7"), ..status(429) };
    service.backend.next(&service.path("device"), reply);
    let outcome = service.created(10, json!({})).await;
    let Outcome::RetryAfter { after, .. } = outcome else { panic!("{outcome:?}") };
    assert!(after >= Duration::from_secs(7), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_and_no_connection_are_trouble() {
    let service = Service::start().await;
    service.backend.meanwhile(&service.path("device"), std::future::pending());
    let outcome = shown(&service.created(10, json!({})).await);
    assert!(outcome.contains(": backend in trouble: "), "{outcome}");

    let nobody = [("RSADAPTOR__HS_ADMIN__BASE_URL", "http://127.0.0.1:1")];
    let service = Service::start_with(&nobody).await;
    let outcome = shown(&service.created(10, json!({})).await);
    assert!(outcome.starts_with("again: backend in trouble: "), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_counts_against_nobody() {
    let service = Service::start().await;
    service.backend.everything(Some(status(503)));
    let devices = ["one", "two"].map(|it| format!("{}-{it}", service.device));
    let mut deliveries =
        devices.map(|it| first(message("RSDeviceCreated", state(&it, 10, json!({})))));
    for _ in 0..50 {
        for delivery in &mut deliveries {
            service.waits(delivery).await;
        }
    }
    service.backend.everything(None);
    for delivery in &deliveries {
        assert_eq!(service.attempt(delivery).await, Outcome::Done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fails_while_others_do_not_is_set_aside() {
    let service = Service::start().await;
    service.backend.always(&service.path("device"), status(500));
    let mut delivery = first(message("RSDeviceCreated", service.state(10, json!({}))));
    let mut log = Vec::new();
    for _ in 0..5 {
        let revision = 10 + log.len() as u64;
        let other = state("another", revision, json!({"name": revision.to_string()}));
        assert_eq!(service.handle("RSDeviceCreated", other).await, Outcome::Done);
        log.push(shown(&service.try_on(&mut delivery).await));
    }
    expect![[r#"
        again, counted: backend in trouble: as told
        again, counted: backend in trouble: as told
        again, counted: backend in trouble: as told
        again, counted: backend in trouble: as told
        rejected: failed while others did not: as told"#]]
    .assert_eq(&log.join("\n"));
    assert_eq!(service.applied().await, "device 0 unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_alone_is_measured_by_the_backend_s_status() {
    let often = [("RSADAPTOR__GATE__STATUS_COUNTS_EVERY_SECONDS", "0.001")];
    let service = Service::start_with(&often).await;
    service.backend.always(&service.path("device"), status(500));
    service.backend.always("/status", status(503));
    let mut delivery = first(message("RSDeviceCreated", service.state(10, json!({}))));
    for _ in 0..10 {
        service.waits(&mut delivery).await;
    }
    service.backend.next("/status", status(200));
    // A status of 200 without a body is no status.
    service.waits(&mut delivery).await;

    let service = Service::start_with(&often).await;
    service.backend.always(&service.path("device"), status(500));
    let mut delivery = first(message("RSDeviceCreated", service.state(10, json!({}))));
    assert!(matches!(service.ended(&mut delivery).await, Outcome::Reject { .. }));
    assert_eq!(delivery.counted, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_waits_for_its_package_but_not_for_ever() {
    let limit = [("RSADAPTOR__GATE__EARLY_LIMIT_SECONDS", "0.5")];
    let service = Service::start_with(&limit).await;
    let router = service.state(10, json!({"kind": "router", "target_agent_package": "p-1"}));
    let early = error(409, "unknown_agent_package");
    service.backend.next(&service.path("router"), early.clone());
    let mut delivery = first(message("RSDeviceCreated", router));
    let outcome = shown(&service.try_on(&mut delivery).await);
    assert_eq!(outcome, "again: early: unknown_agent_package: as told");
    assert_eq!(service.attempt(&delivery).await, Outcome::Done);

    let newer = service.state(11, json!({"kind": "router", "target_agent_package": "p-2"}));
    service.backend.always(&service.path("router"), early);
    let mut delivery = first(message("RSDeviceUpdated", newer));
    let ended = shown(&service.ended(&mut delivery).await);
    assert_eq!(ended, "rejected: unknown_agent_package: as told");
    assert_eq!(service.applied().await, "router 10 unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_is_nobody_s_fault() {
    let uri = testkit::mongo_uri();
    let (_, rest) = uri.split_once("://").unwrap();
    let host = rest.split(['/', '?', ',']).next().unwrap().to_owned();
    let (line, address) = line_to(host).await;
    let through = format!("mongodb://{address}/?directConnection=true");
    let short = [
        ("RSADAPTOR__MONGO__URI", through.as_str()),
        ("RSADAPTOR__MONGO__SERVER_SELECTION_SECONDS", "1"),
    ];
    let service = Service::start_with(&short).await;
    assert_eq!(service.created(10, json!({})).await, Outcome::Done);
    service.backend.calls();
    line.abort();
    let outcome = service.created(11, json!({"name": "b"})).await;
    assert!(matches!(outcome, Outcome::RetryAfter { counted: false, .. }), "{outcome:?}");
    assert!(shown(&outcome).contains("the store of what is applied did not answer"));
    assert_eq!(service.backend.calls(), Vec::<String>::new());
}

/// A TCP line that is cut when its task is aborted.
async fn line_to(host: String) -> (tokio::task::JoinHandle<()>, std::net::SocketAddr) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let line = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let host = host.clone();
            connections.spawn(async move {
                let mut far = tokio::net::TcpStream::connect(host).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (line, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_row_that_cannot_be_read_counts_against_the_record_that_needs_it() {
    let service = Service::start().await;
    assert_eq!(service.created(10, json!({})).await, Outcome::Done);
    for spoiled in [doc! { "kind": "toaster" }, doc! { "kind": "device", "revision": -1_i64 }] {
        let row = doc! { "_id": service.device.as_str() };
        service.rows().update_one(row, doc! { "$set": spoiled }).await.unwrap();
        let outcome = service.created(11, json!({})).await;
        assert!(matches!(outcome, Outcome::RetryAfter { counted: true, .. }), "{outcome:?}");
    }
}
