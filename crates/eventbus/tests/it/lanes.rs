//! Live records go first, those of a sync keep a share, and a key keeps its order across both.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use eventbus::{EventBusMessage, EventBusRegistry, Lane, Record};
use testkit::eventually;

use crate::{
    bus::{Bus, LIMIT, settings},
    gate::Gate,
};

/// A bus whose consumers take everything at once and handle so many records at a time.
async fn bus(in_flight: usize) -> Bus {
    let mut settings = settings();
    settings.consumer.max_in_flight = in_flight;
    settings.consumer.partition_window = 10_000;
    settings.consumer.dispatch_ahead_max = 10_000;
    Bus::with(1, settings).await
}

fn sync(mut message: EventBusMessage) -> EventBusMessage {
    message.attributes.lane = Lane::Sync;
    message
}

/// The lane that the header names, as without a closure; counts the records that were looked at.
fn counted(registry: EventBusRegistry, taken: &Arc<AtomicUsize>) -> EventBusRegistry {
    let lane = |record: &Record| match record.header("ce_lane") {
        Some("sync") => Lane::Sync,
        Some(_) | None => Lane::Live,
    };
    let taken = Arc::clone(taken);
    registry.lane_by(move |record| {
        taken.fetch_add(1, Ordering::SeqCst);
        lane(record)
    })
}

/// Waits until so many records were taken from the broker.
async fn takes(taken: &AtomicUsize, records: usize) {
    let look = async || (taken.load(Ordering::SeqCst) >= records).then_some(());
    eventually(&format!("{records} records to be taken"), LIMIT, look).await;
}

#[tokio::test]
async fn a_live_record_behind_two_thousand_waiting_sync_ones_is_dispatched_next() {
    let bus = bus(4).await;
    bus.publish_all((0..2_000).map(|n| sync(bus.message(Some(&format!("s{n}")), "sync")))).await;
    bus.publish("l", "live").await;
    let (gate, taken) = (Gate::new(), Arc::default());
    let consumer = bus.consumer();
    consumer.register(vec![counted(gate.registry(&bus), &taken)]).unwrap();
    takes(&taken, 2_001).await;
    gate.begins(4).await;
    assert!(gate.began().iter().all(|it| it.1 == "sync"), "{:?}", gate.began());
    gate.let_through(1);
    gate.begins(5).await;
    assert_eq!(gate.began()[4].1, "live");
    gate.open();
    bus.commits(2_001).await;
    consumer.close().await;
}

#[tokio::test]
async fn a_live_record_keeps_its_place_behind_a_sync_one_of_its_key() {
    let bus = bus(1).await;
    let messages = [
        bus.message(Some("first"), "live"),
        sync(bus.message(Some("k"), "sync")),
        sync(bus.message(Some("other"), "sync")),
        bus.message(Some("k"), "live"),
    ];
    bus.publish_all(messages).await;
    let gate = Gate::new();
    let consumer = bus.consumer();
    // No closure: the header says how urgent a record is.
    consumer.register(vec![gate.registry(&bus)]).unwrap();
    gate.begins(1).await;
    gate.open();
    bus.commits(4).await;
    consumer.close().await;
    let began = gate.began();
    let began: Vec<_> = began.iter().map(|it| (it.0.as_str(), it.1.as_str())).collect();
    assert_eq!(began, [("first", "live"), ("k", "sync"), ("k", "live"), ("other", "sync")]);
}

#[tokio::test]
async fn sync_records_keep_their_share_while_live_ones_never_end() {
    let bus = bus(4).await;
    let each = |n| {
        let (live, sync_key) = (format!("l{n}"), format!("s{n}"));
        [bus.message(Some(&live), "live"), sync(bus.message(Some(&sync_key), "sync"))]
    };
    bus.publish_all((0..1_000).flat_map(each)).await;
    let (gate, taken) = (Gate::new(), Arc::default());
    let consumer = bus.consumer();
    consumer.register(vec![counted(gate.registry(&bus), &taken)]).unwrap();
    takes(&taken, 2_000).await;
    gate.open();
    bus.commits(2_000).await;
    consumer.close().await;
    let began: Vec<bool> = gate.began().iter().map(|it| it.1 == "sync").collect();
    assert_eq!(began.len(), 2_000);
    let syncs = began[..500].iter().filter(|it| **it).count();
    assert!((45..=55).contains(&syncs), "{syncs} of the first 500");
    // Not all at once, either: among any twenty there is one.
    let starves = began[..500].windows(20).position(|it| it.iter().all(|it| !it));
    assert_eq!(starves, None, "none of twenty");
}

#[tokio::test]
async fn a_closure_over_the_headers_says_how_urgent_a_record_is() {
    let bus = bus(1).await;
    let about = |key: &str, subject: &str| {
        let mut message = bus.message(Some(key), subject);
        message.attributes.subject = Some(subject.into());
        message
    };
    // What the usual header says is not asked.
    let messages = [about("first", "now"), about("a", "later"), sync(about("b", "now"))];
    bus.publish_all(messages).await;
    let (gate, taken) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let consumer = bus.consumer();
    let looked = Arc::clone(&taken);
    let registry = gate.registry(&bus).lane_by(move |record| {
        looked.fetch_add(1, Ordering::SeqCst);
        match record.header("ce_subject") {
            Some("later") => Lane::Sync,
            Some(_) | None => Lane::Live,
        }
    });
    consumer.register(vec![registry]).unwrap();
    takes(&taken, 3).await;
    gate.open();
    bus.commits(3).await;
    consumer.close().await;
    let keys: Vec<String> = gate.began().into_iter().map(|it| it.0).collect();
    assert_eq!(keys, ["first", "b", "a"]);
}
