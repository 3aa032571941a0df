use eventbus::{Delivery, Outcome};
use expect_test::expect;
use serde_json::json;
use testkit::eventually;

use crate::{
    backend::status,
    service::{LIMIT, Service, again, first, message, shown, state},
};

fn record(id: &str) -> Delivery {
    first(message("RSDeviceCreated", state(id, 10, json!({}))))
}

/// Tries until the record is over, as the bus would.
async fn ended(service: &Service, delivery: &mut Delivery) -> Outcome {
    eventually("the record is over", LIMIT, async || {
        let outcome = service.attempt(delivery).await;
        *delivery = again(delivery, false);
        (!matches!(outcome, Outcome::RetryAfter { .. })).then_some(outcome)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_to_everybody_everything_waits_and_is_applied_after_the_cure() {
    let service = Service::start().await;
    let probe = service.chassis.health.clone();
    service.backend.everything(Some(status(401)));
    let mut deliveries = ["a", "b", "c"].map(record);
    assert!(shown(&service.attempt(&deliveries[0]).await).starts_with("again: misconfigured"));
    assert_eq!(service.backend.calls().len(), 1);
    assert_eq!(probe.report().status, "degraded");
    // The gate is closed: nobody else is sent.
    for delivery in &deliveries[1..] {
        assert!(shown(&service.attempt(delivery).await).starts_with("again: misconfigured"));
    }
    assert_eq!(service.backend.calls().len(), 0);
    // Probes go out, each with another record.
    let mut probes = Vec::new();
    eventually("six probes", LIMIT, async || {
        for delivery in &mut deliveries {
            let outcome = service.attempt(delivery).await;
            assert!(matches!(outcome, Outcome::RetryAfter { counted: false, .. }), "{outcome:?}");
            *delivery = again(delivery, false);
        }
        probes.extend(service.backend.calls());
        (probes.len() >= 6).then_some(())
    })
    .await;
    for round in probes.windows(3) {
        assert!(round[0] != round[1] && round[1] != round[2] && round[0] != round[2], "{probes:?}");
    }
    service.backend.everything(None);
    for delivery in &mut deliveries {
        assert_eq!(ended(&service, delivery).await, Outcome::Done);
    }
    let hs_be = serde_json::to_value(probe.report()).unwrap();
    assert_eq!(hs_be["probes"]["hs-be"]["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_alone_is_refused_is_rejected_and_the_others_are_applied() {
    let service = Service::start().await;
    service.backend.always("/devices/alone", status(404));
    let mut alone = record("alone");
    assert!(shown(&service.attempt(&alone).await).starts_with("again: misconfigured"));
    alone = again(&alone, false);
    let mut log = Vec::new();
    for n in 0..5 {
        // The gate opens, and stays open.
        let mut other = record(&format!("other-{n}"));
        assert_eq!(ended(&service, &mut other).await, Outcome::Done);
        let outcome = service.attempt(&alone).await;
        alone = again(&alone, matches!(outcome, Outcome::RetryAfter { counted: true, .. }));
        log.push(shown(&outcome));
    }
    expect![[r#"
        again, counted: backend in trouble: as told
        again, counted: backend in trouble: as told
        again, counted: backend in trouble: as told
        again, counted: backend in trouble: as told
        rejected: failed while others did not: as told"#]]
    .assert_eq(&log.join("\n"));
    assert_eq!(service.attempt(&record("third")).await, Outcome::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_the_backend_is_shown_and_is_no_readiness() {
    let service = Service::start().await;
    let stop = service.chassis.stop.clone();
    let every = std::time::Duration::from_millis(20);
    let watch = tokio::spawn(service.app.backend.clone().watch(every, stop.clone()));
    let shown = async |wanted: &'static str| {
        eventually(wanted, LIMIT, async || {
            let report = serde_json::to_value(service.chassis.health.report()).unwrap();
            (report["probes"]["hs-be"]["status"] == wanted).then_some(())
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
