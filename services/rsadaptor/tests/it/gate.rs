use std::time::Duration;

use eventbus::{Delivery, Outcome};
use expect_test::expect;
use serde_json::json;
use testkit::eventually;

use crate::{
    backend::{error, status},
    service::{LIMIT, Service, first, health, message, shown, state},
};

fn record(id: &str) -> Delivery {
    first(message("RSDeviceCreated", state(id, 10, json!({}))))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_opens_the_circuit_and_any_other_answer_closes_it() {
    let service = Service::start().await;
    let destination = service.app.backend.destination();
    for answer in [status(204), error(409, "stale_revision"), error(422, "malformed")] {
        service.backend.next("/devices/refused", status(401));
        service.waits(&mut record("refused")).await;
        assert_eq!(health(&service.chassis), "failing: misconfigured: 401: as told");
        // Trouble is no sign that we are let in again.
        let id = format!("other-{}", answer.status);
        let (mut other, path) = (record(&id), format!("/devices/{id}"));
        service.backend.next(&path, status(500));
        service.try_on(&mut other).await;
        assert!(destination.open_for().is_some());
        service.backend.next(&path, answer);
        service.ended(&mut other).await;
        assert_eq!((destination.open_for(), health(&service.chassis)), (None, "ok".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_refused_comes_back_after_the_next_probe() {
    let service = Service::start().await;
    service.backend.everything(Some(status(401)));
    for id in ["a", "b", "a"] {
        let outcome = service.attempt(&record(id)).await;
        let Outcome::RetryAfter { after, counted: false, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert!(after >= Duration::from_millis(300), "{after:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_in_a_row_open_the_circuit_and_429_and_503_slow_down() {
    let limits = [
        ("RSADAPTOR__DESTINATION__OPEN_AFTER_FAILURES", "4"),
        ("RSADAPTOR__DESTINATION__CONCURRENCY_MAX", "64"),
    ];
    let service = Service::start_with(&limits).await;
    let destination = service.app.backend.destination();
    let mut delivery = record("a");
    for (answer, concurrency) in [(500, 64), (429, 32), (503, 16)] {
        service.backend.next("/devices/a", status(answer));
        service.try_on(&mut delivery).await;
        assert_eq!(destination.concurrency(), concurrency);
    }
    assert_eq!(destination.open_for(), None);
    service.backend.next("/devices/a", status(408));
    service.try_on(&mut delivery).await;
    let why = "4 failures in a row: 408: as told";
    assert_eq!(destination.open_for().as_deref(), Some(why));
    assert_eq!(health(&service.chassis), format!("failing: {why}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_alone_is_refused_is_rejected_and_the_others_are_applied() {
    let service = Service::start().await;
    service.backend.always("/devices/alone", status(404));
    let mut alone = record("alone");
    service.waits(&mut alone).await;
    let mut log = Vec::new();
    for n in 0..5 {
        // The circuit closes, and stays closed.
        let outcome = service.attempt(&record(&format!("other-{n}"))).await;
        assert_eq!(outcome, Outcome::Done);
        log.push(shown(&service.try_on(&mut alone).await));
        assert_eq!(service.app.backend.destination().open_for(), None);
    }
    expect![[r#"
        again, counted: backend in trouble: as told
        again, counted: backend in trouble: as told
        again, counted: backend in trouble: as told
        again, counted: backend in trouble: as told
        rejected: failed while others did not: as told"#]]
    .assert_eq(&log.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_the_backend_is_shown_and_is_no_readiness() {
    let service = Service::start().await;
    let stop = service.chassis.stop.clone();
    let every = Duration::from_millis(20);
    let watch = tokio::spawn(service.app.backend.clone().watch(every, stop.clone()));
    let shown = async |wanted: &'static str| {
        eventually(wanted, LIMIT, async || {
            health(&service.chassis).starts_with(wanted).then_some(())
        })
        .await;
    };
    shown("ok").await;
    service.backend.everything(Some(status(503)));
    shown("failing").await;
    let ready = service.chassis.health.readiness("kafka");
    ready.ok();
    assert_eq!(service.chassis.health.unready(), Vec::<String>::new());
    service.backend.everything(None);
    shown("ok").await;
    stop.cancel();
    watch.await.unwrap();
}
