use std::time::Duration;

use eventbus::{EventBusRegistry, Inspector, Outcome};
use testkit::eventually;

use crate::{
    bus::{Bus, LIMIT},
    gate::Gate,
};

/// Offset, attempts and reason of each record of a key, a line each.
fn told(inspector: &Inspector, key: &str) -> String {
    let line = |it: &eventbus::WaitingRecord| {
        assert_eq!(it.key, key);
        format!("{} tried {}: {}", it.offset, it.attempts, it.reason)
    };
    inspector.waiting(key).iter().map(line).collect::<Vec<_>>().join("; ")
}

async fn tells(inspector: &Inspector, key: &str, expected: &str) {
    let look = async || (told(inspector, key) == expected).then_some(());
    let what = format!("`{expected}` of `{key}`");
    eventually(&what, LIMIT, look).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_told_with_its_reason_until_it_is_done() {
    let bus = Bus::new(1).await;
    let gate = Gate::new();
    let consumer = bus.consumer();
    let passing = gate.clone();
    let registry = EventBusRegistry::new(&bus.topic, move |delivery| {
        let gate = passing.clone();
        async move {
            if delivery.message.key.as_deref() == Some("failing") {
                let (after, reason) = (Duration::from_secs(3_600), "not yet".to_owned());
                return Outcome::RetryAfter { after, counted: false, reason };
            }
            gate.pass(&delivery).await;
            Outcome::Done
        }
    });
    consumer.register(vec![registry]).unwrap();
    let inspector = consumer.inspector();
    for (key, payload) in [("slow", "1"), ("failing", "1"), ("slow", "2"), ("failing", "2")] {
        bus.publish(key, payload).await;
    }
    tells(
        &inspector,
        "slow",
        "0 tried 1: it is being handled; 2 tried 0: it stands behind offset 0",
    )
    .await;
    let failing =
        "1 tried 1: its last attempt failed: not yet; 3 tried 0: it stands behind offset 1";
    tells(&inspector, "failing", failing).await;
    let waiting = inspector.waiting("failing");
    assert_eq!((&*waiting[0].topic, waiting[0].partition), (&*bus.topic, 0));
    let age = jiff::Timestamp::now().duration_since(waiting[0].since);
    assert!(age >= jiff::SignedDuration::ZERO && age.as_secs() < 60, "{age:?}");
    assert_eq!(told(&inspector, "nobody"), "");

    gate.open();
    tells(&inspector, "slow", "").await;
    assert_eq!(told(&inspector, "failing"), failing);
    consumer.close().await;
    assert_eq!(told(&inspector, "failing"), "");
}
