//! Too many dead letters stop the consumer before a bad deploy has emptied a topic into them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use eventbus::{Delivery, DualEventBusConsumer, Outcome, Settings};
use testkit::eventually;

use crate::bus::{Bus, LIMIT, Seen, sees, settings};

const KEYS: usize = 10;
const ROUNDS: usize = 20;

fn stops_after(run: u32) -> Settings {
    let mut settings = settings();
    settings.consumer.dead_letters_run_max = run;
    settings
}

/// Stops after so many dead letters in a row and handles one record at a time.
fn one_at_a_time(run: u32) -> Settings {
    let mut settings = stops_after(run);
    settings.consumer.max_in_flight = 1;
    settings
}

fn reject() -> Outcome {
    Outcome::Reject { reason: "it is wrong".to_owned() }
}

/// Each key says the number of each round.
async fn publish_rounds(bus: &Bus) {
    let message = |n| bus.message(Some(&format!("k{}", n % KEYS)), &format!("{:02}", n / KEYS));
    bus.publish_all((0..KEYS * ROUNDS).map(message)).await;
}

async fn stops(consumer: &DualEventBusConsumer) -> String {
    let stopped = async || consumer.status().into_iter().find_map(|it| it.stopped);
    eventually("the consumer to stop", LIMIT, stopped).await
}

async fn has_dead_letters(bus: &Bus, count: usize) {
    let look = async || (bus.dead_letters().await.len() >= count).then_some(());
    eventually(&format!("{count} dead letters"), LIMIT, look).await;
}

/// Every record is handled or a dead letter, so many are both; each key was handled in order.
async fn all_ended(bus: &Bus, seen: &Seen, both: usize) {
    let handled = seen.lock().unwrap().clone();
    let letters = bus.dead_letters().await;
    let letters = letters
        .into_iter()
        .map(|it| (it.key.unwrap(), String::from_utf8_lossy(&it.payload).into_owned()));
    let all: Vec<_> = handled.iter().cloned().chain(letters).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), KEYS * ROUNDS, "records are missing");
    assert_eq!(all.len(), KEYS * ROUNDS + both);
    for key in 0..KEYS {
        let key = format!("k{key}");
        let of_key: Vec<_> = handled.iter().filter(|it| it.0 == key).map(|it| &it.1).collect();
        assert!(of_key.is_sorted(), "{key}: {of_key:?}");
    }
}

#[tokio::test]
async fn a_run_of_dead_letters_stops_the_consumer_until_it_is_resumed() {
    let bus = Bus::with(1, stops_after(5)).await;
    publish_rounds(&bus).await;
    let (seen, mended) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let (calls, is_mended) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&mended));
    let counted = Arc::clone(&calls);
    let consumer = bus.consume(&seen, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        if is_mended.load(Ordering::SeqCst) { Outcome::Done } else { reject() }
    });
    assert_eq!(stops(&consumer).await, "5 records in a row became dead letters");
    let why = "stopped until it is resumed: 5 records in a row became dead letters";
    assert_eq!(consumer.works(), Err(why.to_owned()));
    has_dead_letters(&bus, 5).await;
    let tried = calls.load(Ordering::SeqCst);
    assert!(tried <= 5 + bus.settings.consumer.max_in_flight, "{tried} records were tried");
    let committed: i64 = bus.committed().await.iter().map(|it| it.1).sum();
    assert!(committed <= 5, "{committed} are committed");

    mended.store(true, Ordering::SeqCst);
    assert_eq!(calls.load(Ordering::SeqCst), tried, "records were tried while it was stopped");
    assert_eq!(bus.dead_letters().await.len(), 5);
    assert!(consumer.resumer().resume());
    bus.commits((KEYS * ROUNDS) as i64).await;
    let ready = async || consumer.works().ok();
    eventually("the consumer to work again", LIMIT, ready).await;
    assert!(!consumer.resumer().resume(), "it has not stopped again");
    consumer.close().await;
    assert_eq!(bus.dead_letters().await.len(), 5);
    all_ended(&bus, &seen, 0).await;
}

#[tokio::test]
async fn it_stops_in_time_when_it_has_handled_many_quickly_before() {
    let bus = Bus::with(1, stops_after(5)).await;
    let message = |n| bus.message(Some(&format!("k{n}")), if n < 1_000 { "good" } else { "wrong" });
    bus.publish_all((0..2_000).map(message)).await;
    let (seen, wrong) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&wrong);
    let consumer = bus.consume(&seen, move |it| match it.message.payload.as_slice() {
        b"good" => Outcome::Done,
        _ => {
            counted.fetch_add(1, Ordering::SeqCst);
            reject()
        }
    });
    assert_eq!(stops(&consumer).await, "5 records in a row became dead letters");
    consumer.close().await;
    assert_eq!(bus.dead_letters().await.len(), 5);
    assert_eq!(seen.lock().unwrap().len(), 1_000);
    let tried = wrong.load(Ordering::SeqCst);
    assert!(tried <= 5 + bus.settings.consumer.max_in_flight, "{tried} records were tried");
}

#[tokio::test]
async fn a_consumer_that_was_resumed_too_early_stops_again_and_a_restart_goes_on() {
    let bus = Bus::with(1, one_at_a_time(5)).await;
    publish_rounds(&bus).await;
    let seen = Seen::default();
    let consumer = bus.consume(&seen, |_| reject());
    stops(&consumer).await;
    assert!(consumer.resumer().resume());
    has_dead_letters(&bus, 10).await;
    consumer.close().await;
    assert_eq!(bus.dead_letters().await.len(), 10);
    // What was kept back went to the end of its line: some that follow it were set aside before it.
    let committed: i64 = bus.committed().await.iter().map(|it| it.1).sum();
    assert!(committed <= 10, "{committed} are committed");

    let consumer = bus.consume(&seen, |_| Outcome::Done);
    bus.commits((KEYS * ROUNDS) as i64).await;
    consumer.close().await;
    assert_eq!(bus.dead_letters().await.len(), 10);
    all_ended(&bus, &seen, 10 - committed as usize).await;
}

#[tokio::test]
async fn events_that_the_registry_does_not_know_do_not_count() {
    // A topic of the registry whose consumers are none of ours.
    let mut bus = Bus::with(1, one_at_a_time(3)).await;
    testkit::topics::create(&bus.settings.bootstrap_servers).await.unwrap();
    bus.topic = "as-provision-command-topic".to_owned();
    bus.group = "accounts".to_owned();
    let key = testkit::unique("k");
    let mut message = bus.message(Some(&key), "{}");
    message.event_type = "Invented".into();
    bus.publish_all(vec![message.clone(); 10]).await;
    message.event_type = "PostDevice".into();
    bus.publish_all([message]).await;
    let seen = Seen::default();
    let consumer = bus.consume(&seen, |_| Outcome::Done);
    let is_seen = async || seen.lock().unwrap().iter().any(|it| it.0 == key).then_some(());
    eventually("the event behind them", LIMIT, is_seen).await;
    let statuses = consumer.status();
    assert!(statuses.iter().all(|it| it.stopped.is_none()), "{statuses:?}");
    consumer.close().await;
    let letters = bus.dead_letters().await;
    assert_eq!(letters.iter().filter(|it| it.key.as_deref() == Some(&key)).count(), 10);
}

#[tokio::test]
async fn what_was_refused_by_a_reply_is_no_sign_that_records_can_be_handled() {
    for (with_reply, dead_letters) in [(true, 3), (false, 10)] {
        let bus = Bus::with(1, one_at_a_time(3)).await;
        let message = |n| {
            let mut message = bus.message(Some("k"), if n % 2 == 0 { "wrong" } else { "refused" });
            message.attributes.request_id = with_reply.then(|| "r".parse().unwrap());
            message
        };
        bus.publish_all((0..20).map(message)).await;
        let refuse = |it: &Delivery| match it.message.payload.as_slice() {
            b"wrong" => reject(),
            _ => Outcome::Skipped("refused"),
        };
        let consumer = bus.consume(&Seen::default(), refuse);
        match with_reply {
            true => assert_eq!(stops(&consumer).await, "3 records in a row became dead letters"),
            false => bus.commits(20).await,
        }
        has_dead_letters(&bus, dead_letters).await;
        consumer.close().await;
        assert_eq!(bus.dead_letters().await.len(), dead_letters);
    }
}

#[tokio::test]
async fn a_share_of_dead_letters_stops_though_others_get_through() {
    let mut settings = one_at_a_time(1_000);
    settings.consumer.dead_letters_share_max = 0.01;
    let bus = Bus::with(1, settings).await;
    let payload = |n| if n % 3 == 0 { "wrong" } else { "good" };
    bus.publish_all((0..100).map(|n| bus.message(Some("k"), payload(n)))).await;
    let seen = Seen::default();
    let consumer = bus.consume(&seen, |it| match it.message.payload.as_slice() {
        b"wrong" => reject(),
        _ => Outcome::Done,
    });
    // One percent of a thousand.
    assert_eq!(stops(&consumer).await, "10 of the last 30 records became dead letters");
    sees(&seen, 20).await;
    consumer.close().await;
    assert_eq!(bus.committed().await, [(0, 30)]);
    assert_eq!(seen.lock().unwrap().len(), 20);
    assert_eq!(bus.dead_letters().await.len(), 10);
}
